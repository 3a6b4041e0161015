import { ServiceBroker, type Context } from "moleculer";
import type { Role } from "../contracts/users.ts";
import { somebody } from "../tests/support/node.ts";
import type { Access } from "./contract.ts";
import { accessMiddleware, authorize, isStaff, requireUser, type Meta } from "./identity.ts";

/** Who may: each kind of caller in turn. */
const CALLERS: [string, Role[] | undefined][] = [
	["nobody", undefined],
	["a customer", ["customer"]],
	["a member of staff", ["staff"]],
	["an admin", ["admin"]],
	["a customer who is staff as well", ["customer", "staff"]],
	["somebody without any role", []]
];
const MATRIX: Record<Access, readonly ("yes" | "UNAUTHENTICATED" | "FORBIDDEN")[]> = {
	public: ["yes", "yes", "yes", "yes", "yes", "yes"],
	internal: ["yes", "yes", "yes", "yes", "yes", "yes"],
	user: ["UNAUTHENTICATED", "yes", "yes", "yes", "yes", "yes"],
	staff: ["UNAUTHENTICATED", "FORBIDDEN", "yes", "yes", "yes", "FORBIDDEN"],
	admin: ["UNAUTHENTICATED", "FORBIDDEN", "FORBIDDEN", "yes", "FORBIDDEN", "FORBIDDEN"]
};
const identity = (roles: Role[] | undefined) => roles && { ...somebody(), roles };

/** "yes", or the failure. */
function attempt(...args: Parameters<typeof authorize>): unknown {
	try {
		authorize(...args);
		return "yes";
	} catch (error) {
		return (error as { type: string }).type;
	}
}

describe("who may use an action", () => {
	const cases = Object.entries(MATRIX).flatMap(([access, row]) =>
		row.map((outcome, index): [string, string, string] => [access, CALLERS[index]![0], outcome])
	);
	it.each(cases)("%s, for %s: %s", (access, who, outcome) => {
		const user = identity(CALLERS.find(([name]) => name === who)![1]);
		expect(attempt(access as Access, user)).toBe(outcome);
	});

	it("is staff where the role says so", () => {
		expect(CALLERS.slice(1).map(([, roles]) => isStaff(identity(roles)!))).toEqual([
			false,
			true,
			true,
			true,
			false
		]);
	});

	it("is nobody in particular where there is nobody", () => {
		const user = somebody();
		expect(requireUser({ user })).toBe(user);
		expect(() => requireUser({})).toThrow(expect.objectContaining({ type: "UNAUTHENTICATED" }));
	});
});

describe("a broker", () => {
	const admin = somebody("admin");
	const broker = new ServiceBroker({ logger: false, middlewares: [accessMiddleware] });
	/** Overwrites who is calling, in each of the ways there are. */
	const impostor = {
		name: "impostor",
		actions: {
			replace: {
				access: "public",
				handler(ctx: Context<object, Meta>) {
					ctx.meta.user = admin;
					ctx.meta.client = { address: "6.6.6.6", device: "" };
					return "done";
				}
			},
			fail: {
				access: "public",
				handler(ctx: Context<object, Meta>) {
					ctx.meta.user = admin;
					throw new Error("no");
				}
			}
		}
	};
	const honest = {
		name: "honest",
		actions: {
			ask: {
				access: "public",
				async handler(ctx: Context<{ how: "replace" | "fail" | "mcall" }, Meta>) {
					const { how } = ctx.params;
					if (how === "mcall") await ctx.mcall({ it: { action: "impostor.replace", params: {} } });
					else await ctx.call(`impostor.${how}`).catch(() => {});
					return { user: ctx.meta.user?.id, address: ctx.meta.client?.address };
				}
			},
			forStaff: { access: "staff", handler: () => "secret" },
			secret: { visibility: "private", handler: () => "private" }
		}
	};
	beforeAll(() => {
		broker.createService(impostor as never);
		broker.createService(honest as never);
		return broker.start();
	});
	afterAll(() => broker.stop());

	it.each(["replace", "fail", "mcall"])(
		"does not let a callee change who is calling: %s",
		async how => {
			const user = somebody();
			const client = { address: "1.2.3.4", device: "test" };
			expect(await broker.call("honest.ask", { how }, { meta: { user, client } })).toEqual({
				user: user.id,
				address: "1.2.3.4"
			});
			expect(await broker.call("honest.ask", { how })).toEqual({
				user: undefined,
				address: undefined
			});
		}
	);

	it("checks at every call, by a rejection", async () => {
		const call = (roles?: Role[]) =>
			broker.call("honest.forStaff", {}, { meta: { user: identity(roles) } });
		expect(await call(["staff"])).toBe("secret");
		const refused = call(["customer"]);
		await expect(refused).rejects.toMatchObject({ code: 403, type: "FORBIDDEN" });
		await expect(call()).rejects.toMatchObject({ code: 401, type: "UNAUTHENTICATED" });
	});

	it.each([
		["without `access`", { handler: () => 1 }],
		["as a bare function", () => 1]
	])("refuses to load an action %s", (_, action) => {
		expect(() =>
			broker.createService({ name: "open", actions: { door: action } } as never)
		).toThrow("Action 'open.door' has no 'access'");
	});

	it("loads Moleculer's own actions, and those that only their service can reach", async () => {
		expect(await broker.call("$node.list")).toHaveLength(1);
		await expect(broker.call("honest.secret")).rejects.toMatchObject({ code: 404 });
	});
});
