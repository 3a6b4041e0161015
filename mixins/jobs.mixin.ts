/**
 * Effects outside the database (a charge, a mail): asked for in a transaction, carried out after it
 * has committed, and their outcome recorded in another. An attempt may be repeated after a crash,
 * so what is done must bear the job's key, by which the other side knows it again.
 */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import type { Group } from "../lib/config.ts";
import { currentContext, runInContext, type WorkContext } from "../lib/context.ts";
import { crashPoint } from "../lib/crash-point.ts";
import type { Database, Tx } from "../lib/database.ts";
import type { Migration } from "../lib/migrations.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { Ticker } from "../lib/ticker.ts";

/** One kind of effect. `P` and `R` are JSON. */
export interface JobKind<P = any, R = any> {
	/** Does it, outside any transaction. What it throws makes another attempt, later. */
	perform(payload: P, job: { readonly key: string; readonly attempt: number }): Promise<R>;
	/** Records the outcome, once, in the transaction that marks the job as done. */
	complete(tx: Tx, payload: P, result: R): Promise<void>;
	/** Attempts before giving up; for ever where it is not given. */
	readonly maxAttempts?: number;
	/** Records that it was given up, in the transaction that marks the job as failed. */
	giveUp?(tx: Tx, payload: P, error: unknown): Promise<void>;
	/** Frees what it holds, when this node's last attempt has ended. */
	close?(): void;
}

/** What a factory of job kinds is handed. */
export interface JobHost {
	readonly broker: ServiceBroker;
	readonly logger: ServiceBroker["logger"];
	readonly db: Database;
	/** Asks for another job, of the same mixin. */
	readonly enqueue: JobMethods["enqueue"];
}

export interface JobMethods {
	/** Asks for an effect: a job that is there already under the same kind and key is left as it is. */
	readonly enqueue: (tx: Tx, kind: string, key: string, payload: unknown) => Promise<void>;
}

interface JobRow {
	readonly id: string;
	readonly kind: string;
	readonly key: string;
	readonly payload: unknown;
	readonly context: WorkContext;
	readonly attempts: number;
}

const POLL_MS = 500;
/** How long an attempt may take; then it counts as failed, its outcome unknown. */
const ATTEMPT_MS = 25_000;
/** After how long another node may try again. Longer than an attempt: two overlap only where a process was paused. */
const LEASE_SECONDS = 30;
const CONCURRENCY = 16;

export const createJobTable: Migration = async ({ query }) => {
	await query(`CREATE TABLE job (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		kind text NOT NULL,
		key text NOT NULL,
		payload jsonb NOT NULL,
		context jsonb NOT NULL DEFAULT '{}',
		run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		lease_until timestamptz,
		attempts int NOT NULL DEFAULT 0,
		last_error text,
		done_at timestamptz,
		failed_at timestamptz,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		UNIQUE (kind, key))`);
	await query("CREATE INDEX job_due ON job (run_at) WHERE done_at IS NULL AND failed_at IS NULL");
};

export const dropJobTable: Migration = async ({ query }) => {
	await query("DROP TABLE job");
};

/** Works off the group's jobs of these kinds while the node runs; one such mixin for a service. */
export const jobs = (
	group: Group,
	kindsOf: (host: JobHost) => Readonly<Record<string, JobKind>>
): Mixin<JobMethods> =>
	mixin<JobMethods>({
		created(this: any) {
			const database: Database = runtimeOf(this.broker).database(group);
			this.enqueue = async (tx: Tx, kind: string, key: string, payload: unknown) => {
				if (!kinds[kind]) throw new Error(`Nobody here does jobs of the kind '${kind}'.`);
				await tx.query(
					"INSERT INTO job (kind, key, payload, context) VALUES ($1, $2, $3::jsonb, $4::jsonb) ON CONFLICT (kind, key) DO NOTHING",
					[kind, key, JSON.stringify(payload), JSON.stringify(currentContext())]
				);
				tx.afterCommit(() => ticker.wake());
			};
			const { broker, logger, enqueue } = this;
			const kinds = kindsOf({ broker, logger, db: database, enqueue });
			const running = new Set<Promise<void>>();
			const ticker = new Ticker(
				async () => {
					while (running.size < CONCURRENCY) {
						const job = await claim(database, Object.keys(kinds));
						if (!job) return;
						const run = work(database, kinds[job.kind]!, job, this.logger).finally(() => {
							running.delete(run);
							ticker.wake();
						});
						running.add(run);
					}
				},
				POLL_MS,
				error => this.logger.warn(`Jobs of ${group} are tried again: ${String(error)}`)
			);
			this.jobTicker = ticker;
			this.jobsRunning = running;
			this.jobKinds = kinds;
		},
		events: {
			"$broker.started"(this: any) {
				this.jobTicker.start();
			}
		},
		async stopped(this: any) {
			await this.jobTicker.stop();
			await Promise.all(this.jobsRunning as Set<Promise<void>>);
			for (const kind of Object.values<JobKind>(this.jobKinds)) kind.close?.();
		}
	} as Partial<ServiceSchema>);

const claim = (database: Database, kinds: readonly string[]): Promise<JobRow | undefined> =>
	database.one<JobRow>(
		`UPDATE job SET attempts = attempts + 1, lease_until = clock_timestamp() + interval '${LEASE_SECONDS} seconds'
		 WHERE id = (
		   SELECT id FROM job
		   WHERE done_at IS NULL AND failed_at IS NULL AND run_at <= clock_timestamp()
		     AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND kind = ANY ($1::text[])
		   ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		 RETURNING id, kind, key, payload, context, attempts`,
		[kinds]
	);

/** Never rejects: what goes wrong is written to the job, or left to the end of its lease. */
function work(
	database: Database,
	kind: JobKind,
	{ id, key, payload, context, attempts }: JobRow,
	logger: ServiceBroker["logger"]
): Promise<void> {
	const complete = (result: unknown) =>
		database.transaction(async tx => {
			const first = await tx.one(
				`UPDATE job SET done_at = clock_timestamp(), lease_until = NULL
				 WHERE id = $1 AND done_at IS NULL AND failed_at IS NULL RETURNING id`,
				[id]
			);
			if (first) await kind.complete(tx, payload, result);
		});
	// An attempt that failed says nothing any more once another one has begun: that one may succeed.
	const giveUp = (error: unknown) =>
		database.transaction(async tx => {
			const mine = await tx.one(
				`UPDATE job SET failed_at = clock_timestamp(), lease_until = NULL, last_error = $3
				 WHERE id = $1 AND attempts = $2 AND done_at IS NULL AND failed_at IS NULL RETURNING id`,
				[id, attempts, String(error)]
			);
			if (mine) await kind.giveUp?.(tx, payload, error);
		});
	const tryLater = (error: unknown) =>
		database.query(
			`UPDATE job SET lease_until = NULL, last_error = $3,
			   run_at = clock_timestamp() + least(300, 0.2 * power(2, least(attempts, 12))) * interval '1 second'
			 WHERE id = $1 AND attempts = $2 AND done_at IS NULL AND failed_at IS NULL`,
			[id, attempts, String(error)]
		);
	const attempt = async () => {
		crashPoint("job.after-claim");
		let result: unknown;
		try {
			result = await within(ATTEMPT_MS, kind.perform(payload, { key, attempt: attempts }));
		} catch (error) {
			if (kind.maxAttempts !== undefined && attempts >= kind.maxAttempts) {
				logger.error(`The job ${key} was given up after ${attempts} attempts:`, error);
				await giveUp(error);
				return;
			}
			logger.warn(`The job ${key} is tried again: ${String(error)}`);
			await tryLater(error);
			return;
		}
		crashPoint("job.after-perform");
		await complete(result);
		crashPoint("job.after-complete");
	};
	return runInContext(context, attempt).catch(async error => {
		logger.error(`The outcome of the job ${key} could not be recorded; it is tried again:`, error);
		// Where this fails as well, the lease ends by itself.
		await tryLater(error).catch(() => {});
	});
}

async function within<T>(ms: number, attempt: Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
	});
	return Promise.race([attempt, late]).finally(() => clearTimeout(timer));
}
