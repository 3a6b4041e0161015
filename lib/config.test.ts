import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	ConfigError,
	databaseUrl,
	envExample,
	Environment,
	GROUPS,
	isCluster,
	lacksDatabase,
	publicUrl,
	readConfig,
	SECRETS,
	UNITS
} from "./config.ts";

/** What is wrong with an environment, one line each. */
function mistakes(...args: Parameters<typeof readConfig>): readonly string[] {
	try {
		readConfig(...args);
	} catch (error) {
		if (error instanceof ConfigError) return error.mistakes;
		throw error;
	}
	return [];
}

describe("the configuration", () => {
	it("needs nothing", () => {
		const config = readConfig({});
		expect(config).toMatchObject({ PORT: 3000, HOST: "127.0.0.1", LOG_LEVEL: "info" });
		expect(isCluster(config)).toBe(false);
		expect(lacksDatabase(config)).toBe(true);
		expect(Object.isFrozen(config)).toBe(true);
	});

	it("reads numbers and yes or no", () => {
		expect(readConfig({ PORT: "0", DEMO_DATA: "false", BREAKER_FAILURES: "7" })).toMatchObject({
			PORT: 0,
			DEMO_DATA: false,
			BREAKER_FAILURES: 7
		});
	});

	it("takes an empty variable for an unset one, and passes over what is not ours", () => {
		expect(readConfig({ PORT: "", NATS_URL: "", REDIS_URL_FILE: "", SHELL: "/bin/sh" })).toEqual(
			readConfig({})
		);
	});

	it("lists every mistake in one message, each with what the variable is for, and no value", () => {
		const env = {
			PORT: "hunter2",
			OPS_PORT: "65536",
			REQUEST_TIMEOUT_MS: "1.5",
			DATABASE_URL: "mysql://hunter2@host",
			NATS_URL: "nats://hunter2 with a space",
			CORS_ORIGINS: "https://hunter2.example/",
			NODE_NAME: "hunter2/hunter2",
			DEMO_DATA: "hunter2",
			DEMO_PASSWORD: "hunter2",
			LOG_LEVEL: "hunter2",
			EVENT_STREAM_REPLICAS: "6",
			TRUST_PROXY: "-1"
		};
		const found = mistakes(env);
		expect(found.map(mistake => mistake.split(" ", 1)[0]!).toSorted()).toEqual(
			Object.keys(env).toSorted()
		);
		const { message } = new ConfigError(found);
		expect(message).toMatch(/^The configuration has 12 mistake\(s\):\n {2}- /);
		expect(message).not.toContain("hunter2");
		expect(message).toMatch(/LOG_LEVEL .* One of fatal, error, warn, info, debug, trace\./);
	});

	it("keeps the limits on in production, whatever their size", () => {
		const off = { RATE_LIMIT_FACTOR: "0" };
		expect(readConfig(off).RATE_LIMIT_FACTOR).toBe(0);
		expect(mistakes({ ...off, NODE_ENV: "production" })).toEqual([
			expect.stringMatching(/^RATE_LIMIT_FACTOR .* refused in production/)
		]);
		expect(mistakes({ RATE_LIMIT_FACTOR: "1000000", NODE_ENV: "production" })).toEqual([]);
	});

	it("knows by which address clients come", () => {
		const PUBLIC_URL = "https://shop.example.com/api/";
		expect(publicUrl(readConfig({ PUBLIC_URL }))).toBe("https://shop.example.com/api");
		expect(publicUrl(readConfig({ PORT: "8080" }))).toBe("http://localhost:8080");
		expect(mistakes({ PUBLIC_URL: "https://[" })).toEqual([
			expect.stringMatching(/^PUBLIC_URL is no URL/)
		]);
	});

	it("has users sign in with a provider that it can trust", () => {
		const client = { GOOGLE_CLIENT_ID: "hunter1", GOOGLE_CLIENT_SECRET: "hunter2" };
		expect(readConfig(client).OIDC_ISSUER).toBe("https://accounts.google.com");
		expect(mistakes({ GOOGLE_CLIENT_ID: "hunter1" })).toEqual([
			expect.stringMatching(/needs a GOOGLE_CLIENT_SECRET/)
		]);
		for (const OIDC_ISSUER of ["http://localhost:8080", "http://127.0.0.1/a", "http://[::1]:1"]) {
			expect(mistakes({ ...client, OIDC_ISSUER })).toEqual([]);
			expect(mistakes({ ...client, OIDC_ISSUER, NODE_ENV: "production" })).toEqual([
				expect.stringMatching(/^OIDC_ISSUER needs https/)
			]);
		}
		for (const OIDC_ISSUER of ["http://id.example.com", "http://127.0.0.1.evil.com", "https://["])
			expect(mistakes({ ...client, OIDC_ISSUER })).toEqual([
				expect.stringMatching(/^OIDC_ISSUER (?:needs https|is no URL)/)
			]);
		for (const OIDC_ISSUER of ["ftp://id.example.com", "https://id.example.com/?a", "hunter2"])
			expect(mistakes({ OIDC_ISSUER })).toEqual([expect.stringMatching(/^OIDC_ISSUER /)]);
	});

	it("takes several addresses of NATS, all whole", () => {
		expect(readConfig({ NATS_URL: "nats://a:4222,tls://b:4222" }).NATS_URL).toBe(
			"nats://a:4222,tls://b:4222"
		);
		for (const NATS_URL of ["nats://a:4222,b:4222", "nats://a,", "http://a"])
			expect(mistakes({ NATS_URL })).toEqual([expect.stringMatching(/^NATS_URL /)]);
	});

	it("is complete: every variable is described, none is an option of Moleculer's runner", () => {
		for (const [name, { description }] of Object.entries(
			Environment.properties as Record<string, { description?: string }>
		)) {
			expect([name, description]).toEqual([name, expect.stringMatching(/^[A-Z`].*[^.]$/)]);
			expect(["NAMESPACE", "NODEID", "LOGGER", "CACHER", "TRANSPORTER", "METRICS"]).not.toContain(
				name
			);
		}
	});

	it("is what .env.example tells", () => {
		expect(readFileSync(join(import.meta.dirname, "..", ".env.example"), "utf8")).toBe(
			envExample()
		);
		for (const name of Object.keys(Environment.properties))
			expect(envExample()).toMatch(new RegExp(`^#${name}=`, "m"));
	});
});

describe("a secret", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "valence-config-"));
	});
	afterEach(() => rmSync(folder, { recursive: true }));
	const file = (text: string): string => {
		const path = join(folder, "secret");
		writeFileSync(path, text);
		return path;
	};

	it.each(SECRETS)("%s may stand in a file", name => {
		const value = name.endsWith("_URL")
			? `${{ NATS_URL: "nats", REDIS_URL: "redis", SMTP_URL: "smtp" }[name as string] ?? "postgres"}://h`
			: "a secret of some length";
		expect(readConfig({ [`${name}_FILE`]: file(`${value}\n`) })[name]).toBe(value);
	});

	it("is checked like a variable, and not shown", () => {
		const found = mistakes({ DATABASE_URL_FILE: file("hunter2") });
		expect(found).toEqual([expect.stringMatching(/^DATABASE_URL /)]);
		expect(found[0]).not.toContain("hunter2");
	});

	it("may not stand in both", () => {
		expect(mistakes({ REDIS_URL: "redis://h", REDIS_URL_FILE: file("redis://h") })).toEqual([
			"REDIS_URL and REDIS_URL_FILE are both set; set one."
		]);
	});

	it("must be there and readable, with something in it", () => {
		expect(
			mistakes({
				SMTP_URL_FILE: join(folder, "nothing"),
				AUTH_KEYS_FILE: folder,
				REDIS_URL_FILE: file(" \n")
			})
		).toEqual([
			"REDIS_URL_FILE: the file is empty.",
			"AUTH_KEYS_FILE: cannot be read (EISDIR).",
			"SMTP_URL_FILE: cannot be read (ENOENT)."
		]);
	});

	it("is the only thing that is read from files", () => {
		expect(readConfig({ PORT_FILE: file("80") }).PORT).toBe(3000);
	});
});

describe("a node of a cluster", () => {
	const NATS_URL = "nats://h";
	it.each([
		["gateway", ["REDIS_URL"]],
		["users", ["REDIS_URL", "AUTH_KEYS", "ENCRYPTION_KEYS", "DATABASE_URL"]],
		["catalog", ["REDIS_URL", "DATABASE_URL"]],
		["orders", ["REDIS_URL", "DATABASE_URL"]],
		["notifications", ["REDIS_URL", "DATABASE_URL"]]
	] as const)("of the unit %s must be given %j", (unit, names) => {
		const found = mistakes({ NATS_URL }, [unit]);
		expect(found.map(mistake => mistake.split(" ", 1)[0])).toEqual(names);
		for (const mistake of found) expect(mistake).toContain("is required in a cluster");
	});

	it("takes a database of its group's own instead, and names it", () => {
		expect(mistakes({ NATS_URL, REDIS_URL: "redis://h" }, ["orders"])).toEqual([
			"DATABASE_URL is required in a cluster (NATS_URL is set), or ORDERS_DATABASE_URL."
		]);
		const env = { NATS_URL, REDIS_URL: "redis://h", ORDERS_DATABASE_URL: "postgres://h/o" };
		expect(mistakes(env, ["orders"])).toEqual([]);
		expect(mistakes(env, ["orders", "catalog"])).toHaveLength(1);
	});

	it("says all of it at once, with mistakes of other kinds", () => {
		expect(mistakes({ NATS_URL, PORT: "x" }, UNITS)).toHaveLength(5);
	});

	it("is not asked for anything by tools that carry no unit", () => {
		expect(isCluster(readConfig({ NATS_URL }))).toBe(true);
	});
});

describe("the database of a group", () => {
	it("is named after it on the common server", () => {
		const config = readConfig({ DATABASE_URL: "postgres://u:p%40ss@h:5432?sslmode=require" });
		expect(databaseUrl(config, "orders")).toBe("postgres://u:p%40ss@h:5432/orders?sslmode=require");
		expect(lacksDatabase(config)).toBe(false);
	});

	it("takes the path of the common server's address for a prefix", () => {
		for (const path of ["/shop", "/shop/"])
			expect(databaseUrl(readConfig({ DATABASE_URL: `postgres://h${path}` }), "users")).toBe(
				"postgres://h/shop_users"
			);
		expect(databaseUrl(readConfig({ DATABASE_URL: "postgres://h/" }), "users")).toBe(
			"postgres://h/users"
		);
	});

	it("may be a server of its own, taken as it is", () => {
		const own = { ORDERS_DATABASE_URL: "postgresql://o/anything" };
		const config = readConfig({ DATABASE_URL: "postgres://h/shop", ...own });
		expect(databaseUrl(config, "orders")).toBe("postgresql://o/anything");
		expect(databaseUrl(config, "catalog")).toBe("postgres://h/shop_catalog");
		expect(lacksDatabase(readConfig(own))).toBe(true);
		expect(() => databaseUrl(readConfig(own), "catalog")).toThrow("group catalog");
	});

	it("is there for all when each has its own", () => {
		const each = Object.fromEntries(
			GROUPS.map(group => [`${group.toUpperCase()}_DATABASE_URL`, `postgres://${group}/x`])
		);
		expect(lacksDatabase(readConfig(each))).toBe(false);
	});
});
