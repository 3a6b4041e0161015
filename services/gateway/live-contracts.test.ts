import { Type } from "typebox";
import { Params } from "../../contracts/common.ts";
import { contract, type ActionContract, type ServiceContract } from "../../lib/contract.ts";
import { implement } from "../../lib/service.ts";
import { LiveContracts, type Announced } from "./live-contracts.ts";

const get = {
	summary: "Read a box",
	access: "user",
	rest: { route: "GET /boxes/:id", tag: "Boxes" },
	idempotent: true,
	params: Params({ id: Type.String() }),
	result: Type.Object({ id: Type.String() }),
	failures: ["NOT_FOUND", "BOX_SHUT"]
} as const satisfies ActionContract;
const boxes = (action: Partial<ActionContract> = {}, name = "boxes"): ServiceContract =>
	contract({
		name,
		failures: { BOX_SHUT: { status: 409, message: "The box is shut." } },
		actions: { get: { ...get, ...action } as typeof get },
		events: {}
	});
/** What a node that has this contract tells the others of it, as it comes to them. */
function announced(service: ServiceContract, node = "node-1"): Announced[] {
	const { actions } = implement(service)({ actions: {} });
	return Object.entries(actions!).map(([name, schema]) => ({
		service: service.name,
		name,
		node,
		schema: JSON.parse(JSON.stringify(schema)) as Record<string, unknown>
	}));
}
/** The same, with something in it that no contract of ours would have. */
const spoilt = (change: Record<string, unknown>): Announced[] =>
	announced(boxes()).map(action => ({ ...action, schema: { ...action.schema, ...change } }));
const pathsOf = (live: LiveContracts) => live.routes.map(({ method, path }) => `${method} ${path}`);
const later = {
	params: Params({ id: Type.String(), size: Type.Optional(Type.Integer()) })
} satisfies Partial<ActionContract>;
const another = {
	params: Params({ id: Type.Integer() })
} satisfies Partial<ActionContract>;

describe("a service that joins", () => {
	it("is led to as its contract says, though it is none that this code knows", () => {
		const live = new LiveContracts([]);
		expect(live.update(announced(boxes()))).toBe(true);
		expect(live.update(announced(boxes()))).toBe(false);
		expect(pathsOf(live)).toEqual(["GET /api/v1/boxes/:id"]);
		expect(live.contracts).toMatchObject([{ name: "boxes", actions: { get: { access: "user" } } }]);
		expect(live.failures.get("BOX_SHUT")).toEqual({ status: 409, message: "The box is shut." });
		expect(live.refused).toEqual([]);
		expect(live.isPresent("boxes.get")).toBe(true);
	});

	it("stays in the table when it has left, and is the same one when it comes back", () => {
		const live = new LiveContracts([]);
		live.update(announced(boxes()));
		expect(live.update([])).toBe(false);
		expect(pathsOf(live)).toEqual(["GET /api/v1/boxes/:id"]);
		expect(live.isPresent("boxes.get")).toBe(false);
		live.update(announced(boxes(another)));
		expect(live.isRefused("boxes.get")).toBe(true);
		expect(live.refused[0]!.reasons[0]).toMatch(/^boxes\.get params\.id type was "string"/);
		live.update(announced(boxes()));
		expect(live.isRefused("boxes.get")).toBe(false);
	});

	it("may promise more than before, and then has", () => {
		const live = new LiveContracts([]);
		live.update(announced(boxes()));
		expect(live.update(announced(boxes(later)))).toBe(true);
		expect(live.routes[0]!.sources.has("size")).toBe(true);
		// A node of the version before is still there, or comes back.
		expect(live.update([...announced(boxes(later)), ...announced(boxes(), "node-2")])).toBe(false);
		expect(live.refused).toEqual([]);
	});

	it("says what it costs and who comes first, and may say otherwise later", () => {
		const live = new LiveContracts([]);
		const rest = { ...get.rest, limit: { cost: 20 }, priority: "low" } as const;
		live.update(announced(boxes({ rest })));
		expect(live.routes[0]!.rest).toMatchObject({ limit: { cost: 20 }, priority: "low" });
		expect(live.update(announced(boxes({ rest: { ...rest, limit: { cost: 2 } } })))).toBe(true);
		expect(live.routes[0]!.rest.limit).toEqual({ cost: 2 });
		expect(live.refused).toEqual([]);
	});

	it.each<[string, Record<string, unknown>]>([
		["an unknown priority", { priority: "highest" }],
		["a cost that gives points back", { limit: { cost: -5 } }],
		["a cost that is no number", { limit: { cost: "5" } }],
		["an unknown attempt", { limit: { attempt: "toString" } }],
		["an account that is no parameter", { limit: { attempt: "login", account: "toString" } }]
	])("is refused where its route has %s", (_, change) => {
		const live = new LiveContracts([]);
		live.update(spoilt({ route: { ...get.rest, ...change } }));
		expect(live.refused).toMatchObject([{ reasons: [expect.stringMatching(/limit|priority/)] }]);
		expect(live.routes).toEqual([]);
	});

	it("is of no concern where it has no route", () => {
		const live = new LiveContracts([]);
		const { rest: _, ...internal } = get;
		const service = { ...boxes(), actions: { get: { ...internal, access: "internal" } as const } };
		expect(live.update(announced(service))).toBe(false);
		expect([live.routes, live.refused]).toEqual([[], []]);
	});

	it.each<[string, Announced[], RegExp]>([
		["is internal", spoilt({ access: "internal" }), /internal/],
		["does not say who may call it", spoilt({ access: undefined }), /who may call/],
		["invents an access", spoilt({ access: "friends" }), /who may call/],
		["has no method", spoilt({ route: { ...get.rest, route: "/boxes" } }), /method/],
		["has a pattern for a path", spoilt({ route: { ...get.rest, route: "GET /(.*)" } }), /method/],
		["has no tag", spoilt({ route: { route: "GET /boxes/:id" } }), /tag/],
		["takes a parameter from nowhere", spoilt({ params: Params({}) }), /'id'/],
		["describes no parameters", spoilt({ params: { id: "string" } }), /JSON Schema/],
		["describes them wrongly", spoilt({ params: { ...get.params, required: 1 } }), /schema/],
		["describes no result", spoilt({ result: undefined }), /result/],
		["names failures only", spoilt({ failures: ["BOX_SHUT"] }), /table/],
		[
			"gives a failure a status of success",
			spoilt({ failures: { BOX_SHUT: { status: 200, message: "" } } }),
			/table/
		],
		[
			"gives a failure another status than it has",
			spoilt({ failures: { NOT_FOUND: { status: 410, message: "" } } }),
			/another status/
		],
		[
			"has a title that is taken",
			announced(boxes({ result: Type.Object({ a: Type.Null() }, { title: "Owned" }) })),
			/Owned/
		],
		[
			"has a route that is taken",
			announced(boxes({ rest: { route: "GET /owned/:id", tag: "" } })),
			/same route/
		]
	])("is refused where it %s", (_, actions, reason) => {
		const owned = boxes(
			{ rest: { route: "GET /owned/:id", tag: "" }, result: Type.Object({}, { title: "Owned" }) },
			"owned"
		);
		const live = new LiveContracts([owned]);
		expect(live.update(actions)).toBe(false);
		expect(live.refused).toEqual([
			{ action: "boxes.get", node: "node-1", reasons: [expect.stringMatching(reason)] }
		]);
		expect(pathsOf(live)).toEqual(["GET /api/v1/owned/:id"]);
	});
});

describe("a service that this code knows", () => {
	it.each<[string, Partial<ActionContract>, boolean]>([
		["is as it is known", {}, false],
		["promises more", later, false],
		["promises something else", another, true],
		["wants to be called by others", { access: "public" }, true],
		["has moved", { rest: { route: "GET /crates/:id", tag: "" } }, true]
	])("is refused where it %s: %s", (_, change, refused) => {
		const live = new LiveContracts([boxes()]);
		live.update(announced(boxes(change)));
		expect(live.isRefused("boxes.get")).toBe(refused);
		// What is published here does not change by that.
		expect(live.contracts).toEqual([boxes()]);
	});

	it("may be one of the version before, which promised less", () => {
		const live = new LiveContracts([boxes(later)]);
		live.update(announced(boxes()));
		expect(live.refused).toEqual([]);
		const { rest: _, ...unrouted } = get;
		live.update(announced({ ...boxes(), actions: { get: unrouted } }));
		expect(live.refused).toEqual([]);
	});

	it("is not judged where its code does not tell enough of it yet", () => {
		const live = new LiveContracts([boxes()]);
		const old = announced(boxes(another)).map(({ schema, ...action }) => {
			const { failures: _, ...told } = schema;
			return { ...action, schema: told };
		});
		live.update(old);
		expect(live.refused).toEqual([]);
	});

	it("may get an action more", () => {
		const live = new LiveContracts([boxes()]);
		const more = {
			...boxes(),
			actions: {
				...boxes().actions,
				list: { ...get, rest: { route: "GET /boxes", tag: "" }, params: Params({}) } as const
			}
		};
		live.update(announced(more));
		expect(live.refused).toEqual([]);
		expect(pathsOf(live)).toEqual(["GET /api/v1/boxes/:id", "GET /api/v1/boxes"]);
	});
});
