import { Type } from "typebox";
import { allContracts } from "../../contracts/index.ts";
import type { ActionContract, RestContract, ServiceContract } from "../../lib/contract.ts";
import { routesOf } from "./routes.ts";

const shop = (actions: Record<string, Partial<ActionContract>>): ServiceContract => ({
	name: "shop",
	failures: {},
	events: {},
	actions: Object.fromEntries(
		Object.entries(actions).map(([name, action]) => [
			name,
			{ summary: "", access: "public", params: Type.Object({}), result: Type.Null(), ...action }
		])
	)
});
const params = Type.Object({
	id: Type.String(),
	key: Type.String(),
	dry: Type.Boolean(),
	note: Type.String()
});

describe("routes", () => {
	it("are made of all actions that declare one", () => {
		const declared = allContracts.flatMap(({ name, actions }) =>
			Object.entries(actions).flatMap(([action, { rest }]) => (rest ? [`${name}.${action}`] : []))
		);
		expect(routesOf(allContracts).map(({ action }) => action)).toEqual(declared);
		expect(declared.length).toBeGreaterThan(15);
	});

	it("stand below the prefix, but for a path with two slashes", () => {
		const [a, b] = routesOf([
			shop({
				a: { rest: { route: "GET /a", tag: "" } },
				b: { rest: { route: "GET //b", tag: "" } }
			})
		]);
		expect([a!.path, b!.path]).toEqual(["/api/v1/a", "/b"]);
	});

	it("give each parameter one source", () => {
		const route = (method: "POST" | "DELETE", more: Partial<RestContract> = {}) =>
			routesOf([
				shop({
					a: {
						params,
						rest: {
							route: `${method} /a/:id`,
							tag: "",
							headers: { "x-key": "key" },
							query: ["dry"],
							...more
						}
					}
				})
			])[0]!.sources;
		expect(Object.fromEntries(route("POST"))).toEqual({
			id: { in: "path", name: "id" },
			key: { in: "header", name: "x-key" },
			dry: { in: "query", name: "dry" },
			note: { in: "body", name: "note" }
		});
		expect(route("DELETE").get("note")).toEqual({ in: "query", name: "note" });
		expect(route("DELETE", { body: ["note"] }).get("note")).toEqual({ in: "body", name: "note" });
	});

	it.each<[string, Record<string, Partial<ActionContract>>, RegExp]>([
		[
			"an internal action",
			{ a: { access: "internal", rest: { route: "GET /a", tag: "" } } },
			/internal/
		],
		[
			"an action that must know who asks and does not look",
			{ a: { access: "user", rest: { route: "GET /a", tag: "", bearer: "ignored" } } },
			/a needs to know who asks/
		],
		[
			"two actions with one route",
			{
				a: { params, rest: { route: "GET /a/:id", tag: "" } },
				b: { params, rest: { route: "GET /a/:key", tag: "" } }
			},
			/shop\.b and shop\.a have the same route/
		],
		[
			"a path with an unknown parameter",
			{ a: { rest: { route: "GET /a/:id", tag: "" } } },
			/'id', which is no parameter/
		],
		[
			"a cookie for an unknown parameter",
			{ a: { rest: { route: "GET /a", tag: "", cookies: { x: "y" } } } },
			/'y'/
		],
		[
			"a cookie that no browser would keep",
			{
				a: {
					rest: { route: "GET /a", tag: "", setCookie: { name: "x; y", field: "z", maxAge: 1 } }
				}
			},
			/'x; y'/
		],
		[
			"a prefix for an unknown parameter",
			{ a: { rest: { route: "GET /a", tag: "", queryPrefix: { "x.": "y" } } } },
			/'y'/
		],
		[
			"a prefix before any names",
			{
				a: {
					params: Type.Object({ y: Type.Record(Type.String(), Type.String()) }),
					rest: { route: "GET /a", tag: "", queryPrefix: { "x.": "y" } }
				}
			},
			/any names for 'y'/
		],
		[
			"a header for an unknown parameter",
			{ a: { rest: { route: "GET /a", tag: "", headers: { x: "y" } } } },
			/'y'/
		]
	])("refuse %s", (_, actions, message) => {
		expect(() => routesOf([shop(actions)])).toThrow(message);
	});
});
