import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { freePorts } from "../bin/ports.ts";
import { databaseUrl } from "../lib/config.ts";
import { migrate } from "../lib/migrations.ts";
import { isAlive } from "../lib/pid.ts";
import { Api } from "./support/api.ts";
import { testConfig } from "./support/node.ts";
import {
	eventually,
	launch,
	newDataDir,
	runCommand,
	startOneProcess,
	type ClusterInfo,
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
		for (const name of ["auth-keys.json", "encryption-keys"])
			expect(statSync(join(first.dataDir, "secrets", name)).mode & 0o077).toBe(0);
		expect(statSync(join(first.dataDir, "postgres", "password")).mode & 0o077).toBe(0);
	});

	it("refuses a data folder that another instance has", async () => {
		const { code, output } = await start({ DATA_DIR: first.dataDir });
		expect(code).toBe(1);
		expect(output).toMatch(/in use by another instance \(process \d+\).*DATA_DIR/);
		expect(output).not.toMatch(/ at .*\.ts:\d+/);
	});

	describe("where a port is taken", () => {
		let dataDir: string;
		beforeEach(() => {
			dataDir = newDataDir();
		});
		afterEach(() => rmSync(dataDir, { recursive: true }));
		/** On databases of the shared server, which need not be initialised first. */
		const startOn = (env: Record<string, string>) =>
			start({ DATA_DIR: dataDir, DATABASE_URL: testConfig().DATABASE_URL!, ...env });

		it("names the public one", async () => {
			const { port } = new URL(first.urls[0]!);
			const { code, output } = await startOn({ PORT: port });
			expect(code).toBe(1);
			expect(output).toContain(`Port ${port} is taken. Set PORT`);
		}, 60_000);

		it("names the operators' one", async () => {
			const port = /operators: http:\/\/127\.0\.0\.1:(\d+)/.exec(first.output())![1]!;
			const { code, output } = await startOn({ OPS_PORT: port });
			expect(code).toBe(1);
			expect(output).toContain(`Port ${port} is taken. Set OPS_PORT`);
		}, 60_000);

		it("names the database's one", async () => {
			const port = /Database.*@127\.0\.0\.1:(\d+)/.exec(first.output())![1]!;
			const { code, output } = await start({ DATA_DIR: dataDir, EMBEDDED_DATABASE_PORT: port });
			expect(code).toBe(1);
			expect(output).toContain(`Port ${port} is taken. Set EMBEDDED_DATABASE_PORT`);
		}, 60_000);
	});

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

	it("stops in order when told to while it is starting, and leaves nothing behind", async () => {
		const child = launch("bin/start.ts", [], { DATA_DIR: dataDir, PORT: "0", OPS_PORT: "0" });
		await child.says(/migrating the database users/);
		const database = await databasePid(dataDir);
		expect(isAlive(database)).toBe(true);
		expect(await child.stop()).toBe(0);
		expect(isAlive(database)).toBe(false);
		expect(existsSync(join(dataDir, "postgres", "data", "postmaster.pid"))).toBe(false);
		expect(child.output()).not.toMatch(/Valence is ready|Error/);
		const next = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		expect(await next.stop()).toBe(0);
	}, 60_000);

	it("does not take another process for its database that has its number by now", async () => {
		const killed = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		const orphan = await databasePid(dataDir);
		await killed.stop("SIGKILL");
		process.kill(orphan, "SIGKILL");
		await eventually("the database has ended", () => !isAlive(orphan));
		const bystander = spawn(process.execPath, ["-e", "setInterval(() => {}, 1_000)"]);
		const pidFile = join(dataDir, "postgres", "data", "postmaster.pid");
		writeFileSync(pidFile, readFileSync(pidFile, "utf8").replace(/^\d+/, String(bystander.pid)));
		const next = await startOneProcess({ DEMO_DATA: "false" }, dataDir);
		expect(isAlive(bystander.pid!)).toBe(true);
		expect(next.output()).not.toMatch(/left behind/);
		expect(await next.stop()).toBe(0);
		bystander.kill();
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

/** A file system of this size, for tests that fill it; only root can make one. */
function smallDisk(size: string): { path: string; remove(): void } | undefined {
	const path = newDataDir();
	const { status } = spawnSync("mount", [
		"-t",
		"tmpfs",
		"-o",
		`size=${size},mode=755`,
		"tmpfs",
		path
	]);
	const remove = () => {
		if (status === 0) spawnSync("umount", [path]);
		rmSync(path, { recursive: true });
	};
	if (status === 0) return { path, remove };
	remove();
	return undefined;
}
const canMount = (() => {
	const disk = smallDisk("4k");
	disk?.remove();
	return disk !== undefined;
})();

(canMount ? describe : describe.skip)("npm start, on a full disk", () => {
	// Too small for the password, for the database's first files, for its log, for the migrations.
	it.each(["4k", "20m", "44m", "64m"])(
		"says so (%s)",
		async size => {
			const disk = smallDisk(size)!;
			try {
				const { code, output } = await start({ DATA_DIR: join(disk.path, "data") });
				expect(code).toBe(1);
				expect(output).toMatch(
					/\nThe disk that holds .*data\S* is full\. Free some space.*DATA_DIR/
				);
				expect(output).not.toMatch(/ at .*\.ts:\d+/);
			} finally {
				disk.remove();
			}
		},
		60_000
	);
});

describe("npm run cluster", () => {
	let dataDir: string;
	beforeEach(() => {
		dataDir = newDataDir();
	});
	afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

	it("stops in order when told to while it is starting, and leaves nothing behind", async () => {
		const child = launch("bin/cluster.ts", ["--demo-data"], {
			DATA_DIR: dataDir,
			PORT: String(await freePorts(10)),
			OPS_PORT: String(await freePorts(10))
		});
		await child.says(/migrating the database users/);
		const { servers } = JSON.parse(
			readFileSync(join(dataDir, "cluster.json"), "utf8")
		) as ClusterInfo;
		const pids = Object.values(servers).map(({ pid }) => pid!);
		expect(pids.filter(isAlive)).toHaveLength(3);
		expect(await child.stop()).toBe(0);
		expect(pids.filter(isAlive)).toEqual([]);
		expect(existsSync(join(dataDir, "cluster.json"))).toBe(false);
		expect(child.output()).not.toMatch(/Valence is ready|Error/);
	}, 60_000);

	it("ends what a run left behind that was killed while it was starting", async () => {
		const env = {
			DATA_DIR: dataDir,
			PORT: String(await freePorts(10)),
			OPS_PORT: String(await freePorts(10))
		};
		const killed = launch("bin/cluster.ts", [], env);
		await killed.says(/initialising the database/);
		const { servers } = JSON.parse(
			readFileSync(join(dataDir, "cluster.json"), "utf8")
		) as ClusterInfo;
		await killed.stop("SIGKILL");
		const left = Object.values(servers).map(({ pid }) => pid!);
		expect(left.filter(isAlive)).toHaveLength(2);
		const next = launch("bin/cluster.ts", [], env);
		await next.says(/migrating the database users/);
		expect(left.filter(isAlive)).toEqual([]);
		expect(await next.stop()).toBe(0);
	}, 60_000);

	it("refuses ports that cannot be the first of several", async () => {
		const { code, output } = await runCommand("bin/cluster.ts", [], {
			DATA_DIR: dataDir,
			PORT: "0"
		});
		expect(code).toBe(1);
		expect(output).toMatch(/PORT and OPS_PORT are the first of several/);
	});

	it.each(["catalog", "catalog=0", "shop=2", "catalog=2;gateway=2"])(
		"explains how many nodes can be asked for: %s",
		async replicas => {
			const { code, output } = await runCommand("bin/cluster.ts", ["--replicas", replicas], {});
			expect(code).toBe(1);
			expect(output).toMatch(/--replicas: '.*' is not understood. Write catalog=2,gateway=2/);
		}
	);
});

describe("npm run repl", () => {
	it("says that there is no cluster", async () => {
		const dataDir = newDataDir();
		const none = await runCommand("bin/repl.ts", [], { DATA_DIR: dataDir });
		expect(none.code).toBe(1);
		expect(none.output).toMatch(/no cluster to join.*npm run cluster.*NATS_URL/);
		const away = await runCommand("bin/repl.ts", [], {
			DATA_DIR: dataDir,
			NATS_URL: "nats://127.0.0.1:1"
		});
		expect(away.code).toBe(1);
		expect(away.output).toMatch(/NATS at 127\.0\.0\.1:1 cannot be reached/);
		rmSync(dataDir, { recursive: true });
	});
});

describe("Moleculer's own runner", () => {
	it("starts a service with our configuration", async () => {
		const config = testConfig();
		await migrate("users", databaseUrl(config, "users"));
		const runner = launch(
			"node_modules/moleculer/bin/moleculer-runner.mjs",
			["--config", "moleculer.config.ts", "services/users/users.service.ts"],
			{ DATABASE_URL: config.DATABASE_URL!, LOG_LEVEL: "debug", DATA_DIR: config.DATA_DIR }
		);
		await runner.says(/Service 'users' started/);
		await runner.says(/ServiceBroker with 2 service\(s\) started/);
		expect(await runner.stop("SIGTERM")).toBe(0);
		expect(runner.output()).not.toMatch(/ERROR|Unhandled/);
	}, 30_000);
});
