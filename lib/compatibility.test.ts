import { Type, type TObject, type TSchema } from "typebox";
import { additions, breakingChanges } from "./compatibility.ts";
import { contract, type ActionContract, type ServiceContract } from "./contract.ts";

const Params = (properties: Record<string, TSchema>) =>
	Type.Object(properties, { additionalProperties: false });
const params = {
	size: Type.Integer({ minimum: 1 }),
	title: Type.Optional(Type.String({ description: "What it says", examples: ["x"] }))
};
const result = {
	id: Type.String({ format: "uuid" }),
	status: Type.Enum(["open", "closed"]),
	note: Type.Optional(Type.String()),
	parent: Type.Union([Type.String(), Type.Null()]),
	lines: Type.Array(Type.Object({ quantity: Type.Integer() }))
};
const data = { id: Type.String(), note: Type.Optional(Type.String()) };

const get = {
	summary: "Read a box",
	access: "user",
	rest: { route: "GET /boxes/:id", tag: "Boxes", status: 200 },
	idempotent: true,
	params: Params(params),
	result: Type.Object(result) as TSchema,
	failures: ["EMPTY", "NOT_FOUND"]
} satisfies ActionContract;
const internal = {
	summary: "Count boxes",
	access: "internal",
	params: Params({}),
	result: Type.Integer() as TSchema
} satisfies ActionContract;

interface Changed {
	readonly get?: Partial<ActionContract> | null;
	readonly internal?: Partial<ActionContract>;
	readonly params?: Record<string, TSchema>;
	readonly result?: Record<string, TSchema>;
	readonly event?: TObject | null;
	readonly failures?: ServiceContract["failures"];
	readonly more?: Record<string, ActionContract>;
}
const EMPTY = { status: 409, message: "The box is empty." };
/** The contract, with something changed. */
const boxes = (changed: Changed = {}) =>
	contract({
		name: "boxes",
		failures: changed.failures ?? { EMPTY },
		actions: {
			...(changed.get === null
				? {}
				: {
						get: {
							...get,
							params: changed.params ? Params(changed.params) : get.params,
							result: changed.result ? Type.Object(changed.result) : get.result,
							...changed.get
						}
					}),
			internal: { ...internal, ...changed.internal },
			...changed.more
		},
		events:
			changed.event === null
				? {}
				: {
						"box.opened.v1": {
							summary: "Somebody looked",
							data: changed.event ?? Type.Object(data)
						}
					}
	}) as ServiceContract;
/** As it stands in the file that froze it. */
const promised = JSON.parse(JSON.stringify([boxes()])) as ServiceContract[];
const broken = (changed: Changed) =>
	breakingChanges(promised, [boxes(changed)]).map(({ text }) => text);
const added = (changed: Changed) =>
	additions(promised, [boxes(changed)]).map(({ kind, subject }) => `${kind} ${subject}`);
const without = <T extends object>(fields: T, name: keyof T) => {
	const { [name]: _, ...rest } = fields;
	return rest as Record<string, TSchema>;
};

describe("what keeps every promise", () => {
	it.each<[string, Changed]>([
		["nothing has changed", {}],
		["an optional parameter more", { params: { ...params, colour: Type.Optional(Type.String()) } }],
		["an optional result more", { result: { ...result, colour: Type.Optional(Type.String()) } }],
		[
			"an optional field more, deep inside",
			{
				result: {
					...result,
					lines: Type.Array(
						Type.Object({ quantity: Type.Integer(), gift: Type.Optional(Type.Boolean()) })
					)
				}
			}
		],
		[
			"an optional field more in an event",
			{ event: Type.Object({ ...data, colour: Type.Optional(Type.String()) }) }
		],
		["a tag where none was", { get: { rest: { ...get.rest, etag: ["size"] } } }],
		[
			"a header that may be left away, and what becomes of an Idempotency-Key",
			{
				params: { ...params, colour: Type.Optional(Type.String()) },
				get: {
					params: Params({ ...params, colour: Type.Optional(Type.String()) }),
					rest: {
						...get.rest,
						headers: { "x-colour": "colour" },
						queryPrefix: { "tag.": "colour" },
						idempotencyKey: "refused"
					}
				}
			}
		],
		["an action more", { more: { count: internal } }],
		[
			"a failure more",
			{ failures: { EMPTY, FULL: EMPTY }, get: { failures: ["EMPTY", "NOT_FOUND", "FULL"] } }
		],
		["a route for what had none", { internal: { rest: { route: "GET /count", tag: "Boxes" } } }],
		["that it may be repeated by now", { internal: { idempotent: true } }],
		[
			"another summary, tag, time limit, cache, rate limit or priority",
			{
				get: {
					summary: "Look",
					timeout: 1,
					cache: { keys: ["size"], ttl: 1 },
					rest: { ...get.rest, tag: "Box", limit: { cost: 2 }, priority: "low" }
				}
			}
		],
		[
			"other explanations",
			{ params: { ...params, title: Type.Optional(Type.String({ description: "Another" })) } }
		],
		[
			"another order of a list of choices",
			{ result: { ...result, status: Type.Enum(["closed", "open"]) } }
		]
	])("%s", (_, changed) => {
		expect(broken(changed)).toEqual([]);
	});
});

describe("what breaks a promise", () => {
	it("is a tag that is gone, or made of something else", () => {
		const tagged = (...etag: string[]) => boxes({ get: { rest: { ...get.rest, etag } } });
		const breaks = (after: ServiceContract) =>
			breakingChanges([tagged("size")], [after]).map(({ text }) => text);
		expect(breaks(boxes())).toEqual(['boxes.get rest etag was ["size"] and is absent']);
		expect(breaks(tagged("note"))).toEqual(['boxes.get rest etag[0] was "size" and is "note"']);
	});

	it.each<[string, Changed, string[]]>([
		[
			"a header is required by now",
			{ get: { rest: { ...get.rest, required: ["x-colour"] } } },
			['boxes.get rest required was absent and is ["x-colour"]']
		],
		["a tag is made of something else", { get: { rest: { ...get.rest, etag: ["colour"] } } }, []],
		["an action is gone", { get: null }, ["boxes.get has been removed"]],
		["an event is gone", { event: null }, ["box.opened.v1 has been removed"]],
		[
			"a field of an event is gone",
			{ event: Type.Object(without(data, "note")) },
			["box.opened.v1.note has been removed"]
		],
		[
			"a field of an event has another type",
			{ event: Type.Object({ ...data, id: Type.Integer() }) },
			['box.opened.v1.id type was "string" and is "integer"']
		],
		[
			"an event has a field more that old events lack",
			{ event: Type.Object({ ...data, colour: Type.String() }) },
			["box.opened.v1.colour is new and not optional"]
		],
		[
			"an optional field of an event is required",
			{ event: Type.Object({ ...data, note: Type.String() }) },
			["box.opened.v1.note is required by now"]
		],
		[
			"a field of an event may be missing",
			{ event: Type.Object({ ...data, id: Type.Optional(Type.String()) }) },
			["box.opened.v1.id is not required any more"]
		],
		[
			"an event is closed",
			{ event: Type.Object(data, { additionalProperties: false }) },
			["box.opened.v1 additionalProperties was absent and is false"]
		],
		[
			"a parameter is new and required",
			{ params: { ...params, colour: Type.String() } },
			["boxes.get params.colour is new and not optional"]
		],
		[
			"a parameter is required by now",
			{ params: { ...params, title: Type.String() } },
			["boxes.get params.title is required by now"]
		],
		[
			"a parameter is gone",
			{ params: without(params, "title") },
			["boxes.get params.title has been removed"]
		],
		[
			"a parameter is narrower",
			{ params: { ...params, size: Type.Integer({ minimum: 2 }) } },
			["boxes.get params.size minimum was 1 and is 2"]
		],
		[
			"a parameter has a limit where it had none",
			{ params: { ...params, size: Type.Integer({ minimum: 1, maximum: 9 }) } },
			["boxes.get params.size maximum was absent and is 9"]
		],
		[
			"a field of the result is gone",
			{ result: without(result, "note") },
			["boxes.get result.note has been removed"]
		],
		[
			"a field deep in the result has another type",
			{ result: { ...result, lines: Type.Array(Type.Object({ quantity: Type.String() })) } },
			['boxes.get result.lines items.quantity type was "integer" and is "string"']
		],
		[
			"a choice of the result is gone",
			{ result: { ...result, status: Type.Enum(["open"]) } },
			['boxes.get result.status enum was ["open","closed"] and is ["open"]']
		],
		[
			"a choice of the result is new, which a switch does not know",
			{ result: { ...result, status: Type.Enum(["open", "closed", "lost"]) } },
			['boxes.get result.status enum was ["open","closed"] and is ["open","closed","lost"]']
		],
		[
			"a choice has another name",
			{ result: { ...result, status: Type.Enum(["open", "shut"]) } },
			['boxes.get result.status enum was ["open","closed"] and is ["open","shut"]']
		],
		[
			"what might be null may not any more",
			{ result: { ...result, parent: Type.Union([Type.String()]) } },
			[
				'boxes.get result.parent anyOf was [{"type":"string"},{"type":"null"}] and is [{"type":"string"}]'
			]
		],
		[
			"a result is another thing altogether",
			{ internal: { result: Type.Object({ n: Type.Integer() }) } },
			[
				'boxes.internal result properties was absent and is {"n":{"type":"integer"}}',
				'boxes.internal result required was absent and is ["n"]',
				'boxes.internal result type was "integer" and is "object"'
			]
		],
		[
			"others may call it",
			{ get: { access: "staff" } },
			['boxes.get access was "user" and is "staff"']
		],
		[
			"it has another route",
			{ get: { rest: { ...get.rest, route: "GET /box/:id" } } },
			['boxes.get rest route was "GET /boxes/:id" and is "GET /box/:id"']
		],
		[
			"it has another status",
			{ get: { rest: { ...get.rest, status: 201 } } },
			["boxes.get rest status was 200 and is 201"]
		],
		[
			"a header is required",
			{ get: { rest: { ...get.rest, required: ["if-match"] } } },
			['boxes.get rest required was absent and is ["if-match"]']
		],
		[
			"its route is gone",
			{ get: { rest: undefined as never } },
			[expect.stringMatching(/^boxes\.get rest was .* and is null$/)]
		],
		[
			"it may not be repeated any more",
			{ get: { idempotent: false } },
			["boxes.get is not idempotent any more"]
		],
		[
			"it does not tell a failure any more",
			{ get: { failures: ["NOT_FOUND"] } },
			["boxes.get failure EMPTY has been removed"]
		],
		[
			"a failure has another status",
			{ failures: { EMPTY: { ...EMPTY, status: 422 } } },
			["boxes.EMPTY was 409 and is 422"]
		],
		["a failure is gone", { failures: {} }, ["boxes.EMPTY has been removed"]]
	])("%s", (_, changed, expected) => {
		expect(broken(changed)).toEqual(expected);
	});

	it("is told for a whole service, each by its name", () => {
		expect(breakingChanges(promised, [])).toEqual(
			[
				["action", "boxes.get"],
				["action", "boxes.internal"],
				["event", "box.opened.v1"],
				["failure", "boxes.EMPTY"]
			].map(([kind, subject]) => ({ kind, subject, text: `${subject} has been removed` }))
		);
	});

	it("names what it breaks apart from the place where it does", () => {
		expect(breakingChanges(promised, [boxes({ result: without(result, "note") })])).toMatchObject([
			{ kind: "action", subject: "boxes.get" }
		]);
	});
});

describe("what is new", () => {
	const colour = Type.Optional(Type.String());

	it.each<[string, Changed, string[]]>([
		["nothing", {}, []],
		["nothing, where things are only explained anew", { get: { summary: "Look" } }, []],
		["an action", { more: { count: internal } }, ["action boxes.count"]],
		[
			"a failure, and who may tell it",
			{ failures: { EMPTY, FULL: EMPTY }, get: { failures: ["EMPTY", "NOT_FOUND", "FULL"] } },
			["failure boxes.get FULL", "failure boxes.FULL"]
		],
		[
			"a route for what had none",
			{ internal: { rest: { route: "GET /count", tag: "Boxes" } } },
			["route boxes.internal GET /count"]
		],
		["an optional parameter", { params: { ...params, colour } }, ["field boxes.get params.colour"]],
		[
			"an optional field deep in the result",
			{
				result: {
					...result,
					lines: Type.Array(Type.Object({ quantity: Type.Integer(), colour })),
					parent: Type.Union([Type.String(), Type.Null()])
				}
			},
			["field boxes.get result.lines items.colour"]
		],
		[
			"an optional field of an event",
			{ event: Type.Object({ ...data, colour }) },
			["field box.opened.v1.colour"]
		],
		[
			"no field that has to be there, which breaks",
			{ event: Type.Object({ ...data, colour: Type.String() }) },
			[]
		],
		["not what is gone", { get: null, event: null }, []]
	])("%s", (_, changed, expected) => {
		expect(added(changed)).toEqual(expected);
	});

	it("is a whole service", () => {
		expect(additions([], [boxes()]).map(({ subject }) => subject)).toEqual([
			"boxes.get",
			"boxes.internal",
			"box.opened.v1",
			"boxes.EMPTY"
		]);
	});
});
