/**
 * What a client may do in a time. Everybody has points to spend; attempts that could be used to guess
 * or to harvest are counted besides: of whoever has signed in by the user, of others by their address and
 * by the account that they are aimed at.
 */
import { createHash } from "node:crypto";
import type { Service } from "moleculer";
import type { Config } from "../../lib/config.ts";
import type { Attempt } from "../../lib/contract.ts";
import { failure } from "../../lib/failure.ts";
import { Ledger, LedgerAway, type Balance, type Bucket, type Policy } from "./ledger.ts";
import { gateway } from "./problem.ts";
import type { Route } from "./routes.ts";

/** For all that a user, or an address without one, does. */
export const REQUESTS: Policy = { name: "requests", points: 3_000, seconds: 60 };
const READ_COST = 1;
const COMMAND_COST = 5;

/**
 * The account's is the tighter one, since an address may be that of a whole office. Registering tells that an
 * address is taken, and is done once.
 */
export const ATTEMPTS = {
	login: {
		address: { name: "login", points: 60, seconds: 300 },
		account: { name: "login-account", points: 10, seconds: 300 }
	},
	reset: {
		address: { name: "reset", points: 10, seconds: 900 },
		account: { name: "reset-account", points: 3, seconds: 900 }
	},
	register: {
		address: { name: "register", points: 60, seconds: 3_600 },
		account: { name: "register-account", points: 5, seconds: 900 }
	}
} as const satisfies Record<Attempt, Record<"address" | "account", Policy>>;

/** Who is asking; `network` is what an address is counted by. */
export interface Asker {
	readonly userId: string | undefined;
	readonly network: string;
}
type Headers = Record<string, string>;

type Settings = Pick<Config, "RATE_LIMIT_FACTOR" | "REDIS_URL">;

export class Limits {
	readonly #ledger: Ledger;
	readonly #requests: Bucket;
	readonly #attempts: Readonly<Record<Attempt, Record<"address" | "account", Bucket>>>;

	constructor({ RATE_LIMIT_FACTOR, REDIS_URL }: Settings, logger: Service["logger"]) {
		this.#ledger = new Ledger(REDIS_URL, logger);
		const scaled = (policy: Policy) => ({
			...policy,
			points: Math.max(1, Math.round(policy.points * RATE_LIMIT_FACTOR))
		});
		this.#requests = this.#ledger.bucket(scaled(REQUESTS), { isStrict: false });
		const strict = (kind: Attempt) => ({
			address: this.#ledger.bucket(scaled(ATTEMPTS[kind].address), { isStrict: true }),
			account: this.#ledger.bucket(scaled(ATTEMPTS[kind].account), { isStrict: true })
		});
		this.#attempts = {
			login: strict("login"),
			reset: strict("reset"),
			register: strict("register")
		};
	}

	open(): Promise<void> {
		return this.#ledger.open();
	}

	close(): void {
		this.#ledger.close();
	}

	/**
	 * Counts a request, before anything of its body is read; `route` is undefined for an address that
	 * nobody knows. The headers that tell of it are put into `headers`, also where it throws
	 * RATE_LIMITED, or UNAVAILABLE for an attempt that cannot be counted now.
	 */
	async admit(asker: Asker, route: Route | undefined, headers: Headers): Promise<Admission> {
		const admission = new Admission(headers);
		const { userId, network } = asker;
		const user = userId === undefined ? undefined : `user:${userId}`;
		await admission.take(this.#requests, user ?? `address:${network}`, costOf(route));
		const attempt = route?.rest.limit?.attempt;
		if (!attempt) return admission;
		const { address, account } = this.#attempts[attempt];
		// Whoever has signed in guesses at one account, from many addresses maybe, and takes nothing from
		// others at theirs. Who that is says nothing where strangers may come as well.
		if (user !== undefined && route.contract.access !== "public")
			await admission.attempt(account, user);
		else {
			await admission.attempt(address, network);
			admission.accounts = account;
		}
		return admission;
	}
}

const costOf = (route: Route | undefined): number =>
	route?.rest.limit?.cost ?? (!route || route.method === "GET" ? READ_COST : COMMAND_COST);

/** What was counted for one request. */
export class Admission {
	/** Where the account is counted that the request is aimed at. */
	accounts: Bucket | undefined;
	readonly #headers: Headers;
	readonly #balances = new Map<Bucket, Balance>();
	/** Where the attempt is counted. */
	readonly #taken: [bucket: Bucket, key: string][] = [];

	constructor(headers: Headers) {
		this.#headers = headers;
	}

	/** Counts the attempt by what it is aimed at as well. Throws as `admit` does. */
	async aimAt(account: string): Promise<void> {
		if (this.accounts) await this.attempt(this.accounts, keyOf(account));
	}

	async attempt(bucket: Bucket, key: string): Promise<void> {
		await this.take(bucket, key, 1);
		this.#taken.push([bucket, key]);
	}

	/** The attempt has succeeded and shall not count. */
	async forgive(): Promise<void> {
		for (const [bucket, key] of this.#taken)
			try {
				this.#tell(bucket, await bucket.giveBack(key, 1));
			} catch (error) {
				// Whoever knows the password gets in, although it counts.
				if (!(error instanceof LedgerAway)) throw error;
			}
	}

	async take(bucket: Bucket, key: string, points: number): Promise<void> {
		const balance = await bucket.take(key, points).catch((error: unknown) => {
			throw error instanceof LedgerAway ? failure(gateway, "UNAVAILABLE") : error;
		});
		this.#tell(bucket, balance);
		if (balance.isExceeded) {
			this.#headers["Retry-After"] = String(secondsOf(balance));
			throw failure(gateway, "RATE_LIMITED");
		}
	}

	#tell(bucket: Bucket, balance: Balance): void {
		this.#balances.set(bucket, balance);
		const all = [...this.#balances.values()];
		this.#headers["RateLimit-Policy"] = all.map(policyText).join(", ");
		this.#headers["RateLimit"] = all.map(balanceText).join(", ");
	}
}

const policyText = ({ policy: { name, points, seconds } }: Balance): string =>
	`"${name}";q=${points};w=${seconds}`;
const balanceText = (balance: Balance): string =>
	`"${balance.policy.name}";r=${balance.remaining};t=${secondsOf(balance)}`;
const secondsOf = ({ msUntilReset }: Balance): number => Math.ceil(msUntilReset / 1_000);

/** The account, as auth compares log-ins; hashed, since addresses of people have no business in Redis. */
const keyOf = (account: string): string =>
	createHash("sha256").update(account.normalize("NFKC").trim().toLowerCase()).digest("base64url");
