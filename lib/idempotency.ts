/**
 * Commands that take effect once, however often the client sends them: `Idempotency-Key`, as
 * draft-ietf-httpapi-idempotency-key-header has it.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { ActionContract } from "./contract.ts";
import type { Database, Queries, Tx } from "./database.ts";
import { commonFailure } from "./failure.ts";
import type { Meta } from "./identity.ts";
import type { Migration } from "./migrations.ts";
import { runtimeOf } from "./runtime.ts";
import { uuidv8 } from "./uuid.ts";

/** A key, and what it was sent with. */
export interface Claim {
	/** Keys of different callers and actions do not meet. A UUID. */
	readonly callerId: string;
	readonly action: string;
	readonly key: string;
	/** What was asked for; the same key with another request is refused. JSON. */
	readonly request: unknown;
}

/** Runs work in a transaction of the service's database. */
export type Transact = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>;

export const createIdempotencyTable: Migration = async ({ query }) => {
	await query(`CREATE TABLE idempotency_key (
		user_id uuid NOT NULL,
		action text NOT NULL,
		key text NOT NULL,
		fingerprint text NOT NULL,
		-- Not jsonb, which would forget the order of the names: the same key gets the same bytes.
		answer json,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (user_id, action, key))`);
	await query("CREATE INDEX idempotency_key_age ON idempotency_key (created_at)");
};

export const dropIdempotencyTable: Migration = async ({ query }) => {
	await query("DROP TABLE idempotency_key");
};

/** While `open`, the answer is only what the command's transaction has returned. */
export const addOpenAnswers: Migration = async ({ query }) => {
	await query("ALTER TABLE idempotency_key ADD COLUMN open boolean NOT NULL DEFAULT false");
};

export const dropOpenAnswers: Migration = async ({ query }) => {
	await query("ALTER TABLE idempotency_key DROP COLUMN open");
};

/** For a service that keeps keys from now on. */
export const addIdempotencyKeys: Migration = async context => {
	await createIdempotencyTable(context);
	await addOpenAnswers(context);
};

/** Forgets what a user was answered. Answers how many. */
export async function forgetKeys(tx: Queries, userId: string): Promise<number> {
	const gone = await tx.query(
		// Whoever registered was nobody yet: that answer is kept by the address it came from.
		`DELETE FROM idempotency_key WHERE user_id = $1 OR answer->>'id' = $1::uuid::text RETURNING 1`,
		[userId]
	);
	return gone.length;
}

/** So long a request waits for an equal one that is still being worked on. */
const PATIENCE_MS = 2_000;
const LOOK_EVERY_MS = 50;

/**
 * Has `handle` do its work unless the key was used within the last 24 hours; then answers what was
 * answered then. `handle` is given the transaction in which it must do all that it does, once: the
 * key is stored in it, so that both happen or neither. What the transaction returns (JSON) is kept as
 * well: where a process dies before the answer is made of it, a repetition makes it.
 *
 * Throws IDEMPOTENCY_KEY_REUSED where the request is another one, and IDEMPOTENCY_IN_PROGRESS where
 * an equal one takes long.
 */
export async function once<T>(
	db: Database,
	claim: Claim,
	handle: (transaction: Transact) => Promise<T>
): Promise<T> {
	const use = new KeyUse(db, claim);
	const earlier = await use.find(db);
	if (earlier?.open === false) return earlier.answer as T;
	let turn: { readonly outcome: unknown } | undefined;
	try {
		const answer = await handle(async work => {
			if (turn) throw new Error(`${claim.action} has two transactions under one Idempotency-Key.`);
			turn = await use.take(work);
			return turn.outcome as never;
		});
		if (!turn)
			throw new Error(`${claim.action} has kept no Idempotency-Key: it used no transaction.`);
		// Else a repetition, too, hands on what the transaction has returned.
		return answer === turn.outcome ? answer : await use.conclude(answer);
	} catch (error) {
		if (error instanceof AnsweredBefore) return error.answer as T;
		// It was refused because an equal one has just done the same.
		const meanwhile = turn ? undefined : await use.find(db);
		if (meanwhile?.open === false) return meanwhile.answer as T;
		throw error;
	}
}

/** Leaves the handler: there is nothing to do for it. */
class AnsweredBefore extends Error {
	readonly answer: unknown;

	constructor(answer: unknown) {
		super("This was answered before.");
		this.answer = answer;
	}
}

interface Kept {
	readonly answer: unknown;
	readonly open: boolean;
}

class KeyUse {
	readonly #db: Database;
	readonly #id: readonly [callerId: string, action: string, key: string];
	readonly #fingerprint: string;

	constructor(db: Database, { callerId, action, key, request }: Claim) {
		this.#db = db;
		this.#id = [callerId, action, key];
		this.#fingerprint = createHash("sha256").update(canonical(request)).digest("base64url");
	}

	/** What is kept under the key. Throws IDEMPOTENCY_KEY_REUSED. */
	async find(db: Queries): Promise<Kept | undefined> {
		const row = await db.one<Kept & { fingerprint: string }>(
			`SELECT fingerprint, answer, open FROM idempotency_key WHERE user_id = $1 AND action = $2 AND key = $3
			   AND created_at >= clock_timestamp() - interval '24 hours'`,
			this.#id
		);
		if (row && row.fingerprint !== this.#fingerprint) throw commonFailure("IDEMPOTENCY_KEY_REUSED");
		return row;
	}

	/** Does the work, or answers what it returned before; waits for an equal request, but not for long. */
	async take(work: (tx: Tx) => Promise<unknown>): Promise<{ outcome: unknown }> {
		for (const end = Date.now() + PATIENCE_MS; ; await sleep(LOOK_EVERY_MS)) {
			// No connection is held while it waits: those who work need them.
			const turn = await this.#db.transaction(tx => this.#tryTake(tx, work), undefined, {
				repeatable: true
			});
			if (turn) return turn;
			if (Date.now() >= end) throw commonFailure("IDEMPOTENCY_IN_PROGRESS");
		}
	}

	async #tryTake(tx: Tx, work: (tx: Tx) => Promise<unknown>) {
		if (await this.#claim(tx)) {
			const outcome = await work(tx);
			await tx.query(
				"UPDATE idempotency_key SET answer = $4::json WHERE user_id = $1 AND action = $2 AND key = $3",
				[...this.#id, toJson(outcome)]
			);
			return { outcome };
		}
		const kept = await this.find(tx);
		if (kept?.open === false) throw new AnsweredBefore(kept.answer);
		return kept && { outcome: kept.answer };
	}

	/** True where the key is free; it is ours then until the transaction ends. Waits for nobody. */
	async #claim(tx: Tx): Promise<boolean> {
		const row = await tx.one(
			`WITH turn AS MATERIALIZED (
			   SELECT pg_try_advisory_xact_lock(hashtextextended($1::text || ' ' || $2 || ' ' || $3, 0)) AS is_ours)
			 INSERT INTO idempotency_key AS k (user_id, action, key, fingerprint, open)
			 SELECT $1::text::uuid, $2::text, $3::text, $4, true FROM turn WHERE is_ours
			 ON CONFLICT (user_id, action, key) DO UPDATE
			   SET fingerprint = excluded.fingerprint, answer = NULL, open = true, created_at = clock_timestamp()
			   WHERE k.created_at < clock_timestamp() - interval '24 hours'
			 RETURNING key`,
			[...this.#id, this.#fingerprint]
		);
		return row !== undefined;
	}

	/** Keeps the answer. Where an equal request has come before us, its answer is the answer. */
	async conclude<T>(answer: T): Promise<T> {
		const row = await this.#db.one(
			`UPDATE idempotency_key SET answer = $4::json, open = false
			 WHERE user_id = $1 AND action = $2 AND key = $3 AND open RETURNING key`,
			[...this.#id, toJson(answer)]
		);
		return row ? answer : (((await this.find(this.#db))?.answer as T | undefined) ?? answer);
	}
}

const toJson = (value: unknown): string => JSON.stringify(value ?? null);

/** JSON with sorted names, so that the order in which a client writes its fields does not matter. */
const canonical = (value: unknown): string =>
	JSON.stringify(value, (_, part: unknown) =>
		part !== null && typeof part === "object" && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part
	);

/** The header of a call that carries a key which is no parameter of the action. */
export const KEY_HEADER = "idempotencyKey";

/** A service as handlers see it, as far as it matters here. `db` and `transaction` are the events mixin's. */
interface Commanding {
	readonly broker: ServiceBroker;
	readonly db?: Database;
	readonly transaction: Transact;
}
interface Command {
	readonly params: Readonly<Record<string, unknown>>;
	readonly meta: Meta;
	readonly headers: Readonly<Record<string, unknown>>;
}
type Handler = (this: Commanding, ctx: Command) => Promise<unknown>;

/** Whether a client may send an `Idempotency-Key` along, and the service has to keep it. */
export const keepsKeys = ({ rest }: Pick<ActionContract, "rest">): boolean =>
	rest !== undefined && !rest.route.startsWith("GET") && (rest.idempotencyKey ?? "kept") === "kept";

/** The handler of an action whose clients may send a key: `this.transaction` then is that of `once`. */
export const keeping = (action: string, contract: ActionContract, handler: Handler): Handler =>
	async function (ctx) {
		const key = ctx.params[KEY_HEADER] ?? ctx.headers[KEY_HEADER];
		const handle = (transaction: Transact) =>
			handler.call(Object.create(this, { transaction: { value: transaction } }) as Commanding, ctx);
		// Faked services have no database.
		if (!this.db) return handler.call(this, ctx);
		if (typeof key !== "string") return checked(this, action, handle);
		const claim = {
			callerId: callerOf(ctx),
			action,
			key,
			request: requestOf(contract, ctx.params)
		};
		return once(this.db, claim, handle);
	};

/** Outside production: that a key could have been kept, also where none is sent, as in most tests. */
async function checked(
	{ broker, transaction }: Commanding,
	action: string,
	handle: (transaction: Transact) => Promise<unknown>
): Promise<unknown> {
	let transactions = 0;
	const answer = await handle(work => {
		transactions++;
		return transaction(work);
	});
	if (transactions !== 1 && runtimeOf(broker).config.NODE_ENV !== "production")
		throw new Error(
			`${action} used this.transaction ${transactions} times: an Idempotency-Key needs exactly one.`
		);
	return answer;
}

/** A guest is known by the cart, or else by where the request came from. */
function callerOf({ meta: { user, client }, params: { cartToken } }: Command): string {
	if (user) return user.id;
	return uuidv8(
		typeof cartToken === "string" ? `guest:${cartToken}` : `address:${client?.address ?? ""}`
	);
}

/**
 * What a repetition has to repeat: all but the headers, and but the secrets, of which nothing shall be
 * kept that can be tried out faster than their hashes.
 */
function requestOf({ params, rest }: ActionContract, values: Command["params"]): object {
	const headers = new Set(Object.values(rest!.headers ?? {}));
	const schemas: Readonly<Record<string, { readonly writeOnly?: boolean }>> = params.properties;
	return Object.fromEntries(
		Object.entries(values).filter(
			([name]) => !headers.has(name) && schemas[name]?.writeOnly !== true
		)
	);
}
