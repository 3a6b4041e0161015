import { createServer } from "node:net";
import { startOps, type OpsServer } from "./ops.ts";
import { StartupError } from "./startup-error.ts";

const free = { HOST: "127.0.0.1", OPS_PORT: 0 };

describe("the operators' port", () => {
	let missing: () => Promise<readonly string[]>;
	let ops: OpsServer;
	beforeEach(async () => {
		missing = async () => [];
		ops = await startOps(free, { readiness: () => missing(), metrics: () => undefined });
	});
	afterEach(() => ops.close());
	const ask = async (path: string, method = "GET") => {
		const response = await fetch(`http://127.0.0.1:${ops.port}${path}`, { method });
		const text = await response.text();
		return {
			status: response.status,
			body: text === "" ? undefined : (JSON.parse(text) as unknown),
			cache: response.headers.get("cache-control")
		};
	};

	it("says that the node is alive, whatever is missing", async () => {
		missing = async () => ["NATS"];
		expect(await ask("/health")).toEqual({
			status: 200,
			body: { status: "up" },
			cache: "no-store"
		});
	});

	it("says that the node is ready", async () => {
		expect(await ask("/ready")).toEqual({
			status: 200,
			body: { status: "ready" },
			cache: "no-store"
		});
		expect(await ask("/ready?verbose")).toMatchObject({ status: 200 });
	});

	it("says what is missing, and asks anew each time", async () => {
		missing = async () => ["NATS", "database of orders"];
		expect(await ask("/ready")).toMatchObject({
			status: 503,
			body: { status: "not ready", missing: ["NATS", "database of orders"] }
		});
		missing = async () => [];
		expect(await ask("/ready")).toMatchObject({ status: 200 });
	});

	it("takes a node that cannot tell for one that is not ready", async () => {
		missing = () => Promise.reject(new Error("out of memory"));
		expect(await ask("/ready")).toMatchObject({
			status: 503,
			body: { missing: ["Error: out of memory"] }
		});
	});

	it("answers HEAD without a body", async () => {
		missing = async () => ["NATS"];
		expect(await ask("/ready", "HEAD")).toMatchObject({ status: 503, body: undefined });
	});

	it("knows nothing else", async () => {
		expect(await ask("/")).toMatchObject({ status: 404, body: { status: "unknown" } });
		expect(await ask("/ready/now")).toMatchObject({ status: 404 });
	});

	it("is given back", async () => {
		const { port } = ops;
		await ops.close();
		ops = await startOps(
			{ ...free, OPS_PORT: port },
			{ readiness: () => missing(), metrics: () => undefined }
		);
		expect(ops.port).toBe(port);
	});
});

it("says which variable to change where the operators' port is taken", async () => {
	const other = createServer();
	await new Promise<void>(done => other.listen(0, "127.0.0.1", done));
	const { port } = other.address() as { port: number };
	const starting = startOps(
		{ ...free, OPS_PORT: port },
		{ readiness: async () => [], metrics: () => undefined }
	);
	await expect(starting).rejects.toThrow(StartupError);
	await expect(starting).rejects.toThrow(`Port ${port} is taken. Set OPS_PORT`);
	await new Promise(done => other.close(done));
});
