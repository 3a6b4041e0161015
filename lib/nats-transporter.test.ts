import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { ServiceBroker } from "moleculer";
import { TestServer } from "../tests/support/servers.ts";
import { until } from "../tests/support/until.ts";
import { ValenceTransporter } from "./nats-transporter.ts";
import { natsOptions } from "./nats.ts";

/** Far beyond what the tests wait for: nothing here is noticed by missed heartbeats. */
const HEARTBEAT_SECONDS = 60;

describe("the transporter", () => {
	let nats: TestServer;
	let broker: ServiceBroker;
	const children = new Set<ChildProcess>();

	beforeAll(async () => {
		nats = await TestServer.nats({ jetStream: false });
		broker = new ServiceBroker({
			nodeID: "caller",
			logger: false,
			heartbeatInterval: HEARTBEAT_SECONDS,
			heartbeatTimeout: 2 * HEARTBEAT_SECONDS,
			requestTimeout: 0,
			transporter: new ValenceTransporter(natsOptions(nats.url, "caller")) as never
		});
		await broker.start();
	});
	afterAll(async () => {
		for (const child of children) child.kill("SIGKILL");
		await broker.stop();
		await nats.stop();
	});

	/** Ids with dots are as good as others. */
	async function startEcho(nodeID: string): Promise<ChildProcess> {
		const script = join(import.meta.dirname, "..", "tests", "support", "echo-node.ts");
		const child = spawn(process.execPath, [script, nats.url, nodeID], {
			stdio: ["ignore", "pipe", "inherit"]
		});
		children.add(child);
		await new Promise(ready => child.stdout.once("data", ready));
		await until(() => isThere(nodeID), `${nodeID} is known`);
		return child;
	}
	const isThere = (nodeID: string): boolean =>
		broker.registry.nodes
			.list({ onlyAvailable: true, withServices: false })
			.some(({ id }) => id === nodeID);
	const kill = (child: ChildProcess) => {
		children.delete(child);
		child.kill("SIGKILL");
	};

	it("carries calls and answers", async () => {
		const echo = await startEcho("echo.1");
		expect(await broker.call("echo.say", { word: "hello" })).toEqual({ word: "hello" });
		kill(echo);
		await until(() => !isThere("echo.1"), "echo.1 is dropped");
	});

	it("rejects what waits for a killed node, so that it can be retried", async () => {
		const echo = await startEcho("echo-2");
		const pending = broker.call("echo.hang");
		// The request has arrived when a later one is answered.
		await broker.call("echo.say", {});
		kill(echo);
		await expect(pending).rejects.toMatchObject({ name: "RequestRejectedError", retryable: true });
		expect(isThere("echo-2")).toBe(false);
	});

	it("notices a killed node although nobody calls it", async () => {
		const echo = await startEcho("echo-3");
		kill(echo);
		await until(() => !isThere("echo-3"), "echo-3 is dropped");
		await expect(broker.call("echo.say", {})).rejects.toMatchObject({ code: 404 });
	});

	it("goes on where NATS was away, and says meanwhile that it is down", async () => {
		const echo = await startEcho("echo-4");
		const transporter = broker.transit!.tx as unknown as ValenceTransporter;
		expect(transporter.isUp()).toBe(true);
		await nats.kill();
		await until(() => !transporter.isUp(), "the outage is noticed");
		await nats.start();
		await until(() => transporter.isUp(), "the connection is back");
		await until(async () => {
			const call = broker.call("echo.say", { again: true }, { timeout: 500 });
			return call.then(
				() => true,
				() => false
			);
		}, "calls work again");
		kill(echo);
	});
});
