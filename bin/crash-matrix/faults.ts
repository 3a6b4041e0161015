/** The rows of the failure matrix that are no death of a process of ours: servers that break, links that are cut, replicas that stand still. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Told } from "../chaos/clients.ts";
import { ACK_WAIT_MS, type Ground, type Scene, type SceneOptions } from "./ground.ts";
import { conclude, type Row } from "./outcome.ts";
import { quietWithinMs, requireDeath, type Case, type CaseOptions } from "./points.ts";
import type { Replica } from "./replica.ts";
import { tracesOf, type Traces } from "./traces.ts";
import { until } from "./until.ts";

const look = (scene: Scene, { command: { key, account } }: Told): Promise<Traces> =>
	tracesOf(scene, key, account);

interface Shown {
	readonly left: string;
	readonly next: string;
	readonly absorbed: string;
}

/** A scene at whose end there is load once more and the books are checked. */
const fault = (
	name: string,
	step: string,
	play: (scene: Scene) => Promise<Shown>,
	settings: Omit<SceneOptions, "mutant"> = {}
): Case => ({
	name,
	step,
	run: (ground: Ground, { mutant, brief = false }: CaseOptions = {}): Promise<Row> =>
		ground.scene({ ...settings, mutant }, async scene => {
			const shown = await play(scene);
			if (!brief) await scene.load();
			await scene.quiet(quietWithinMs(mutant));
			return conclude(scene, name, step, shown);
		})
});

/** Waits until the first commands of a load are done, and others are under way. */
const underWay = (scene: Scene) =>
	until(() => scene.ledger.acknowledged > 0, "the first command is done");

const unpublished = async ({ databases: { orders } }: Scene): Promise<number> =>
	(await orders.one<{ n: number }>(
		"SELECT count(*)::int AS n FROM outbox WHERE published_at IS NULL"
	))!.n;

const untilPublished = (scene: Scene, probe: Told) =>
	until(async () => (await look(scene, probe)).outbox === "published", "the event is published");
const untilHandled = (scene: Scene, probe: Told) =>
	until(async () => (await look(scene, probe)).effects > 0, "the event is handled");

async function untilAbsorbed(scene: Scene): Promise<string> {
	await until(() => scene.absorbed > 0, "an inbox drops what was handled before");
	return "by the inbox";
}

/** Events pile up; answers how many, in words. */
async function pileUp(scene: Scene, count = 5): Promise<string> {
	for (let sent = 0; sent < count; sent++) await scene.sendUntilAnswered(scene.command());
	const waiting = await unpublished(scene);
	return `${waiting} of ${count} events are unpublished`;
}

const drained = async (scene: Scene): Promise<string> => {
	await until(async () => (await unpublished(scene)) === 0, "the outbox is empty");
	return "the relay publishes them";
};

const relayStandsStill = fault(
	"relay-stands-still",
	"relay stands still (SIGSTOP) with a batch in memory, and wakes when another leads",
	async scene => {
		await scene.start("reader");
		// Once it is awake it publishes, and dies of it: so it is known that it did.
		const first = await scene.start("writer", {
			pauseAt: "relay.before-publish",
			crashAt: "relay.after-puback"
		});
		const probe = scene.command();
		const sent = scene.send(probe);
		await first.stands("relay.before-publish");
		await sent;
		await scene.start("writer");
		// Three times as long as a standby needs to take the lead of a relay that died.
		await sleep(600);
		const left = await look(scene, probe);
		await untilPublished(scene, probe);
		const before = await look(scene, probe);
		first.resume();
		requireDeath(await first.died(), "relay.after-puback");
		const then = await look(scene, probe);
		await scene.sendUntilAnswered(probe);
		return {
			left: `the event is ${left.outbox}: the lead goes with the session, which PostgreSQL ends when it has been silent for three seconds`,
			next: `another relay leads and publishes it; the first wakes and publishes it again; copies in the stream: ${then.copies}`,
			absorbed: before.copies === 1 && then.copies === 1 ? "by the stream" : "–"
		};
	}
);

const relayCut = fault("relay-cut", "relay cut off from NATS", async scene => {
	const [links] = await Promise.all([scene.links(), scene.start("reader")]);
	await scene.start("writer", { links });
	links.nats.disturb("cut");
	const left = await pileUp(scene);
	links.nats.heal();
	return { left, next: await drained(scene), absorbed: "–" };
});

const pubAckLost = fault(
	"puback-lost",
	"NATS has stored an event, and its PubAck is lost",
	async scene => {
		const [links] = await Promise.all([scene.links(), scene.start("reader")]);
		await scene.start("writer", { links });
		const before = scene.command();
		await scene.sendUntilAnswered(before);
		// Now the relay leads and knows its stream.
		await untilPublished(scene, before);
		links.nats.disturb("lost-answers");
		const probe = scene.command();
		await scene.sendUntilAnswered(probe);
		await until(async () => (await look(scene, probe)).copies === 1, "the stream has it");
		const left = await look(scene, probe);
		links.nats.heal();
		await untilPublished(scene, probe);
		const then = await look(scene, probe);
		return {
			left: `the event is ${left.outbox}, in the stream`,
			next: `the relay publishes it again; copies in the stream: ${then.copies}`,
			absorbed: then.copies === 1 ? "by the stream" : "–"
		};
	}
);

const natsEmptied = fault(
	"nats-emptied",
	"NATS loses its store between publish and consumption",
	async scene => {
		await scene.start("writer");
		const probe = scene.command();
		await scene.sendUntilAnswered(probe);
		await untilPublished(scene, probe);
		const left = await look(scene, probe);
		await scene.restartNats({ emptied: true });
		await scene.start("reader");
		await untilHandled(scene, probe);
		const then = await look(scene, probe);
		return {
			left: `the event is ${left.outbox}, and no longer in the stream`,
			next: `the relay sees that the stream has another life and publishes it again; effects: ${then.effects}`,
			absorbed: "–"
		};
	}
);

const natsKilled = fault("nats-killed", "NATS is killed under load", async scene => {
	await Promise.all([scene.start("reader"), scene.start("writer")]);
	const load = scene.load();
	await underWay(scene);
	await scene.nats.kill();
	await load;
	const waiting = (await unpublished(scene)) > 0;
	await scene.restartNats();
	return {
		left: `events in the outbox: ${waiting ? "some" : "none"}; publishes and acknowledgements of unknown outcome`,
		next: await drained(scene),
		absorbed: "as it comes"
	};
});

const TINY = 40 * 1024;
const natsLimit = (bytes: number): string => `jetstream { max_file_store: ${bytes} }\n`;
const natsFull = fault(
	"nats-full",
	"NATS takes nothing more: its store is full (a tiny `max_file_store`)",
	async scene => {
		await Promise.all([scene.start("reader"), scene.start("writer")]);
		const isRefused = async () => {
			await scene.load({}, 10);
			const refused = await scene.databases.orders.one(
				"SELECT 1 FROM outbox WHERE published_at IS NULL AND last_error IS NOT NULL LIMIT 1"
			);
			return refused !== undefined;
		};
		await until(isRefused, "NATS refuses an event", 30_000);
		await scene.restartNats({ config: natsLimit(1024 ** 3) });
		return {
			left: "events that NATS has refused, in the outbox",
			next: `with more room ${await drained(scene)}`,
			absorbed: "–"
		};
	},
	{ natsConfig: natsLimit(TINY) }
);

const consumerStandsStill = fault(
	"consumer-stands-still",
	"consumer stands still (SIGSTOP) for longer than ack_wait, before BEGIN; another handles the event; it wakes",
	async scene => {
		const [first] = await Promise.all([
			scene.start("reader", { pauseAt: "consumer.before-transaction" }),
			scene.start("writer")
		]);
		const probe = scene.command();
		await scene.sendUntilAnswered(probe);
		await first.stands("consumer.before-transaction");
		const left = await look(scene, probe);
		await scene.start("reader");
		await untilHandled(scene, probe);
		first.resume();
		const absorbed = await untilAbsorbed(scene);
		const then = await look(scene, probe);
		return {
			left: `inbox entry: ${left.inbox ? "yes" : "no"}, effects: ${left.effects}`,
			next: `another reader handles it; the first wakes and finds it in the inbox; effects: ${then.effects}`,
			absorbed
		};
	}
);

const twoTransactions = fault(
	"two-transactions",
	"consumer stands still for longer than ack_wait, in its transaction; another begins one too; it wakes",
	async scene => {
		const [first] = await Promise.all([
			scene.start("reader", { pauseAt: "consumer.after-enter" }),
			scene.start("writer")
		]);
		const probe = scene.command();
		await scene.sendUntilAnswered(probe);
		await first.stands("consumer.after-enter");
		await scene.start("reader");
		const waits = async () =>
			(await scene.databases.catalog.one<{ n: number }>(
				"SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted"
			))!.n > 0;
		await until(waits, "the second waits for the first");
		const left = await look(scene, probe);
		first.resume();
		await untilHandled(scene, probe);
		const absorbed = await untilAbsorbed(scene);
		const then = await look(scene, probe);
		return {
			left: `two transactions, of which one waits for the other; effects: ${left.effects}`,
			next: `the first commits, and the second finds its entry; effects: ${then.effects}`,
			absorbed
		};
	}
);

const consumerWithoutDatabase = fault(
	"consumer-without-database",
	"consumer cut off from PostgreSQL",
	async scene => {
		const links = await scene.links();
		await Promise.all([scene.start("reader", { links }), scene.start("writer")]);
		links.postgres.disturb("cut");
		const probe = scene.command();
		await scene.sendUntilAnswered(probe);
		await untilPublished(scene, probe);
		// Long enough for some vain attempts.
		await sleep(ACK_WAIT_MS);
		const left = await look(scene, probe);
		links.postgres.heal();
		await untilHandled(scene, probe);
		const then = await look(scene, probe);
		return {
			left: `inbox entry: ${left.inbox ? "yes" : "no"}, dead letters: ${left.letters.length}`,
			next: `it is delivered again, late; effects: ${then.effects}, dead letters: ${then.letters.length}`,
			absorbed: "–"
		};
	}
);

const postgresKilled = fault(
	"postgres-killed",
	"PostgreSQL ends at once (SIGQUIT) under load",
	async scene => {
		await Promise.all([scene.start("reader"), scene.start("writer")]);
		const load = scene.load();
		await underWay(scene);
		await scene.killPostgres();
		await load;
		const { requests, told } = scene.ledger;
		return {
			left: `clients in doubt: ${requests > told.size ? "some" : "none"}; transactions under way are rolled back`,
			next: "the clients ask again; relays and consumers go on when it has recovered",
			absorbed: "as it comes"
		};
	}
);

/** The first reader holds an event of an account while the second is given those behind it. */
export const overtaking = fault(
	"overtaking",
	"consumer stands still with an event, and another replica is given those behind it",
	async scene => {
		const [first] = await Promise.all([
			scene.start("reader", { pauseAt: "consumer.before-transaction" }),
			scene.start("reader"),
			scene.start("writer")
		]);
		// The stream gives them in turn, so that soon one is held.
		const handled = async () =>
			(await scene.databases.catalog.one<{ n: number }>(
				"SELECT count(*)::int AS n FROM chaos_effect WHERE consumer = 'chaos-reader'"
			))!.n;
		let before = 0;
		while (!first.isStanding) {
			await scene.sendUntilAnswered(scene.command());
			const now = before;
			await until(
				async () => first.isStanding || (await handled()) > now,
				"the event is with a reader"
			);
			before = await handled();
		}
		for (let sent = 0; sent < 6; sent++) await scene.sendUntilAnswered(scene.command());
		await until(async () => (await unpublished(scene)) === 0, "the events are published");
		await sleep(OVERTAKES_WITHIN_MS);
		const overtaken = (await handled()) - before;
		first.resume();
		return {
			left: `6 events behind it, of which ${overtaken} are handled`,
			next: "they are handled after it",
			absorbed: "as it comes"
		};
	},
	// Longer, so that the event is not given to the other one while it looks.
	{ ackWaitMs: 15_000 }
);
const OVERTAKES_WITHIN_MS = 400;

/** A transaction takes its id in the outbox and commits long after one that took a higher id. */
export const slowTransaction = fault(
	"slow-transaction",
	"writer, slow between its outbox row and COMMIT, while others commit rows with higher ids",
	async scene => {
		await scene.start("reader");
		await scene.start("writer");
		const slow: Replica = await scene.start("writer", { pauseAt: "writer.before-commit" });
		const probe = scene.command();
		const sent = scene.send(probe);
		await slow.stands("writer.before-commit");
		const [quick] = scene.urls as [string];
		const later = scene.command({}, 1);
		await scene.send(later, quick);
		await untilPublished(scene, later);
		const left = await look(scene, probe);
		slow.resume();
		await sent;
		await scene.sendUntilAnswered(probe);
		// The relay looks four times a second.
		await sleep(600);
		const then = await look(scene, probe);
		return {
			left: `its event is not there yet (${left.outbox}), a later one is published`,
			next: `after COMMIT its event is ${then.outbox}`,
			absorbed: "–"
		};
	}
);

export const FAULT_CASES: readonly Case[] = [
	slowTransaction,
	relayStandsStill,
	relayCut,
	pubAckLost,
	natsKilled,
	natsEmptied,
	natsFull,
	consumerStandsStill,
	twoTransactions,
	overtaking,
	consumerWithoutDatabase,
	postgresKilled
];
