import { ServiceBroker, type ServiceSchema } from "moleculer";
import { launch } from "../tests/support/process.ts";
import { BreakableServer } from "../bin/breakable-server.ts";
import { until } from "../tests/support/until.ts";
import { brokerOptions } from "./broker.ts";
import { readConfig } from "./config.ts";
import type { ValenceTransporter } from "./nats-transporter.ts";

let nats: BreakableServer;
let caller: ServiceBroker;
let other: ServiceBroker;
beforeAll(async () => {
	nats = await BreakableServer.nats();
	[caller, other] = await Promise.all([startBroker("caller"), startBroker("other", box)]);
	await caller.waitForServices("box");
});
afterAll(() => nats.stop());

/** A node whose neighbours would be missed by their heartbeat after two minutes only. */
async function startBroker(nodeID: string, ...services: ServiceSchema[]): Promise<ServiceBroker> {
	const broker = new ServiceBroker(
		brokerOptions(
			readConfig({
				NODE_ENV: "test",
				NATS_URL: nats.url,
				HEARTBEAT_SECONDS: "20",
				LOG_LEVEL: "fatal"
			}),
			nodeID
		)
	);
	for (const service of services) broker.createService(service);
	await broker.start();
	return broker;
}
const box: ServiceSchema = {
	name: "box",
	actions: {
		echo: { access: "public", handler: ({ params }: { params: object }) => params } as never,
		fill: {
			access: "public",
			handler: ({ params }: { params: { size: number } }) => "x".repeat(params.size)
		} as never
	}
};
const transporterOf = ({ transit }: ServiceBroker) =>
	(transit as unknown as { tx: ValenceTransporter }).tx;
const pendingIn = ({ transit }: ServiceBroker): number =>
	(transit as unknown as { pendingRequests: Map<string, unknown> }).pendingRequests.size;
const knows = (broker: ServiceBroker, nodeID: string): boolean =>
	broker.registry.nodes
		.list({ onlyAvailable: true, withServices: false })
		.some(({ id }: { id: string }) => id === nodeID);

/** A neighbour in a process of its own, to be killed. */
async function startVictim(nodeID: string) {
	const child = launch("tests/support/slow.process.ts", [nats.url, nodeID], {});
	await child.says(/ready/);
	return child;
}
const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
	const began = performance.now();
	await work();
	return performance.now() - began;
};

describe("a node that is killed", () => {
	it.each(["victim-1", "victim.example.org"])(
		"is noticed by the next call; what waits for it is rejected at once (%s)",
		async nodeID => {
			const victim = await startVictim(nodeID);
			await caller.waitForServices("slow");
			const pending = caller.call("slow.hang", {}, { timeout: 60_000 });
			await caller.call("slow.echo", {});
			await victim.stop("SIGKILL");
			const refused = { retryable: true, data: { action: "slow.hang", nodeID } };
			const took = await elapsed(async () => {
				const next = caller.call("slow.echo", {}, { timeout: 60_000 });
				await expect(pending).rejects.toMatchObject(refused);
				await expect(next).rejects.toMatchObject({ retryable: true });
			});
			expect(took).toBeLessThan(700);
			expect(knows(caller, nodeID)).toBe(false);
		}
	);

	it("is noticed within seconds by a node that calls nobody", async () => {
		const victim = await startVictim("victim-2");
		await until(() => knows(caller, "victim-2"), "the node is known");
		await victim.stop("SIGKILL");
		expect(
			await elapsed(() => until(() => !knows(caller, "victim-2"), "it is missed"))
		).toBeLessThan(3_000);
	});

	it("leaves the others alone", async () => {
		const victim = await startVictim("victim-3");
		await caller.waitForServices("slow");
		await victim.stop("SIGKILL");
		await until(() => !knows(caller, "victim-3"), "it is missed");
		expect(knows(caller, "other")).toBe(true);
		expect(await caller.call("box.echo", { n: 1 })).toEqual({ n: 1 });
	});
});

describe("a call over NATS", () => {
	it("may be large, but is rejected where NATS would not take it", async () => {
		expect(await caller.call("box.fill", { size: 900_000 })).toHaveLength(900_000);
		const took = await elapsed(async () => {
			const tooMuch = caller.call("box.echo", { text: "x".repeat(1_100_000) });
			await expect(tooMuch).rejects.toThrow(/MAX_PAYLOAD/);
		});
		expect(took).toBeLessThan(500);
		expect(await caller.call("box.echo", { n: 1 })).toEqual({ n: 1 });
	});

	it("is rejected at once where its answer is too large", async () => {
		const took = await elapsed(async () => {
			const tooMuch = caller.call("box.fill", { size: 1_100_000 });
			await expect(tooMuch).rejects.toThrow(/MAX_PAYLOAD/);
		});
		expect(took).toBeLessThan(500);
	});
});

describe("when NATS is restarted", () => {
	it("nodes say that they are cut off, and find each other again soon", async () => {
		await nats.kill();
		await until(() => !transporterOf(caller).isUp() && !transporterOf(other).isUp(), "both notice");
		await nats.start();
		const back = until(
			() =>
				caller.call("box.echo", {}, { timeout: 300 }).then(
					() => true,
					() => false
				),
			"calls work"
		);
		expect(await elapsed(() => back)).toBeLessThan(4_000);
		expect(transporterOf(caller).isUp()).toBe(true);
		// What was lost is not waited for, neither now nor when the node stops.
		await until(() => pendingIn(caller) === 0, "no request is pending");
		// They stay: nobody drops a neighbour that was a moment later to come back.
		for (let n = 0; n < 20; n++) await caller.call("box.echo", { n });
		expect(knows(other, "caller")).toBe(true);
		expect(await elapsed(() => caller.stop())).toBeLessThan(4_000);
	});

	it("a node without it can be stopped", async () => {
		await nats.kill();
		await until(() => !transporterOf(other).isUp(), "it notices");
		expect(await elapsed(() => other.stop())).toBeLessThan(4_000);
		await nats.start();
	});
});
