/**
 * The whole configuration: one schema of the environment, read once at start. `.env.example` is
 * generated from it. Names avoid those of Moleculer's own broker options (`LOGGER`, `NAMESPACE`, …),
 * which its runner would read as overrides.
 */
import { readFileSync } from "node:fs";
import { Type, type Static } from "typebox";
import { createAjv, fieldErrors } from "./validator.ts";

export const GROUPS = ["users", "catalog", "orders", "notifications"] as const;
/** A group of services: the unit that has a database, is deployed and scaled. The gateway has no database. */
export type Group = (typeof GROUPS)[number];

/** What can be deployed by itself: the groups with a database, and the gateway. */
export const UNITS = [...GROUPS, "gateway"] as const;
export type Unit = (typeof UNITS)[number];

const Port = (description: string, fallback?: number) =>
	Type.Integer({
		minimum: 0,
		maximum: 65_535,
		description,
		...(fallback === undefined ? {} : { default: fallback })
	});
const Url = (protocols: string, description: string) =>
	Type.Optional(Type.String({ pattern: `^(?:${protocols})://\\S+$`, description }));
const Urls = (protocols: string, description: string) => {
	const one = `(?:${protocols})://[^\\s,]+`;
	return Type.Optional(Type.String({ pattern: `^${one}(?:,${one})*$`, description }));
};
const Positive = (description: string, fallback: number) =>
	Type.Integer({ minimum: 1, description, default: fallback });

export const Environment = Type.Object({
	NODE_ENV: Type.Enum(["development", "test", "production"], {
		default: "development",
		description: "`production` skips the check of results against their contracts"
	}),
	PORT: Port("The public port of the gateway. 0 takes a free one", 3000),
	OPS_PORT: Port(
		"The port for operators: probes. Never open it to the public. 0 takes a free one",
		3030
	),
	HOST: Type.String({
		minLength: 1,
		default: "127.0.0.1",
		description: "The address that both ports listen on; containers need 0.0.0.0"
	}),
	DATA_DIR: Type.String({
		minLength: 1,
		default: "var",
		description: "Where the embedded database, generated keys and kept mails live"
	}),
	PUBLIC_URL: Url(
		"https?",
		"Address under which clients reach the gateway; used in links. Default: http://localhost:PORT"
	),
	ACCOUNT_URL: Url(
		"https?",
		"Where the pages `verify-email` and `reset-password` are that links in mails lead to. Default: PUBLIC_URL/account, which the gateway serves"
	),
	PASSKEY_DOMAIN: Type.Optional(
		Type.String({
			pattern: "^[a-z0-9-]+(?:\\.[a-z0-9-]+)*$",
			description:
				"Domain that passkeys are for: the host of PUBLIC_URL (the default), or one that it is in, as where pages of CORS_ORIGINS are on hosts beside it. Passkeys do not survive a change"
		})
	),
	CORS_ORIGINS: Type.String({
		default: "",
		pattern: "^(?:https?://[^\\s,/]+(?:,https?://[^\\s,/]+)*)?$",
		description: "Origins, separated by commas, whose pages may call the API from a browser"
	}),
	TRUST_PROXY: Type.Integer({
		minimum: 0,
		maximum: 10,
		default: 0,
		description:
			"How many proxies of ours stand before the gateway and append to X-Forwarded-For. 0: the header is not believed"
	}),
	RATE_LIMIT_FACTOR: Type.Number({
		minimum: 0,
		default: 1,
		description:
			"Multiplies what clients may do in a time. 0 switches the limits off, for load tests; refused in production"
	}),
	REQUEST_CONCURRENCY: Positive("Requests that a gateway works on at once", 1_000),
	REQUEST_QUEUE: Type.Integer({
		minimum: 0,
		default: 1_000,
		description: "Requests that may wait beyond those; more are refused, the least important first"
	}),
	DATABASE_URL: Url(
		"postgres(?:ql)?",
		"PostgreSQL server; each group uses the database named after it, prefixed by the URL's path and `_` if there is one. Unset: an embedded server (one process only)"
	),
	USERS_DATABASE_URL: Url(
		"postgres(?:ql)?",
		"The database of the group users, where it is a server of its own"
	),
	CATALOG_DATABASE_URL: Url("postgres(?:ql)?", "The database of the group catalog, likewise"),
	ORDERS_DATABASE_URL: Url("postgres(?:ql)?", "The database of the group orders, likewise"),
	NOTIFICATIONS_DATABASE_URL: Url(
		"postgres(?:ql)?",
		"The database of the group notifications, likewise"
	),
	DATABASE_POOL_SIZE: Positive("Connections per group and process at most", 10),
	EMBEDDED_DATABASE_PORT: Port("Port of the embedded PostgreSQL. 0 takes a free one", 0),
	NATS_URL: Urls(
		"nats|tls",
		"NATS server with JetStream, several separated by commas. Setting it makes this node part of a cluster"
	),
	REDIS_URL: Url("rediss?", "Redis: cache and rate limits of the cluster. Required with NATS_URL"),
	EVENT_STREAM_REPLICAS: Type.Integer({
		minimum: 1,
		maximum: 5,
		default: 1,
		description: "Copies of each durable event in JetStream; 3 in production"
	}),
	EVENT_STREAM_MAX_BYTES: Type.Optional(
		Type.Integer({
			minimum: 1_000_000,
			description:
				"Bytes of JetStream that the events may take; the oldest go first. Default: as many as the server has"
		})
	),
	EVENT_ACK_WAIT_MS: Type.Integer({
		minimum: 500,
		default: 10_000,
		description:
			"After how long without a sign of life an event is given to another node. Handlers that work say so in time"
	}),
	OUTBOX_RETENTION_DAYS: Positive(
		"How long published events are kept in the databases, to heal a stream that has lost them",
		7
	),
	INBOX_RETENTION_DAYS: Type.Integer({
		minimum: 22,
		default: 30,
		description:
			"How long it is known which events were handled. Longer than the stream's 14 days and a week for a replay by hand"
	}),
	CRASH_AT: Type.Optional(
		Type.String({
			pattern: "^[a-z-]+\\.[a-z-]+(?:#[1-9]\\d*)?$",
			description:
				"A place of lib/crash-point.ts at which the process kills itself; for tests, refused in production"
		})
	),
	PAUSE_AT: Type.Optional(
		Type.String({
			pattern: "^[a-z-]+\\.[a-z-]+(?:#[1-9]\\d*)?$",
			description: "The same, where it stands still (SIGSTOP) until it is woken (SIGCONT)"
		})
	),
	NODE_NAME: Type.Optional(
		Type.String({
			pattern: "^[A-Za-z0-9_-]{1,60}$",
			description: "Unique id of this node. Default: group, host and process id"
		})
	),
	REQUEST_TIMEOUT_MS: Positive("How long a call between services may take", 8_000),
	BREAKER_FAILURES: Positive(
		"Failures within a minute after which a node's action is left alone",
		5
	),
	BREAKER_HALF_OPEN_MS: Positive(
		"After how long an action that was left alone is tried again",
		60_000
	),
	BULKHEAD_CONCURRENCY: Positive("Calls of one action that a node works on at once", 50),
	BULKHEAD_QUEUE: Positive("Calls of one action that may wait beyond those; more are refused", 500),
	HEARTBEAT_SECONDS: Positive(
		"How often nodes say that they are alive. A killed one is noticed at once all the same",
		5
	),
	STREAMS_PER_CLIENT: Positive(
		"Streams of server-sent events that a user, or the address of a guest, may have open at one gateway",
		10
	),
	STREAMS_TOTAL: Positive("Streams of server-sent events that a gateway keeps open", 5_000),
	DRAIN_MS: Positive(
		"How long a node that was asked to stop may take to finish what it began",
		10_000
	),
	STOCK_TIMEOUT_MS: Positive("How long an order waits for stock before it is cancelled", 30_000),
	PAYMENT_TIMEOUT_MS: Positive(
		"How long an order waits to be paid before it is cancelled",
		900_000
	),
	LOW_STOCK: Type.Integer({
		minimum: 0,
		maximum: 1_000_000,
		default: 5,
		description:
			"Units free to be bought at which a product's stock counts as low: stock.low.v1 tells when there are no more than that"
	}),
	AUTH_KEYS: Type.Optional(
		Type.String({
			description:
				"Private keys that sign access tokens, as a JWK set; `npm run keys` makes and rotates them. Required in a cluster. One process makes its own in DATA_DIR"
		})
	),
	AUTH_KEYS_FILE: Type.Optional(
		Type.String({
			description:
				"Where AUTH_KEYS stands in a file: it is read again while a node runs, so that keys are rotated without a restart"
		})
	),
	ENCRYPTION_KEYS: Type.Optional(
		Type.String({
			description:
				"Keys that secrets in the database are encrypted with, each 32 random bytes as base64url, separated by commas; the first encrypts, all decrypt. Required in a cluster. One process makes its own in DATA_DIR"
		})
	),
	OIDC_ISSUER: Type.String({
		pattern: "^https?://[^\\s?#]+$",
		default: "https://accounts.google.com",
		description:
			"Whom users may sign in with under /auth/google: Google, or any other OpenID provider. http for this machine alone, and not in production"
	}),
	GOOGLE_CLIENT_ID: Type.Optional(
		Type.String({
			minLength: 1,
			description:
				"What that provider knows this system by. Unset: nobody signs in with it. Its redirect URI there: PUBLIC_URL/api/v1/auth/google/callback"
		})
	),
	GOOGLE_CLIENT_SECRET: Type.Optional(
		Type.String({ minLength: 1, description: "The secret that belongs to GOOGLE_CLIENT_ID" })
	),
	SMTP_URL: Url(
		"smtps?",
		"Mail server. Unset: mails are kept as .eml files in DATA_DIR/mail and named in the log"
	),
	MAIL_FROM: Type.String({
		minLength: 3,
		default: "Valence <no-reply@valence.test>",
		description: "Sender of all mails"
	}),
	DEMO_DATA: Type.Optional(
		Type.Boolean({
			description:
				"Whether to load the demo catalog and log-ins. Default: yes in one process with an embedded database, else no"
		})
	),
	DEMO_PASSWORD: Type.String({
		minLength: 8,
		maxLength: 128,
		default: "valence-demo-2026",
		description: "Password of the demo log-ins"
	}),
	LOG_LEVEL: Type.Enum(["fatal", "error", "warn", "info", "debug", "trace"], {
		default: "info",
		description: "What is logged"
	}),
	LOG_FORMAT: Type.Enum(["text", "json"], {
		default: "text",
		description: "`json` writes one object a line (pino)"
	})
});
export type Config = Readonly<Static<typeof Environment>>;

/** Variables whose value may stand in a file instead, named by the variable with `_FILE` behind it. */
export const SECRETS = [
	"DATABASE_URL",
	"USERS_DATABASE_URL",
	"CATALOG_DATABASE_URL",
	"ORDERS_DATABASE_URL",
	"NOTIFICATIONS_DATABASE_URL",
	"NATS_URL",
	"REDIS_URL",
	"AUTH_KEYS",
	"ENCRYPTION_KEYS",
	"GOOGLE_CLIENT_SECRET",
	"SMTP_URL",
	"DEMO_PASSWORD"
] as const satisfies readonly (keyof Config)[];

/** Everything that is wrong with the environment, in one message for a person. */
export class ConfigError extends Error {
	readonly mistakes: readonly string[];
	constructor(mistakes: readonly string[]) {
		super(
			`The configuration has ${mistakes.length} mistake(s):\n${mistakes.map(m => `  - ${m}`).join("\n")}`
		);
		this.name = "ConfigError";
		this.mistakes = mistakes;
	}
}

const check = createAjv({ coerce: true, words: false }).compile(Environment);

/**
 * Reads and checks the environment, for a node of a cluster with these units. Throws a ConfigError
 * that lists all mistakes at once and never shows a value, which might be a secret.
 */
export function readConfig(
	env: NodeJS.ProcessEnv = process.env,
	units: readonly Unit[] = []
): Config {
	const mistakes: string[] = [];
	const values: Record<string, string> = {};
	for (const name of Object.keys(Environment.properties)) {
		const value = env[name];
		// An empty variable is an unset one, as compose files write it.
		if (value !== undefined && value !== "") values[name] = value;
	}
	for (const name of SECRETS) {
		const file = env[`${name}_FILE`];
		if (!file) continue;
		if (values[name] !== undefined) {
			mistakes.push(`${name} and ${name}_FILE are both set; set one.`);
			continue;
		}
		try {
			const text = readFileSync(file, "utf8").trim();
			if (text === "") mistakes.push(`${name}_FILE: the file is empty.`);
			else values[name] = text;
		} catch (error) {
			mistakes.push(`${name}_FILE: cannot be read (${(error as NodeJS.ErrnoException).code}).`);
		}
	}
	if (!check(values))
		for (const { field, message } of fieldErrors(check.errors))
			mistakes.push(`${field} ${message}. ${describe(field)}`);
	const config = values as unknown as Config;
	if (config.NATS_URL) mistakes.push(...missingInCluster(config, units));
	for (const variable of ["PUBLIC_URL", "OIDC_ISSUER"] as const)
		if (/^https?:/.test(config[variable] ?? "") && !URL.canParse(config[variable]!))
			mistakes.push(`${variable} is no URL. ${describe(variable)}`);
	mistakes.push(...mistakenProvider(config));
	for (const variable of ["CRASH_AT", "PAUSE_AT"] as const)
		if (config[variable] && config.NODE_ENV === "production")
			mistakes.push(`${variable} stops the process; it is for tests and refused in production.`);
	if (config.RATE_LIMIT_FACTOR === 0 && config.NODE_ENV === "production")
		mistakes.push("RATE_LIMIT_FACTOR switches the limits off; 0 is refused in production.");
	if (mistakes.length > 0) throw new ConfigError(mistakes);
	return Object.freeze(config);
}

/** One process makes for itself what it lacks; a node of a cluster must be given it. */
function missingInCluster(config: Config, units: readonly Unit[]): string[] {
	const inCluster = "is required in a cluster (NATS_URL is set)";
	const homeless = GROUPS.filter(group => units.includes(group) && !ownUrl(config, group));
	return [
		...(units.length > 0 && !config.REDIS_URL ? [`REDIS_URL ${inCluster}.`] : []),
		...(units.includes("users") && !config.AUTH_KEYS
			? [`AUTH_KEYS ${inCluster}; \`npm run keys -- create\` makes one.`]
			: []),
		...(units.includes("users") && !config.ENCRYPTION_KEYS
			? [`ENCRYPTION_KEYS ${inCluster}; \`npm run keys -- create-encryption-key\` makes one.`]
			: []),
		...(homeless.length > 0 && !config.DATABASE_URL
			? [`DATABASE_URL ${inCluster}, or ${homeless.map(urlVariable).join(", ")}.`]
			: [])
	];
}

/** What is wrong with the OpenID provider, as far as it can be seen from here. */
function mistakenProvider(config: Config): string[] {
	const { OIDC_ISSUER, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, NODE_ENV } = config;
	const issuer = URL.parse(OIDC_ISSUER);
	const isHere = issuer !== null && isLoopback(issuer.hostname) && NODE_ENV !== "production";
	return [
		...(issuer?.protocol === "http:" && !isHere
			? ["OIDC_ISSUER needs https; http is for this machine alone, and not for production."]
			: []),
		...(GOOGLE_CLIENT_ID !== undefined && GOOGLE_CLIENT_SECRET === undefined
			? ["GOOGLE_CLIENT_ID needs a GOOGLE_CLIENT_SECRET."]
			: [])
	];
}

const isLoopback = (hostname: string): boolean =>
	hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d+){3}$/.test(hostname);

interface Variable {
	readonly description: string;
	readonly enum?: readonly string[];
	readonly default?: string | number;
}
const variables = Environment.properties as unknown as Record<string, Variable>;

/** What a variable is for, and its choices where there are some. */
function describe(name: string): string {
	const { description, enum: choices } = variables[name]!;
	return `${description}.${choices ? ` One of ${choices.join(", ")}.` : ""}`;
}

const urlVariable = (group: Group) =>
	`${group.toUpperCase() as Uppercase<Group>}_DATABASE_URL` as const;

const ownUrl = (config: Config, group: Group): string | undefined => config[urlVariable(group)];

/** Whether some group has no database configured: one process starts its own then. */
export const lacksDatabase = (config: Config): boolean =>
	!config.DATABASE_URL && GROUPS.some(group => !ownUrl(config, group));

/** The URL of a group's database. Throws where none is configured (one process: not started yet). */
export function databaseUrl(config: Config, group: Group): string {
	const own = ownUrl(config, group);
	if (own) return own;
	if (!config.DATABASE_URL) throw new Error(`No database is configured for the group ${group}.`);
	const url = new URL(config.DATABASE_URL);
	const prefix = url.pathname.replaceAll(/^\/|\/$/g, "");
	url.pathname = `/${prefix ? `${prefix}_` : ""}${group}`;
	return url.href;
}

export const isCluster = (config: Config): boolean => config.NATS_URL !== undefined;

const withoutSlash = (url: string): string => url.replace(/\/+$/, "");

/** Where clients reach the gateway, without a slash at the end. Never taken from a request. */
export const publicUrl = ({ PUBLIC_URL, PORT }: Pick<Config, "PUBLIC_URL" | "PORT">): string =>
	withoutSlash(PUBLIC_URL ?? `http://localhost:${PORT}`);

/** Where the pages are that links in mails lead to, without a slash at the end. */
export const accountUrl = (config: Pick<Config, "ACCOUNT_URL" | "PUBLIC_URL" | "PORT">): string =>
	withoutSlash(config.ACCOUNT_URL ?? `${publicUrl(config)}/account`);

/** The text of `.env.example`. */
export function envExample(): string {
	const lines = Object.entries(variables).map(([name, { default: fallback }]) => {
		const file = (SECRETS as readonly string[]).includes(name)
			? ` ${name}_FILE may name a file with it.`
			: "";
		return `# ${describe(name)}${file}\n#${name}=${fallback ?? ""}\n`;
	});
	return `# Configuration of Valence. Generated from lib/config.ts by \`npm run generate\`; do not edit.\n# Every variable is optional in one process.\n\n${lines.join("\n")}`;
}
