import { users } from "../../contracts/users.ts";
import type { Role } from "../../contracts/users.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { People } from "./accounts.fixtures.ts";

describe("users", () => {
	let node: TestNode;
	let people: People;
	beforeAll(async () => {
		node = await startTestNode(["users"]);
		people = new People(node);
	});
	afterAll(() => node.stop());

	it("tells somebody about themselves, and about nobody else", async () => {
		const [ada, bob] = [await people.signedIn(), await people.signedIn()];
		expect(await node.call("users.me", {}, ada.identity)).toEqual(ada.user);
		expect(await node.call("users.me", {}, bob.identity)).toEqual(bob.user);
		await expect(node.call("users.me", {})).rejects.toMatchObject({ code: 401 });
		await expect(node.call("users.me", {}, somebody())).rejects.toMatchObject({
			type: "UNAUTHENTICATED"
		});
	});

	it("has no other actions than those of the contract", () => {
		const names = node.broker.registry
			.getActionList({ onlyLocal: true })
			.map(({ name }: { name: string }) => name)
			.filter((name: string) => name.startsWith("users."));
		expect(names).toEqual(Object.keys(users.actions).map(name => `users.${name}`));
	});

	describe("a profile", () => {
		it("is changed where it is the version that was read, and tells others how one is called", async () => {
			const { identity, user } = await people.signedIn();
			const change = { name: "Ada", phone: "+44 20 7946 0000", avatarUrl: "https://example.com/a" };
			const changed = await node.call("users.update", { ...change, ifMatch: [1] }, identity);
			expect(changed).toMatchObject({ ...change, version: 2, username: user.username });
			await expect(
				node.call("users.update", { name: "Eve", ifMatch: [1] }, identity)
			).rejects.toMatchObject({ type: "VERSION_MISMATCH" });
			expect(await node.call("users.update", { name: null }, identity)).toMatchObject({
				name: null,
				phone: change.phone
			});
			const told = (await node.recorded("users", "user.updated.v1"))
				.map(({ data }) => data as { userId: string })
				.filter(({ userId }) => userId === user.id);
			expect(told).toEqual([
				{ userId: user.id, username: user.username, name: "Ada" },
				{ userId: user.id, username: user.username, name: null }
			]);
		});

		it("is told of, and gets another version, only where something is other than before", async () => {
			const { identity, user } = await people.signedIn();
			const same = { username: user.username, name: null };
			expect(await node.call("users.update", {}, identity)).toEqual(user);
			expect(await node.call("users.update", same, identity)).toEqual(user);
			expect(
				await node.call("users.updatePreferences", { currency: "EUR" }, identity)
			).toMatchObject({ version: 1 });
			expect(await people.factsOf(user.id)).not.toContain("user.preferences-changed.v1");
		});

		it("takes no username that is somebody else's, in whatever case", async () => {
			const [ada, bob] = [await people.signedIn(), await people.signedIn()];
			await expect(
				node.call("users.update", { username: bob.user.username.toUpperCase() }, ada.identity)
			).rejects.toMatchObject({ type: "USERNAME_TAKEN", code: 409 });
			const own = ada.user.username.toUpperCase();
			expect(await node.call("users.update", { username: own }, ada.identity)).toMatchObject({
				username: own
			});
		});

		it.each([
			{ avatarUrl: "http://example.com/a.png" },
			{ avatarUrl: "javascript:alert(1)" },
			{ phone: "call me" },
			{ username: "a b" },
			{ roles: ["admin"] },
			{ emailVerified: true }
		])("refuses %j", async change => {
			const { identity } = await people.signedIn();
			await expect(node.call("users.update", change as never, identity)).rejects.toMatchObject({
				type: "VALIDATION_ERROR"
			});
		});
	});

	it("keeps preferences beside the profile, with a version of their own", async () => {
		const { identity, user } = await people.signedIn();
		expect(await node.call("users.preferences", {}, identity)).toEqual({
			locale: "en",
			timeZone: "UTC",
			currency: "EUR",
			version: 1
		});
		const wish = { timeZone: "Europe/London", ifMatch: [1] };
		const changed = await node.call("users.updatePreferences", wish, identity);
		expect(changed).toMatchObject({ timeZone: "Europe/London", locale: "en", version: 2 });
		await expect(node.call("users.updatePreferences", wish, identity)).rejects.toMatchObject({
			type: "VERSION_MISMATCH"
		});
		expect((await node.call("users.me", {}, identity)).version).toBe(user.version);
		expect((await people.factsOf(user.id)).at(-1)).toBe("user.preferences-changed.v1");
	});

	describe("for admins", () => {
		const admin = async () => {
			const someone = await people.signedIn();
			await people.sql("UPDATE users SET roles = '{admin}' WHERE id = $1", [someone.user.id]);
			return { ...someone, identity: { ...someone.identity, roles: ["admin"] as Role[] } };
		};

		it("are listed by page, name, role and status; nobody else may look", async () => {
			const root = await admin();
			const made = [await people.signedIn(), await people.signedIn(), await people.signedIn()];
			const ids = made.map(({ user }) => user.id).toReversed();
			const first = await node.call("users.list", { limit: 2 }, root.identity);
			expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
			const cursor = first.nextCursor!;
			const second = await node.call("users.list", { limit: 2, cursor }, root.identity);
			expect(second.items[0]!.id).toBe(ids[2]);
			await expect(
				node.call("users.list", { cursor, role: "staff" }, root.identity)
			).rejects.toMatchObject({ type: "INVALID_CURSOR" });
			const { username, email } = made[0]!.user;
			for (const q of [username.toUpperCase(), email.slice(2, -3)])
				expect((await node.call("users.list", { q }, root.identity)).items).toEqual([
					made[0]!.user
				]);
			// What is looked for is no pattern.
			expect((await node.call("users.list", { q: "%" }, root.identity)).items).toEqual([]);
			const admins = await node.call("users.list", { role: "admin" }, root.identity);
			expect(admins.items.map(({ id }) => id)).toContain(root.user.id);
			expect(await node.call("users.get", { id: ids[0]! }, root.identity)).toEqual(made[2]!.user);
			for (const action of ["users.list", "users.get"] as const)
				await expect(
					node.call(
						action,
						(action === "users.get" ? { id: ids[0]! } : {}) as never,
						somebody("staff")
					)
				).rejects.toMatchObject({ code: 403 });
		});

		it("may be disabled, which ends their sessions and all ways in, and enabled again", async () => {
			const [root, ada] = [await admin(), await people.signedIn()];
			const manage = (status: "active" | "disabled") =>
				node.call("users.manage", { id: ada.user.id, status }, root.identity);
			expect(await manage("disabled")).toMatchObject({ status: "disabled", version: 2 });
			await expect(people.login(ada.who.email)).rejects.toMatchObject({
				type: "INVALID_CREDENTIALS"
			});
			await expect(
				node.call("auth.refresh", { refreshToken: ada.tokens.refreshToken })
			).rejects.toMatchObject({ code: 401 });
			const [revoked] = (await node.recorded("users", "session.revoked.v1")).slice(-1);
			expect(revoked!.data).toMatchObject({ userId: ada.user.id, cause: "disabled" });
			await manage("active");
			await people.login(ada.who.email);
			const { items } = await node.call("audit.mine", {}, ada.identity);
			expect(items.filter(({ by }) => by === "admin").map(({ type }) => type)).toEqual([
				"enabled",
				"disabled"
			]);
		});

		it("get other roles at once: what was signed in with the old ones ends", async () => {
			const [root, ada] = [await admin(), await people.signedIn()];
			await node.call("users.manage", { id: ada.user.id, roles: ["staff"] }, root.identity);
			await expect(
				node.call("auth.refresh", { refreshToken: ada.tokens.refreshToken })
			).rejects.toMatchObject({ code: 401 });
			const { user } = await people.login(ada.who.email);
			expect(user.roles).toEqual(["staff"]);
			expect(await people.factsOf(ada.user.id)).toContain("user.roles-changed.v1");
		});

		it("does nothing where nothing is changed", async () => {
			const [root, ada] = [await admin(), await people.signedIn()];
			const same = { id: ada.user.id, roles: ada.user.roles, status: "active" as const };
			expect(await node.call("users.manage", same, root.identity)).toEqual(ada.user);
			await node.call("auth.refresh", { refreshToken: ada.tokens.refreshToken });
		});

		it("keep one admin, also where two take it from each other at once", async () => {
			await people.sql("UPDATE users SET roles = '{customer}'");
			const [one, two] = [await admin(), await admin()];
			const demote = (who: typeof one, by: typeof one) =>
				node.call("users.manage", { id: who.user.id, roles: ["customer"] }, by.identity);
			const results = await Promise.allSettled([demote(one, two), demote(two, one)]);
			const refused = results.filter(result => result.status === "rejected");
			expect(refused).toHaveLength(1);
			expect(refused[0]!.reason).toMatchObject({ type: "LAST_ADMIN", code: 409 });
			expect(await people.sql("SELECT id FROM users WHERE 'admin' = ANY (roles)")).toHaveLength(1);
		});
	});
});
