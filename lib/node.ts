/** A node: one broker with the services of some groups, from first check to last goodbye. */
import { readdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { createBroker } from "./broker.ts";
import { databaseUrl, GROUPS, type Config, type Unit } from "./config.ts";
import { requireDurableCommits } from "./database.ts";
import { requireCurrentSchema } from "./migrations.ts";
import { createRuntime, type Runtime } from "./runtime.ts";

export interface ValenceNode {
	readonly broker: ServiceBroker;
	readonly runtime: Runtime;
	/** What keeps the node from being given work; empty when it is ready. */
	readiness(): Promise<string[]>;
	/** Is not ready any more, finishes what runs, stops the services, closes the pools. */
	stop(): Promise<void>;
}

const SERVICES = join(import.meta.dirname, "..", "services");

/** The service schemas of a unit: every `*.service.ts` in its folder. */
export async function loadServices(unit: Unit): Promise<ServiceSchema[]> {
	const folder = join(SERVICES, unit);
	const files = readdirSync(folder)
		.filter(file => file.endsWith(".service.ts"))
		.sort();
	return Promise.all(
		files.map(async file => {
			const module = (await import(pathToFileURL(join(folder, file)).href)) as {
				default: ServiceSchema;
			};
			return module.default;
		})
	);
}

export interface NodeOptions {
	readonly units: readonly Unit[];
	/** Services beside those of the units; tests hand in their fakes here. */
	readonly extra?: readonly ServiceSchema[];
}

/**
 * Starts a node. Throws an OlderSchemaError or NewerSchemaError where a database does not fit this
 * code, and a StartupError where one may forget what it has confirmed, before anything has been started.
 */
export async function startNode(
	config: Config,
	{ units, extra = [] }: NodeOptions
): Promise<ValenceNode> {
	for (const group of GROUPS)
		if (units.includes(group)) await requireCurrentSchema(group, databaseUrl(config, group));
	const services = (await Promise.all(units.map(loadServices))).flat();
	const runtime = await createRuntime(config);
	let broker: ServiceBroker | undefined;
	let stopping = false;
	const stop = async () => {
		stopping = true;
		await broker?.stop();
		await runtime.close();
	};
	try {
		for (const group of GROUPS)
			if (units.includes(group)) await requireDurableCommits(runtime.database(group));
		broker = createBroker(runtime, config.NODE_NAME ?? defaultName(units), [...services, ...extra]);
		await broker.start();
		await announce(broker);
	} catch (error) {
		await stop().catch(() => {});
		throw error;
	}
	const readiness = async () => [
		...(stopping ? ["stopping"] : []),
		...(runtime.stream.isUp() ? [] : ["NATS"]),
		...(await unreachable(units, runtime)),
		...(broker?.services ?? []).flatMap(service => (service as Partial<Waiting>).missing?.() ?? [])
	];
	return { broker, runtime, readiness, stop };
}

/** Tells the cluster what runs here. Moleculer does it a second later; until then nobody would call a node that is ready. */
async function announce(broker: ServiceBroker): Promise<void> {
	const { transit, registry } = broker as unknown as Announcing;
	if (!transit) return;
	await registry.discoverer.sendLocalNodeInfo();
	// Where NATS goes away just now: the transporter tells it again as soon as it is back.
	await transit.tx.client.flush().catch(() => {});
}

interface Announcing {
	readonly transit?: { readonly tx: { readonly client: { flush(): Promise<void> } } };
	readonly registry: { readonly discoverer: { sendLocalNodeInfo(): Promise<void> } };
}

/** A service that is not ready by itself once it has started says what it waits for. */
interface Waiting {
	missing(): string[];
}

const PROBE_MS = 1_000;

async function unreachable(units: readonly Unit[], runtime: Runtime): Promise<string[]> {
	const groups = GROUPS.filter(group => units.includes(group));
	const answers = await Promise.all(
		groups.map(group =>
			Promise.race([
				runtime
					.database(group)
					.query("SELECT 1")
					.then(
						() => true,
						() => false
					),
				sleep(PROBE_MS, false, { ref: false })
			])
		)
	);
	return groups.filter((_, index) => !answers[index]).map(group => `database of ${group}`);
}

const defaultName = (units: readonly Unit[]): string =>
	`${units.length > 1 ? "all" : units[0]}-${hostname()}-${process.pid}`;
