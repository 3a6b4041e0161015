import { createServer } from "node:http";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { isAlive } from "../lib/pid.ts";
import { Api } from "./support/api.ts";
import {
	eventually,
	newDataDir,
	runCommand,
	startOneProcess,
	type Running
} from "./support/process.ts";

const start = (env: Record<string, string>) =>
	runCommand("bin/start.ts", [], { PORT: "0", OPS_PORT: "0", ...env });

async function sql(url: string, text: string): Promise<pg.QueryResult> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		return await client.query(text);
	} finally {
		await client.end();
	}
}

const databasePid = async (dataDir: string): Promise<number> => {
	return Number(
		readFileSync(join(dataDir, "postgres", "data", "postmaster.pid"), "utf8").split("\n")[0]
	);
};

describe("npm start", () => {
	let first: Running;
	beforeAll(async () => {
		first = await startOneProcess();
	}, 60_000);
	afterAll(async () => {
		await first.stop();
		first.cleanUp();
	});

	it("says where everything is", () => {
		const output = first.output();
		expect(output).toMatch(/initialising the database/);
		expect(output).toMatch(/migrating the database orders/);
		expect(output).toMatch(/1000 of 1000 products/);
		expect(output).toMatch(/\/docs/);
		expect(output).toMatch(/admin@valence\.test, staff@valence\.test, customer@valence\.test/);
		expect(output).toMatch(/valence-demo-2026/);
	});

	it("keeps its secrets to its owner", () => {
		expect(statSync(join(first.dataDir, "secrets", "auth-keys.json")).mode & 0o077).toBe(0);
		expect(statSync(join(first.dataDir, "postgres", "password")).mode & 0o077).toBe(0);
	});

	it("refuses a data folder that another instance has", async () => {
		const { code, output } = await start({ DATA_DIR: first.dataDir });
		expect(code).toBe(1);
		expect(output).toMatch(/in use by another instance \(process \d+\).*DATA_DIR/);
		expect(output).not.toMatch(/ at .*\.ts:\d+/);
	});

	it("names a port that is taken", async () => {
		const dataDir = newDataDir();
		const port = new URL(first.urls[0]!).port;
		const { code, output } = await start({ DATA_DIR: dataDir, PORT: port, DEMO_DATA: "false" });
		expect(code).toBe(1);
		expect(output).toContain(`Port ${port} is taken. Set PORT`);
		const busy = createServer().listen(0, "127.0.0.1");
		await new Promise(done => busy.once("listening", done));
		const { port: opsPort } = busy.address() as { port: number };
		const second = await start({
			DATA_DIR: dataDir,
			OPS_PORT: String(opsPort),
			DEMO_DATA: "false"
		});
		busy.close();
		expect(second.code).toBe(1);
		expect(second.output).toContain(`Port ${opsPort} is taken. Set OPS_PORT`);
		rmSync(dataDir, { recursive: true });
	}, 90_000);

	it("lists all mistakes of its configuration at once", async () => {
		const { code, output } = await start({
			PORT: "eighty",
			LOG_LEVEL: "loud",
			DATABASE_URL: "mysql://secret@host"
		});
		expect(code).toBe(1);
		expect(output).toMatch(/3 mistake/);
		for (const name of ["PORT", "LOG_LEVEL", "DATABASE_URL"])
			expect(output).toContain(`- ${name} `);
		expect(output).not.toContain("secret");
	});

	it("says when its data folder cannot be made", async () => {
		const dataDir = newDataDir();
		const file = join(dataDir, "file");
		writeFileSync(file, "");
		const { code, output } = await start({ DATA_DIR: join(file, "folder") });
		expect(code).toBe(1);
		expect(output).toMatch(/data folder .* cannot be written to/);
		rmSync(dataDir, { recursive: true });
	});
});

describe("npm start, again", () => {
	let dataDir: string;
	beforeEach(() => {
		dataDir = newDataDir();
	});
	afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

	it("leaves the demo out when told, and serves all the same", async () => {
		const system = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		const api = new Api(system.urls);
		expect((await api.get("/products")).body.items).toEqual([]);
		expect((await api.newCustomer()).login.status).toBe(200);
		expect(await system.stop()).toBe(0);
	}, 60_000);

	it("recovers after kill -9, with everything that was committed", async () => {
		const killed = await startOneProcess({}, dataDir);
		const ada = await new Api(killed.urls).newCustomer();
		const orphan = await databasePid(dataDir);
		await killed.stop("SIGKILL");
		expect(isAlive(orphan)).toBe(true);

		const next = await startOneProcess({}, dataDir);
		expect(next.output()).toMatch(/stopping the database server that an earlier run left behind/);
		expect(next.output()).not.toMatch(/initialising/);
		const api = new Api(next.urls);
		expect((await api.get("/users/me", ada.token)).body.username).toBe(ada.username);
		const again = await api.request("POST", "/auth/login", {
			body: { login: ada.email, password: "correct horse battery" }
		});
		expect(again.status).toBe(200);
		expect(await next.stop()).toBe(0);
		expect(isAlive(orphan)).toBe(false);
	}, 60_000);

	it("stops at once at the second Ctrl-C, and leaves no database behind", async () => {
		const system = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		const database = await databasePid(dataDir);
		system.process.kill("SIGINT");
		await eventually("it says that it stops", () =>
			system.output().includes("once more to stop at once")
		);
		const code = await system.stop("SIGINT");
		// The orderly stop may have been quicker than the second signal.
		expect([130, 0]).toContain(code);
		await eventually("the database has ended", () => !isAlive(database));
	}, 60_000);

	it("refuses a database that a newer version has made", async () => {
		const system = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		const password = readFileSync(join(dataDir, "postgres", "password"), "utf8");
		const port = /@127\.0\.0\.1:(\d+) in/.exec(system.output())![1];
		await sql(
			`postgres://valence:${password}@127.0.0.1:${port}/orders`,
			"INSERT INTO schema_migration (name) VALUES ('9999-from-the-future')"
		);
		await system.stop();
		const { code, output } = await start({ DATA_DIR: dataDir });
		expect(code).toBe(1);
		expect(output).toMatch(/orders was made by a newer version.*9999-from-the-future/s);
		expect(output).not.toMatch(/ at .*\.ts:\d+/);
	}, 60_000);
});
