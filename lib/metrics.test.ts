import { randomUUID } from "node:crypto";
import { BreakableServer } from "../bin/breakable-server.ts";
import { events } from "../mixins/events.mixin.ts";
import { relay } from "../mixins/relay.mixin.ts";
import { testConfig } from "../tests/support/node.ts";
import { until } from "../tests/support/until.ts";
import { contract } from "./contract.ts";
import { databaseUrl } from "./config.ts";
import { Metrics } from "./metrics.ts";
import { migrate } from "./migrations.ts";
import { startNode, type ValenceNode } from "./node.ts";
import { implement } from "./service.ts";

function must(holds: boolean, line: string): void {
	if (!holds) throw new Error(`Prometheus would not have it, or its linter: ${line}`);
}

/** Samples by name and labels, as Prometheus would read them. */
function parse(text: string): Map<string, number> {
	const samples = new Map<string, number>();
	const [types, helps] = [new Map<string, string>(), new Set<string>()];
	must(text.endsWith("\n"), "the end");
	for (const line of text.split("\n").filter(Boolean)) {
		const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
		if (keyword === "HELP") {
			must(!helps.has(name) && rest.length > 10, line);
			helps.add(name);
		} else if (keyword === "TYPE") {
			must(/^valence_[a-z_]+$/.test(name) && helps.has(name) && !types.has(name), line);
			must(/^(?:counter|gauge|histogram)$/.test(rest), line);
			// Named after what it is.
			must((rest === "counter") === name.endsWith("_total"), line);
			must(rest !== "histogram" || name.endsWith("_seconds"), line);
			types.set(name, rest);
		} else readSample(line, types, samples);
	}
	must(
		[...helps].every(name => types.has(name)),
		"types"
	);
	return samples;
}

function readSample(
	line: string,
	types: ReadonlyMap<string, string>,
	samples: Map<string, number>
): void {
	const sample = /^([a-z_]+)((?:\{(?:[a-z]+="[^"\\\n]*",?)+\})?) (\S+)$/.exec(line);
	must(sample !== null, line);
	const [, name = "", labels = "", value] = sample!;
	const family = name.replace(/_(?:bucket|sum|count)$/, "");
	// Each sample follows the description of its family.
	must(types.has(name) || types.get(family) === "histogram", line);
	must(!samples.has(name + labels) && !Number.isNaN(Number(value)), line);
	samples.set(name + labels, Number(value));
}

describe("the figures of a node", () => {
	it("are described in Prometheus' text format before anything has happened", async () => {
		const samples = parse(await new Metrics().text());
		expect(samples.size).toBeGreaterThan(0);
	});

	it("stay as they were where they cannot be looked up", async () => {
		const metrics = new Metrics();
		let looks = 0;
		metrics.onRead(() => Promise.reject(new Error("the database is away")));
		metrics.onRead(async () => {
			metrics.events.streamBytes.set(++looks);
		});
		expect(parse(await metrics.text()).get("valence_stream_bytes")).toBe(1);
		expect(parse(await metrics.text()).get("valence_stream_bytes")).toBe(2);
	});
});

describe.each([
	["in one process", false],
	["in a cluster", true]
])("the figures of the event backbone %s", (_name, cluster) => {
	let nats: BreakableServer | undefined;
	let node: ValenceNode;
	let poisoned = true;
	const service = implement(contract({ name: "auditor", actions: {}, events: {}, failures: {} }))({
		mixins: [events("orders"), relay("orders")],
		actions: {},
		events: {
			async "session.revoked.v1"(event) {
				if (poisoned && event.aggregateid === poison)
					throw Object.assign(new Error("away"), { retryable: true });
			}
		}
	});
	const poison = randomUUID();
	beforeAll(async () => {
		if (cluster) nats = await BreakableServer.nats();
		const config = testConfig(
			nats
				? {
						NATS_URL: nats.url,
						REDIS_URL: "redis://127.0.0.1:1",
						EVENT_STREAM_MAX_BYTES: "50000000"
					}
				: {}
		);
		await migrate("orders", databaseUrl(config, "orders"));
		node = await startNode(config, { units: [], extra: [service] });
	});
	afterAll(async () => {
		await node.stop();
		await nats?.stop();
	});
	const read = async () => parse(await node.runtime.metrics.text());
	const figure = async (name: string) => (await read()).get(`valence_${name}`);
	const record = (id: string, ...versions: number[]) =>
		node.runtime.database("orders").transaction(async tx => {
			for (const version of versions)
				tx.record(
					"session.revoked.v1",
					{ id, version },
					{ sessionId: id, userId: id, reason: "logout", until: "2026-01-01T00:00:00.000Z" }
				);
		});

	it("tell what waits, what went by, and who leads", async () => {
		await until(async () => (await figure('relay_is_leader{group="orders"}')) === 1, "the lead");
		expect(await figure('outbox_unpublished{group="orders"}')).toBe(0);
		expect(await figure('outbox_oldest_age_seconds{group="orders"}')).toBe(0);
		const database = node.runtime.database("orders");
		await record(randomUUID(), 1, 2, 3);
		await until(
			async () => (await figure('events_published_total{group="orders"}')) === 3,
			"three are published"
		);
		await until(
			async () => (await figure('events_handled_total{consumer="auditor"}')) === 3,
			"three are handled"
		);
		expect(await figure('event_recorded_to_published_seconds_count{group="orders"}')).toBe(3);
		expect(await figure('event_recorded_to_handled_seconds_count{consumer="auditor"}')).toBe(3);
		expect(await figure('relay_publish_seconds_bucket{le="+Inf",group="orders"}')).toBe(3);

		// One that its handler cannot do for now, and rows as trouble leaves them.
		await record(poison, 1);
		await until(
			async () =>
				((await figure('handler_retries_total{consumer="auditor",reason="retryable"}')) ?? 0) > 0,
			"a retry"
		);
		await database.query(
			`INSERT INTO outbox (event_id, type, aggregate_type, aggregate_id, aggregate_version, payload, created_at, failed_at)
			 VALUES (gen_random_uuid(), 'x.y.v1', 'x', gen_random_uuid(), 1, '{}', now() - interval '60 s', now())`
		);
		await database.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id, aggregate_version, envelope, reason, deliveries, state)
			 SELECT 'auditor', gen_random_uuid(), 'x.y.v1', 'x', gen_random_uuid(), 1, '{}', 'r', 1, state
			 FROM unnest(ARRAY['dead', 'parked', 'parked', 'resolved']) AS state`
		);
		await database.query(
			"INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version, blocked) VALUES ('auditor', 'x', gen_random_uuid(), 1, true)"
		);
		const seen = await read();
		const group = (name: string) => seen.get(`valence_${name}{group="orders"}`);
		expect(group("outbox_set_aside")).toBe(1);
		// In one process an event is published when all are done with it.
		expect(group("outbox_unpublished")).toBe(cluster ? 1 : 2);
		expect(group("outbox_oldest_age_seconds")).toBeGreaterThanOrEqual(60);
		expect(group("aggregates_blocked")).toBe(1);
		expect(seen.get('valence_dead_letters_open{group="orders",state="dead"}')).toBe(1);
		expect(seen.get('valence_dead_letters_open{group="orders",state="parked"}')).toBe(2);
		poisoned = false;
		await until(
			async () => (await figure('events_handled_total{consumer="auditor"}')) === 4,
			"the fourth is handled"
		);
	});

	it("tell of the stream, where it keeps anything", async () => {
		const labels = '{consumer="auditor",topic="session.events"}';
		const before = await read();
		expect([...before.keys()].some(name => name.startsWith("valence_stream_lag"))).toBe(cluster);
		const known = ["stream_max_bytes", "stream_last_sequence"].map(name =>
			before.get(`valence_${name}`)
		);
		expect(known).toEqual(cluster ? [50_000_000, 4] : [0, 0]);
		expect((before.get("valence_stream_bytes") ?? 0) > 0).toBe(cluster);
		poisoned = true;
		await record(poison, 2);
		const lagging = cluster ? 1 : undefined;
		await until(async () => (await figure(`stream_lag${labels}`)) === lagging, "its lag");
		const age = (await figure(`consumer_oldest_unacked_seconds${labels}`)) ?? 0;
		expect(age > 0).toBe(cluster);
		poisoned = false;
		const caughtUp = cluster ? 0 : undefined;
		await until(async () => (await figure(`stream_lag${labels}`)) === caughtUp, "no lag");
	});
});
