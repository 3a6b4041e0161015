import { randomUUID } from "node:crypto";
import { Registry } from "prom-client";
import { Type } from "typebox";
import { testDatabase } from "../../tests/support/database.ts";
import { envelope } from "../../tests/support/publisher.ts";
import type { EventContract } from "../contract.ts";
import type { Database } from "../database.ts";
import { EventMetrics } from "../metrics.ts";
import { declareEvents, isKnown, olderTypes, problemsOf } from "./catalog.ts";
import type { Envelope } from "./envelope.ts";
import { Inbox } from "./inbox.ts";

const Name = Type.Object({ name: Type.String() }, { additionalProperties: false });
const Names = Type.Object({ names: Type.Array(Type.String()) }, { additionalProperties: false });
const Counted = Type.Object(
	{ names: Type.Array(Type.String()), count: Type.Integer() },
	{ additionalProperties: false }
);

declareEvents({
	events: {
		"badge.named.v1": { summary: "One name", data: Name },
		"badge.named.v2": {
			summary: "Several names",
			data: Names,
			upcasts: { from: "badge.named.v1", upcast: ({ name }) => ({ names: [name] }) }
		},
		"badge.named.v3": {
			summary: "And how many they are",
			data: Counted,
			upcasts: {
				from: "badge.named.v2",
				upcast: ({ names }) => ({ names, count: names.length })
			}
		}
	}
});

describe("the catalog of events", () => {
	it("knows what is declared, in the registry or beside it, and judges its data as it is", () => {
		expect(["order.created.v1", "badge.named.v2", "badge.named.v4"].map(isKnown)).toEqual([
			true,
			true,
			false
		]);
		expect(problemsOf("badge.named.v1", { name: "ada" })).toEqual([]);
		expect(problemsOf("badge.named.v1", { name: 1, more: true }).map(({ field }) => field)).toEqual(
			expect.arrayContaining(["name"])
		);
		// Nobody here can say.
		expect(problemsOf("badge.named.v4", {})).toEqual([]);
	});

	it("knows the way from each older version", () => {
		const ways = olderTypes("badge.named.v3");
		expect([...ways.keys()]).toEqual(["badge.named.v2", "badge.named.v1"]);
		expect(ways.get("badge.named.v1")!.data({ name: "ada" })).toEqual({ names: ["ada"], count: 1 });
		expect(ways.get("badge.named.v2")!.data({ names: [] })).toEqual({ names: [], count: 0 });
		expect(olderTypes("badge.named.v1").size).toBe(0);
		expect(olderTypes("badge.named.v4").size).toBe(0);
	});

	it.each([
		["badge.named.v4", "badge.named.v4"],
		["badge.named.v4", "badge.named.v5"],
		["badge.named.v4", "badge.lost.v1"],
		["badge.named.v10", "badge.named.v11"]
	] as const)("refuses a %s that is made from %s, which is not older", (type, from) => {
		const contract: EventContract = { summary: "", data: Name, upcasts: { from, upcast: d => d } };
		expect(() => declareEvents({ events: { [type]: contract } })).toThrow(
			`${type} says that it is made from ${from}, which is no older version of it.`
		);
		expect(isKnown(type)).toBe(false);
	});

	it("takes version 10 for newer than version 9", () => {
		expect(() =>
			declareEvents({
				events: {
					"badge.kept.v10": {
						summary: "",
						data: Name,
						upcasts: { from: "badge.kept.v9", upcast: d => d }
					}
				}
			})
		).not.toThrow();
	});
});

describe("a handler", () => {
	let db: Database;
	beforeAll(async () => {
		db = await testDatabase("users");
	});
	afterAll(() => db.close());

	/** A consumer with handlers for these versions; gives what each of them was given. */
	function consumer(...versions: number[]) {
		const given: [handler: string, type: string, data: unknown][] = [];
		const inbox = new Inbox({
			database: db,
			consumer: `c-${randomUUID()}`,
			handlers: new Map(
				versions.map(version => [
					`badge.named.v${version}`,
					async event => void given.push([`v${version}`, event.type, event.data])
				])
			),
			ordered: true,
			metrics: new EventMetrics(new Registry()),
			logger: { info() {}, warn() {}, error() {} }
		});
		return { inbox, given };
	}
	const story = (): Envelope[] => {
		const id = randomUUID();
		return [{ name: "ada" }, { names: ["bob", "eve"] }, { names: ["kim"], count: 1 }].map(
			(data, index) => ({
				...envelope("session.revoked.v1", id, index + 1, data as never),
				type: `badge.named.v${index + 1}`,
				aggregatetype: "badge",
				subject: `badge/${id}`
			})
		);
	};
	const deliver = async ({ inbox }: ReturnType<typeof consumer>, events: Envelope[]) => {
		for (const event of events) expect(await inbox.consume(event, 1)).toEqual({ done: true });
	};

	it("is given older versions as its own", async () => {
		const third = consumer(3);
		await deliver(third, story());
		expect(third.given).toEqual([
			["v3", "badge.named.v3", { names: ["ada"], count: 1 }],
			["v3", "badge.named.v3", { names: ["bob", "eve"], count: 2 }],
			["v3", "badge.named.v3", { names: ["kim"], count: 1 }]
		]);
		expect(third.inbox.handlerOf("badge.named.v1")).toBe("badge.named.v3");
	});

	it("of an older version is not given newer ones: they are only counted", async () => {
		const second = consumer(2);
		await deliver(second, story());
		expect(second.given).toEqual([
			["v2", "badge.named.v2", { names: ["ada"] }],
			["v2", "badge.named.v2", { names: ["bob", "eve"] }]
		]);
		expect(second.inbox.handlerOf("badge.named.v3")).toBeUndefined();
	});

	it.each([
		[
			[1, 2, 3],
			["v1", "v2", "v3"]
		],
		[
			[1, 3],
			["v1", "v3", "v3"]
		],
		[
			[2, 3],
			["v2", "v2", "v3"]
		],
		// In whichever order they are written.
		[
			[3, 2],
			["v2", "v2", "v3"]
		],
		[
			[3, 1],
			["v1", "v3", "v3"]
		]
	])("of %j takes what is nearest to it: %j", async (versions, takers) => {
		const some = consumer(...versions);
		await deliver(some, story());
		expect(some.given.map(([handler]) => handler)).toEqual(takers);
		for (const [handler, type] of some.given) expect(type).toBe(`badge.named.${handler}`);
	});

	it("is not given data that breaks the contract of the version that it was recorded in", async () => {
		const third = consumer(3);
		const [first] = story();
		expect((await third.inbox.consume({ ...first!, data: { names: ["ada"] } }, 1)).done).toBe(true);
		expect(third.given).toEqual([]);
		expect(
			await db.query(
				"SELECT state, reason, error->>'message' AS message FROM dead_letter WHERE event_id = $1",
				[first!.id]
			)
		).toEqual([
			{
				state: "dead",
				reason: "the data breaks the contract",
				message: expect.stringContaining("The data of badge.named.v1 breaks its contract")
			}
		]);
	});
});
