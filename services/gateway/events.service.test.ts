import { randomUUID } from "node:crypto";
import type { DeadLetter } from "../../contracts/events.ts";
import { GROUPS, UNITS, type Group } from "../../lib/config.ts";
import { OPERATOR } from "../../lib/identity.ts";
import { encodeCursor } from "../../lib/cursor.ts";
import { envelope } from "../../tests/support/publisher.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";
import { problem, startGateway, type TestGateway } from "./gateway.fixtures.ts";
import { topicsOf } from "./topics.ts";

/** A dead letter as if its consumer were no more: it stays what it is. */
async function bury(node: TestNode, group: Group, at: Date, consumer = "former"): Promise<void> {
	const id = randomUUID();
	const event = envelope("inventory.committed.v1", id, 1, { orderId: id });
	await node.runtime.database(group).query(
		`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id,
		   aggregate_version, envelope, reason, deliveries, created_at)
		 VALUES ($1, $2, $3, 'inventory', $4, 1, $5::jsonb, 'the handler failed', 8, $6)`,
		[consumer, event.id, event.type, id, JSON.stringify(event), at]
	);
}

const admin = somebody("admin");
const key = { idempotencyKey: "k" };

describe("the events of all groups", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(UNITS);
	}, 60_000);
	afterAll(() => node.stop());

	it("are shown by topic, in one process with the outbox as the queue", async () => {
		const id = randomUUID();
		await node.runtime
			.database("catalog")
			.transaction(async tx =>
				tx.record("inventory.expired.v1", { id, version: 1 }, { orderId: id })
			);
		await node.settled("catalog");
		const { items } = await node.call("events.topics", {}, admin);
		expect(items.map(({ topic }) => topic)).toEqual([
			"catalog-data.events",
			"inventory.events",
			"notifications-data.events",
			"order.events",
			"orders-data.events",
			"payment.events",
			"user.events"
		]);
		expect(items[1]).toMatchObject({
			messages: 1,
			newestAt: expect.any(String),
			unpublished: 0,
			consumers: [{ name: "orders", group: "orders", pending: 0, unacknowledged: 0, dead: 0 }]
		});
	});

	describe("that are dead letters", () => {
		const start = Date.now() - 60_000;
		beforeAll(async () => {
			// Two of each moment in each group, in no order.
			for (const offset of [3, 1, 2, 0])
				for (const group of GROUPS)
					for (const consumer of ["former", "earlier"])
						await bury(node, group, new Date(start + offset), consumer);
		});

		it("are one list, whose pages neither overlap nor leave one out", async () => {
			const pages: DeadLetter[][] = [];
			for (let cursor: string | null = null; ;) {
				const page: { items: DeadLetter[]; nextCursor: string | null } = await node.call(
					"events.deadLetters",
					{ limit: 5, ...(cursor ? { cursor } : {}) },
					admin
				);
				pages.push(page.items);
				cursor = page.nextCursor;
				if (!cursor) break;
			}
			expect(pages.map(({ length }) => length)).toEqual([5, 5, 5, 5, 5, 5, 2]);
			const all = pages.flat();
			expect(new Set(all.map(({ id }) => id)).size).toBe(32);
			const times = all.map(({ createdAt }) => createdAt);
			expect(times).toEqual([...times].sort());
		});

		it("are found by what they are of", async () => {
			const count = async (params: object) =>
				(await node.call("events.deadLetters", { limit: 100, ...params }, admin)).items.length;
			expect(await count({ consumer: "former" })).toBe(16);
			expect(await count({ topic: "inventory.events", type: "inventory.committed.v1" })).toBe(32);
			expect(await count({ topic: "order.events" })).toBe(0);
			expect(await count({ state: "parked" })).toBe(0);
		});

		it("are not found by a cursor that no page gave", async () => {
			const all = { list: "events.deadLetters", filters: Array(5).fill(undefined) };
			const place = { createdAt: new Date().toISOString(), id: "orders-1" };
			for (const cursor of [
				"nonsense",
				encodeCursor(all, null),
				encodeCursor(all, { ...place, createdAt: "yesterday" }),
				encodeCursor(all, { ...place, createdAt: "2026-99-99T00:00:00.000Z" }),
				encodeCursor(all, { ...place, id: "orders-x" }),
				encodeCursor({ ...all, list: "orders.list" }, place)
			])
				await expect(node.call("events.deadLetters", { cursor }, admin)).rejects.toMatchObject({
					type: "INVALID_CURSOR"
				});
			const cursor = encodeCursor(all, place);
			await expect(node.call("events.deadLetters", { cursor }, admin)).resolves.toBeDefined();
			await expect(
				node.call("events.deadLetters", { cursor, consumer: "former" }, admin)
			).rejects.toMatchObject({ type: "INVALID_CURSOR" });
		});

		it("are replayed as a dry run has shown them, in whichever group they are", async () => {
			const letters = (await node.call("events.deadLetters", { limit: 100 }, admin)).items;
			const ids = ["users", "orders"].map(name => letters.find(({ group }) => group === name)!.id);
			const plan = await node.call("events.replay", { ids, dryRun: true, ...key }, admin);
			expect(plan).toMatchObject({ dryRun: true, snapshotId: expect.any(String) });
			expect(plan.items.map(({ id }) => id)).toEqual(ids);
			const done = await node.call(
				"events.replay",
				{ snapshotId: plan.snapshotId, dryRun: false, ...key },
				admin
			);
			expect(done).toMatchObject({ dryRun: false, snapshotId: plan.snapshotId });
			expect(done.items).toMatchObject(ids.map(id => ({ id, outcome: "failed" })));
			const by = await node.runtime
				.database("orders")
				.query("SELECT by, detail->'letters' AS letters FROM event_audit WHERE action = 'replay'");
			expect(by).toEqual([{ by: admin.id, letters: [ids[1]] }]);
		});

		it("are replayed at once where nobody asks for a dry run", async () => {
			const [letter] = (await node.call("events.deadLetters", { limit: 1 }, admin)).items;
			const { items } = await node.call("events.replay", { ids: [letter!.id], ...key }, OPERATOR);
			expect(items).toMatchObject([{ id: letter!.id, outcome: "failed" }]);
			const group = letter!.group as Group;
			const { by } = (await node.runtime
				.database(group)
				.one<{ by: string }>("SELECT by FROM event_audit ORDER BY id DESC LIMIT 1"))!;
			expect(by).toBe("operator");
		});

		it("are not replayed unless it is said which, in one way, and all of them exist", async () => {
			const snapshotId = randomUUID();
			const [letter] = (await node.call("events.deadLetters", { limit: 1 }, admin)).items;
			const refusals: [object, string][] = [
				[{}, "NOTHING_SELECTED"],
				[{ ids: [letter!.id], filter: {} }, "NOTHING_SELECTED"],
				[{ snapshotId }, "NO_SUCH_SNAPSHOT"],
				[{ ids: [letter!.id, "nowhere-1"] }, "NOT_FOUND"],
				[{ ids: [letter!.id, "users-999999"] }, "NOT_FOUND"]
			];
			for (const [params, type] of refusals)
				await expect(
					node.call("events.replay", { ...params, ...key }, admin)
				).rejects.toMatchObject({ type });
		});

		it("are shown and discarded by the group that has them", async () => {
			const [letter] = (await node.call("events.deadLetters", { limit: 1 }, admin)).items;
			const { id } = letter!;
			expect(await node.call("events.deadLetter", { id })).toMatchObject({ letter, stack: null });
			expect(
				await node.call("events.discard", { id, reason: "of no use", by: "ada" })
			).toMatchObject({ id, state: "discarded" });
			for (const unknown of ["nowhere-1", "users-999999"])
				await expect(node.call("events.deadLetter", { id: unknown })).rejects.toMatchObject({
					type: "NOT_FOUND"
				});
		});
	});

	it("wait in outboxes, each with its leader", async () => {
		const { items } = await node.call("events.outbox", {});
		expect(items.map(({ group, leader }) => [group, leader])).toEqual(
			GROUPS.map(group => [group, node.broker.nodeID])
		);
		await expect(
			node.call("events.retryOutbox", { eventId: randomUUID(), by: "ada" })
		).rejects.toMatchObject({ type: "NOT_FOUND" });
	});

	it("make a story across the groups, found by any of its events or by its name", async () => {
		const { id: userId } = await node.call("auth.register", {
			email: "ada@example.com",
			username: "ada",
			password: "correct horse battery"
		});
		for (const group of ["users", "notifications"] as const) await node.settled(group);
		for (let tries = 0; tries < 100; tries++) {
			const { events } = await node.call("events.trace", { id: userId }).catch(() => ({
				events: []
			}));
			// Registered, and asked to confirm the address; and a mail about each.
			if (events.length === 4) break;
			await new Promise(resolve => setTimeout(resolve, 50));
		}
		const story = await node.call("events.trace", { id: userId });
		const [created, asked] = story.events;
		expect(asked).toMatchObject({ type: "user.email-verification-requested.v1" });
		const sent = story.events.find(({ causationId }) => causationId === created!.id);
		expect(created).toMatchObject({ group: "users", type: "user.created.v1", causationId: null });
		expect(sent).toMatchObject({ type: "notification.sent.v1" });
		const consumers = story.handled.filter(({ eventId }) => eventId === created!.id);
		expect(consumers.map(({ consumer }) => consumer).sort()).toEqual([
			"notifications",
			"recipients"
		]);
		expect(await node.call("events.trace", { id: sent!.id })).toEqual(story);
		for (const id of ["nothing", randomUUID()])
			await expect(node.call("events.trace", { id })).rejects.toMatchObject({ type: "NOT_FOUND" });
		const { items } = await node.call("events.tail", { topic: "user.events", limit: 5 });
		expect(items).toEqual([created, asked]);
		expect((await node.call("events.tail", { limit: 1 })).items).toHaveLength(1);
	});

	it("make a projection anew", async () => {
		const before = await node.runtime.database("notifications").query("SELECT * FROM recipient");
		expect(before).toHaveLength(1);
		const rebuilt = await node.call("events.rebuild", { projection: "recipients", by: "ada" });
		expect(rebuilt).toMatchObject({ consumer: "recipients", events: 2 });
		await expect(
			node.call("events.rebuild", { projection: "orders", by: "ada" })
		).rejects.toMatchObject({ type: "NO_SUCH_PROJECTION" });
	});

	it("are not shown with a hole where a group does not answer", async () => {
		await node.broker.destroyService(node.broker.getLocalService("orders-events"));
		await expect(node.call("events.topics", {}, admin)).rejects.toMatchObject({
			type: "GROUP_AWAY",
			code: 503
		});
		await expect(node.call("events.trace", { id: "x" })).rejects.toMatchObject({
			type: "GROUP_AWAY"
		});
		await expect(
			node.call("events.rebuild", { projection: "nobody", by: "ada" })
		).rejects.toMatchObject({ type: "GROUP_AWAY" });
		// Those that are newest are shown all the same.
		expect((await node.call("events.tail", {})).items.length).toBeGreaterThan(0);
	});
});

describe("the routes of events", () => {
	let gateway: TestGateway;
	beforeAll(async () => {
		gateway = await startGateway({
			"users-events.letters": async () => [],
			"catalog-events.letters": async () => [],
			"orders-events.letters": async () => [],
			"notifications-events.letters": async () => [],
			"users-events.replay": async () => [],
			"catalog-events.replay": async () => [],
			"orders-events.replay": async () => [],
			"notifications-events.replay": async () => []
		});
	});
	afterAll(() => gateway.node.stop());

	const routes: [string, string][] = [
		["GET", "/api/v1/admin/events/topics"],
		["GET", "/api/v1/admin/events/dead-letters"],
		["POST", "/api/v1/admin/events/dead-letters/replay"]
	];

	it.each(routes)("are for admins alone: %s %s", async (method, path) => {
		const init = {
			method,
			...(method === "POST" ? { body: "{}" } : {})
		};
		const headers = { "content-type": "application/json", "idempotency-key": "k" };
		const nobody = await gateway.request(path, { ...init, headers });
		expect(await problem(nobody)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
		for (const role of ["customer", "staff"] as const) {
			const as = await gateway.as(somebody(role));
			const refused = await gateway.request(path, { ...init, headers: { ...headers, ...as } });
			expect(await problem(refused)).toMatchObject({ status: 403, code: "FORBIDDEN" });
		}
	});

	it("answer pages, and replay by a selection in the body", async () => {
		const as = await gateway.as(admin);
		const list = await gateway.request(
			"/api/v1/admin/events/dead-letters?state=dead&topic=order.events&limit=3",
			{ headers: as }
		);
		expect(await list.json()).toEqual({ items: [], nextCursor: null });
		expect(gateway.calls.filter(({ action }) => action.endsWith(".letters"))).toMatchObject(
			GROUPS.map(() => ({
				params: { state: "dead", filter: { topic: "order.events" }, limit: 4 }
			}))
		);
		const send = (body: object, headers: Record<string, string>) =>
			gateway.request(routes[2]![1], {
				method: "POST",
				headers: { ...as, "content-type": "application/json", ...headers },
				body: JSON.stringify(body)
			});
		const replayed = await send(
			{ filter: { consumer: "orders" }, dryRun: true },
			{ "idempotency-key": "k" }
		);
		expect(replayed.status).toBe(200);
		expect(await replayed.json()).toMatchObject({ dryRun: true, items: [] });
		expect(await problem(await send({ filter: {} }, {}))).toMatchObject({ status: 400 });
		expect(await problem(await send({}, { "idempotency-key": "k" }))).toMatchObject({
			status: 422,
			code: "NOTHING_SELECTED"
		});
	});
});

describe("topics", () => {
	const outbox = { newestAt: null, setAside: 0, unpublished: 3, oldestUnpublishedSeconds: 7 };
	const consumer = {
		name: "inventory",
		topic: "order.events",
		dead: 1,
		parked: 2,
		blockedAggregates: 1
	};

	it("count the stream's messages and waiting deliveries in a cluster", () => {
		const place = { pending: 5, unacknowledged: 1, oldestPendingSeconds: 2 };
		const [topic] = topicsOf([
			{
				group: "orders",
				recorded: [{ topic: "order.events", events: 9, ...outbox }],
				consumers: [],
				stream: { "order.events": 40 }
			},
			{
				group: "catalog",
				recorded: [],
				consumers: [{ ...consumer, ...place }],
				stream: { "order.events": 40 }
			}
		]);
		expect(topic).toMatchObject({ messages: 40, unpublished: 3 });
		expect(topic!.consumers).toEqual([{ ...consumer, ...place, group: "catalog" }]);
	});

	it("take the outbox for the queue where there is no stream", () => {
		const place = { pending: null, unacknowledged: null, oldestPendingSeconds: null };
		const [topic] = topicsOf([
			{
				group: "orders",
				recorded: [{ topic: "order.events", events: 9, ...outbox }],
				consumers: [],
				stream: null
			},
			{ group: "catalog", recorded: [], consumers: [{ ...consumer, ...place }], stream: null }
		]);
		expect(topic).toMatchObject({ messages: 9 });
		expect(topic!.consumers).toEqual([
			{ ...consumer, pending: 3, unacknowledged: 0, oldestPendingSeconds: 7, group: "catalog" }
		]);
	});
});
