/** The consuming side: each event takes effect once, in the order of its aggregate, or lies in the dead letters. */
import type { ServiceBroker } from "moleculer";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { runInContext } from "../context.ts";
import { crashPoint } from "../crash-point.ts";
import { isRetryable, type Database, type Prepared, type Queries, type Tx } from "../database.ts";
import type { EventMetrics } from "../metrics.ts";
import { InvalidEventError, isKnown, olderTypes, problemsOf } from "./catalog.ts";
import { aggregateType, type Envelope } from "./envelope.ts";
import { DONE, type Beginning, type Malformed, type Verdict } from "./stream.ts";

export type EventHandler = (event: Envelope, tx: Tx) => Promise<void>;

/** Makes a projection empty, in the transaction in which it is made anew. */
export type ResetProjection = (tx: Tx) => Promise<unknown>;

export interface InboxOptions {
	readonly database: Database;
	/** Names the consumer for ever: its inbox and its place in the stream hang on it. */
	readonly consumer: string;
	readonly handlers: ReadonlyMap<string, EventHandler>;
	/** False where the order of an aggregate's events does not matter. */
	readonly ordered: boolean;
	/** True where a dead letter is about money: it takes two people to discard it. */
	readonly critical?: boolean;
	/** True where handlers of different aggregates touch different rows, so that several can share a transaction. */
	readonly batch?: boolean;
	/** Where what the handlers write follows from the events alone, and can be made anew from them. */
	readonly reset?: ResetProjection | undefined;
	readonly metrics: EventMetrics;
	readonly logger: Pick<ServiceBroker["logger"], "info" | "warn" | "error">;
	/** Deliveries worked on at once. */
	readonly concurrency?: number;
	/** How long a handler may take, in milliseconds. */
	readonly budgetMs?: number;
	/** How long an event waits here for its predecessor while no event of its aggregate is handled anywhere, in milliseconds. */
	readonly patienceMs?: number;
}

/** Tries that may end in an error of the handler or a crash; retryable trouble does not count. */
export const MAX_ATTEMPTS = 8;
const MAX_DELAY_MS = 30_000;
/** Statements that wait are ended before, and tried again without being counted. */
const HANDLER_BUDGET_MS = 5_000;
/** Events in one transaction, where many wait. More would hold locks for long and save little. */
const MAX_TOGETHER = 16;
/** How long an event waits here for its predecessor while its aggregate stands still, before the stream is asked to bring it again. */
const PATIENCE_MS = 10_000;
/** The same where the aggregate has not begun for this consumer: the stream may have no predecessor any more, and says so. */
const PATIENCE_UNBEGUN_MS = 1_000;
/** How often it is looked whether another replica has handled the predecessor: often while it has, and ever less otherwise. */
const LOOK_EVERY_MS = { least: 5, most: 25 };

const retry = (delayMs: number): Verdict => ({ done: false, delayMs });
const backoff = (tries: number): Verdict =>
	retry(Math.min(MAX_DELAY_MS, 100 * 2 ** Math.min(tries, 10)) * (0.75 + Math.random() / 2));

/** Why an event went to the dead letters. */
export const REASONS = {
	failed: "the handler failed",
	exhausted: "attempts exhausted",
	invalid: "the data breaks the contract",
	malformed: "it is no event",
	/** A node that knows it replays it by itself. */
	unknown: "this node does not know the type",
	predecessor: "an earlier event of the aggregate is dead"
} as const;

/** What became of a dead letter that was replayed. */
export interface Replayed {
	readonly outcome: "resolved" | "failed" | "waiting" | "settled-before";
	readonly error?: string;
}

interface Route {
	/** Undefined where the event is only counted. */
	readonly handler: EventHandler | undefined;
	/** The type that the handler is written for. */
	readonly type: string;
	readonly data: (data: unknown) => unknown;
}

/** A delivery on its way through the inbox. */
interface Delivery {
	readonly event: Envelope;
	readonly deliveries: number;
	readonly route: Route | undefined;
	readonly settle: (verdict: Verdict) => void;
	/** Since when it waits for its predecessor, and its aggregate has not moved on. */
	rests: { readonly since: number; readonly version: number | undefined } | undefined;
}

/** What there is of one aggregate in this process: handled one at a time, the lowest version first. */
interface Line {
	readonly deliveries: Delivery[];
	isBusy: boolean;
	/** The first of them, where it was found to come before its predecessor. */
	resting: Delivery | undefined;
}

type HasEvent = Pick<Delivery, "event">;

/** In one order, so that replicas do not wait for each other. */
const idsOf = (deliveries: readonly HasEvent[]): string[] =>
	deliveries.map(({ event }) => event.id).sort();

/** Behind those of lower versions. */
function putInLine({ deliveries }: Line, delivery: Delivery): void {
	const { aggregateversion } = delivery.event;
	const place = deliveries.findLastIndex(({ event }) => event.aggregateversion <= aggregateversion);
	deliveries.splice(place + 1, 0, delivery);
}

/** Whether it can share a transaction: there is a handler for it. */
const canShare = (delivery: Delivery | undefined): boolean =>
	delivery?.route?.handler !== undefined;

interface LetterRow {
	readonly id: string;
	readonly state: string;
	readonly reason: string;
	readonly envelope: Envelope;
}

/** Where an aggregate stands for this consumer after it was asked to move on to an event. */
interface Cursor {
	readonly version: number;
	readonly blocked: boolean;
	/** Whether it was this event's turn. */
	readonly moved: boolean;
}

/** What is known of a delivery before it enters. */
interface Sight extends Pick<Cursor, "version" | "blocked"> {
	/** How often it was tried, apart from its first time. */
	readonly attempts: number;
}

const same = (data: unknown): unknown => data;

/** The inbox of one durable consumer on this node. */
export class Inbox {
	readonly group: string;
	readonly consumer: string;
	readonly ordered: boolean;
	readonly critical: boolean;
	/** The topics that it takes whole, named by aggregate type. */
	readonly aggregateTypes: readonly string[];
	readonly #database: Database;
	readonly #routes = new Map<string, Route>();
	readonly #reset: ResetProjection | undefined;
	readonly #metrics: EventMetrics;
	readonly #logger: InboxOptions["logger"];
	readonly #lines = new Map<string, Line>();
	readonly #concurrency: number;
	readonly #maxTogether: number;
	readonly #budgetMs: number;
	readonly #patienceMs: number;
	/** Deliveries whose turn in their aggregate has come, and that wait for room. */
	readonly #waiting: Delivery[] = [];
	#isLooking = false;
	#running = 0;
	/** Retryable troubles since the last event was handled. */
	#troubles = 0;
	/** Events that this process has sent back because a predecessor was missing; that was no attempt. */
	readonly #early = new Set<string>();

	constructor({
		database,
		consumer,
		handlers,
		ordered,
		critical = false,
		batch = false,
		reset,
		metrics,
		logger,
		concurrency = 8,
		budgetMs = HANDLER_BUDGET_MS,
		patienceMs = PATIENCE_MS
	}: InboxOptions) {
		this.group = database.group;
		this.consumer = consumer;
		this.ordered = ordered;
		this.critical = critical;
		this.aggregateTypes = [...new Set([...handlers.keys()].map(aggregateType))];
		this.#database = database;
		this.#reset = reset;
		this.#metrics = metrics;
		this.#logger = logger;
		this.#concurrency = concurrency;
		this.#budgetMs = budgetMs;
		this.#patienceMs = patienceMs;
		// A rebuild keeps deliveries out one by one.
		this.#maxTogether = batch && !reset ? MAX_TOGETHER : 1;
		for (const [type, handler] of handlers) {
			for (const [old, { data }] of olderTypes(type)) {
				// From here on down it is for that one's handler.
				if (handlers.has(old)) break;
				this.#routes.set(old, { handler, type, data });
			}
			this.#routes.set(type, { handler, type, data: same });
		}
	}

	/** Whether `rebuild` can make anew what the handlers have written. */
	get isProjection(): boolean {
		return this.#reset !== undefined;
	}

	/** The type of the handler that an event of this type is given to, if any. */
	handlerOf(type: string): string | undefined {
		return this.#routes.get(type)?.type;
	}

	/** Handles a delivery. It never throws. */
	readonly consume = (event: Envelope, deliveries: number): Promise<Verdict> =>
		new Promise(settle => {
			const { subject } = event;
			let line = this.#lines.get(subject);
			if (!line) {
				line = { deliveries: [], isBusy: false, resting: undefined };
				this.#lines.set(subject, line);
			}
			const route = this.#routeOf(event.type);
			putInLine(line, { event, deliveries, route, settle, rests: undefined });
			this.#advance(subject, line);
		});

	/** Has the next of an aggregate's deliveries wait for room, unless one is under way or has to wait for its predecessor. */
	#advance(subject: string, line: Line): void {
		const [next] = line.deliveries;
		if (line.isBusy || (next && next === line.resting)) return;
		line.resting = undefined;
		if (!next) {
			this.#lines.delete(subject);
			return;
		}
		line.isBusy = true;
		line.deliveries.shift();
		this.#waiting.push(next);
		this.#begin();
	}

	#begin(): void {
		while (this.#running < this.#concurrency && this.#waiting.length > 0) {
			this.#running++;
			void this.#work(this.#takeTogether()).finally(() => {
				this.#running--;
				this.#begin();
			});
		}
	}

	/** The next delivery, and where more wait than there is room for, some that can go with it. */
	#takeTogether(): Delivery[] {
		const free = this.#concurrency - this.#running + 1;
		const share = Math.min(this.#maxTogether, Math.ceil(this.#waiting.length / free));
		const taken = [this.#waiting.shift()!];
		while (taken.length < share && taken.every(canShare) && canShare(this.#waiting[0]))
			taken.push(this.#waiting.shift()!);
		// Replicas that have the same aggregates at the same time lock them in the same order.
		return taken.sort((a, b) => (a.event.subject < b.event.subject ? -1 : 1));
	}

	async #work(taken: readonly Delivery[]): Promise<void> {
		const { together, alone } = await this.#divide(taken);
		if (together.length < 2 || !(await this.#handleTogether(together))) alone.push(...together);
		for (const delivery of alone) {
			const { event, deliveries } = delivery;
			const verdict = await runInContext(contextOf(event), () => this.#consume(event, deliveries));
			this.#finish(delivery, verdict);
		}
	}

	/**
	 * Those whose turn it is. The others are told by one look, which locks nothing and is no attempt. What was
	 * tried again before may be what ends the process, or does not work: it goes alone.
	 */
	async #divide(
		taken: readonly Delivery[]
	): Promise<{ together: readonly Delivery[]; alone: Delivery[] }> {
		const isFirst = taken.every(({ deliveries }) => deliveries === 1);
		// A delivery that comes for the first time, alone, is most likely in order: that is looked at when it enters.
		if (isFirst && (taken.length === 1 || !this.ordered)) return { together: taken, alone: [] };
		const sights = await this.#lookAt(taken);
		const together: Delivery[] = [];
		const alone: Delivery[] = [];
		for (const [index, delivery] of taken.entries()) {
			const sight = sights[index];
			const { event, deliveries } = delivery;
			// What cannot be read will show when it enters.
			if (!sight || sight.attempts > 1) alone.push(delivery);
			else if (!this.ordered || sight.blocked || sight.version >= event.aggregateversion - 1)
				together.push(delivery);
			else this.#finish(delivery, this.#outOfOrder(event, deliveries, sight.version === 0));
		}
		return { together, alone };
	}

	/** A delivery is done with, or goes back into its line, to wait for a predecessor that is on its way on another replica. */
	#finish(delivery: Delivery, verdict: Verdict): void {
		const { event, settle } = delivery;
		const line = this.#lines.get(event.subject)!;
		line.isBusy = false;
		if (verdict.done || !this.#early.has(event.id)) settle(verdict);
		else {
			delivery.rests ??= { since: performance.now(), version: undefined };
			const [next] = line.deliveries;
			// Unless its predecessor has come here meanwhile.
			if (next && next.event.aggregateversion < event.aggregateversion) putInLine(line, delivery);
			else {
				line.deliveries.unshift(delivery);
				line.resting = delivery;
			}
			void this.#look();
		}
		this.#advance(event.subject, line);
	}

	/** Looks after the aggregates whose next event waits for its predecessor, all by one query, until none does. */
	async #look(): Promise<void> {
		if (this.#isLooking) return;
		this.#isLooking = true;
		for (let pauseMs = LOOK_EVERY_MS.least; ; pauseMs = Math.min(2 * pauseMs, LOOK_EVERY_MS.most)) {
			await sleep(pauseMs * (0.5 + Math.random()));
			const lines = [...this.#lines.values()].filter(line => line.resting);
			if (lines.length === 0) break;
			const resting = lines.map(line => line.resting!);
			const sights = await this.#lookAt(resting);
			for (const [index, line] of lines.entries())
				// One that came meanwhile may be under way.
				if (line.resting === resting[index] && this.#lookAfter(line, sights[index]))
					pauseMs = LOOK_EVERY_MS.least / 2;
		}
		this.#isLooking = false;
	}

	/** Whether it is the turn of the one that waited. */
	#lookAfter(line: Line, sight: Sight | undefined): boolean {
		const delivery = line.resting!;
		const { event } = delivery;
		const rests = delivery.rests!;
		const isDue =
			sight !== undefined && (sight.blocked || sight.version >= event.aggregateversion - 1);
		if (isDue) line.resting = undefined;
		// Its turn is coming: whoever has the events before it is at work.
		else if (sight && sight.version !== rests.version)
			delivery.rests = { since: performance.now(), version: sight.version };
		else if (performance.now() - rests.since > this.#patienceWith(sight)) {
			line.resting = undefined;
			// Those behind it cannot be handled before it.
			for (const each of line.deliveries.splice(0)) {
				this.#metrics.outOfOrder.inc({ consumer: this.consumer });
				each.settle(this.#outOfOrder(each.event, each.deliveries, sight?.version === 0));
			}
		}
		this.#advance(event.subject, line);
		return isDue;
	}

	#patienceWith(sight: Sight | undefined): number {
		return sight?.version === 0
			? Math.min(this.#patienceMs, PATIENCE_UNBEGUN_MS)
			: this.#patienceMs;
	}

	/** Where these deliveries' aggregates stand: read without a lock, and nothing where it cannot be read. */
	#lookAt(deliveries: readonly Delivery[]): Promise<(Sight | undefined)[]> {
		return this.#database
			.query<Sight>(LOOK, [
				this.consumer,
				deliveries.map(({ event }) => event.aggregatetype),
				deliveries.map(({ event }) => event.aggregateid),
				deliveries.map(({ event }) => event.id)
			])
			.catch(() => []);
	}

	/**
	 * Handles events of different aggregates in one transaction, which costs much less than one each.
	 * Whatever goes wrong undoes all of it; answers false then, and each is handled on its own.
	 */
	async #handleTogether(deliveries: readonly Delivery[]): Promise<boolean> {
		if (
			this.#reset ||
			deliveries.some(({ event }) => problemsOf(event.type, event.data).length > 0)
		)
			return false;
		const early = deliveries.filter(({ event }) => this.#early.delete(event.id));
		const counted = deliveries.filter(each => each.deliveries > 1 && !early.includes(each));
		try {
			// Counted before the handlers run, so that one that kills the process is alone the next time.
			await this.#startAttempts(...counted);
			crashPoint("consumer.before-transaction");
			const unsettled = new Set<Delivery>();
			const verdicts = await this.#database.together<Verdict | undefined>(
				[
					...deliveries.map(delivery => ({
						context: contextOf(delivery.event),
						work: async (tx: Tx) => {
							const { event, deliveries: count, route } = delivery;
							const verdict = await runInContext(contextOf(event), () =>
								this.#enterAndRun(route!, event, count, tx)
							);
							if (verdict && !verdict.done) unsettled.add(delivery);
							return verdict;
						}
					})),
					{
						context: contextOf(deliveries[0]!.event),
						work: async (tx: Tx) => {
							await this.#forgetAttempts(tx, ...counted.filter(each => !unsettled.has(each)));
							return undefined;
						}
					}
				],
				{ budgetMs: this.#budgetMs }
			);
			crashPoint("consumer.after-commit");
			deliveries.forEach((delivery, index) => {
				if (!verdicts[index]) this.#countHandled(delivery.event);
				this.#finish(delivery, verdicts[index] ?? DONE);
			});
			// It was no attempt. Where that cannot be written down, the next one goes alone: no harm.
			await this.#takeBackAttempts(counted.filter(each => unsettled.has(each))).catch(() => {});
			return true;
		} catch (error) {
			for (const { event } of early) this.#early.add(event.id);
			// Each is counted again where it is tried alone.
			await this.#takeBackAttempts(counted).catch(() => {});
			this.#logger.info(
				`${this.consumer}: ${deliveries.length} events are handled one by one: ${String(error)}`
			);
			return false;
		}
	}

	async #consume(event: Envelope, deliveries: number): Promise<Verdict> {
		const route = this.#routeOf(event.type);
		try {
			if (!route) return await this.#bury(event, deliveries, "unknown");
			if (!route.handler) return await this.#passOver(event, deliveries);
			const problems = problemsOf(event.type, event.data);
			if (problems.length > 0)
				return await this.#bury(
					event,
					deliveries,
					"invalid",
					new InvalidEventError(event.type, problems)
				);
			return await this.#try(route, event, deliveries);
		} catch (error) {
			return this.#sendBack(event, deliveries, error);
		}
	}

	/** Undefined for an event that a newer service has recorded. */
	#routeOf(type: string): Route | undefined {
		return (
			this.#routes.get(type) ??
			(isKnown(type) ? { handler: undefined, type, data: same } : undefined)
		);
	}

	async #try(route: Route, event: Envelope, deliveries: number): Promise<Verdict> {
		// Counted before the handler runs, so that an event that kills the process is counted too.
		const wasEarly = this.#early.delete(event.id);
		const counted = deliveries > 1 && !wasEarly;
		try {
			if (counted && (await this.#startAttempts({ event }))[0]! > MAX_ATTEMPTS)
				return await this.#bury(event, deliveries, "exhausted");
			const verdict = await this.#handle(route, event, deliveries);
			if (verdict.done) {
				if (deliveries > 1) await this.#forgetAttempts(this.#database, { event });
			} else if (counted) await this.#takeBackAttempts([{ event }]);
			return verdict;
		} catch (error) {
			if (counted && isRetryable(error)) await this.#takeBackAttempts([{ event }]).catch(() => {});
			throw error;
		}
	}

	/** What is tried again, and when. Trouble of the database or the network does not count as an attempt. */
	async #sendBack(event: Envelope, deliveries: number, error: unknown): Promise<Verdict> {
		const what = `${this.consumer}: ${event.type} ${event.id}`;
		const retryable = isRetryable(error);
		this.#metrics.retries.inc({
			consumer: this.consumer,
			reason: retryable ? "retryable" : "failed"
		});
		if (retryable) {
			this.#logger.warn(`${what} is tried again: ${String(error)}`);
			// One that was delivered often does not wait long for a trouble that is over: it holds up its aggregate.
			return backoff(Math.min(deliveries, ++this.#troubles));
		}
		this.#logger.error(`${what} failed (delivery ${deliveries}):`, error);
		return this.#failed(event, deliveries, error).catch(() => backoff(deliveries));
	}

	async #handle(route: Route, event: Envelope, deliveries: number): Promise<Verdict> {
		crashPoint("consumer.before-transaction");
		const verdict = await this.#database.transaction(
			async tx => {
				if (this.#reset) await shareWithRebuild(tx, this.consumer);
				return this.#enterAndRun(route, event, deliveries, tx);
			},
			undefined,
			{ budgetMs: this.#budgetMs }
		);
		crashPoint("consumer.after-commit");
		if (verdict) return verdict;
		this.#countHandled(event);
		return DONE;
	}

	/** Undefined where the handler has run; else why it did not. */
	async #enterAndRun(
		route: Route,
		event: Envelope,
		deliveries: number,
		tx: Tx
	): Promise<Verdict | undefined> {
		const early = await this.#enter(tx, event, deliveries);
		if (early) return early;
		crashPoint("consumer.after-enter");
		await this.#run(route, event, tx);
		crashPoint("consumer.before-commit");
		return undefined;
	}

	#countHandled(event: Envelope): void {
		this.#troubles = 0;
		this.#metrics.handled.inc({ consumer: this.consumer });
		this.#metrics.recordedToHandled.observe(
			{ consumer: this.consumer },
			(Date.now() - Date.parse(event.time)) / 1_000
		);
	}

	#run({ handler, type, data }: Route, event: Envelope, tx: Tx): Promise<void> | undefined {
		return handler?.(type === event.type ? event : { ...event, type, data: data(event.data) }, tx);
	}

	/** Undefined where it is this event's turn and it was not handled before. Locks the aggregate for this consumer. */
	async #enter(tx: Tx, event: Envelope, deliveries: number): Promise<Verdict | undefined> {
		if (!this.ordered) {
			const entered = await tx.one(ENTER, [this.consumer, event.id]);
			return entered ? undefined : this.#duplicate();
		}
		const cursor = await tx.one<Cursor & { entered: boolean }>(ENTER_IN_ORDER, [
			...this.#place(event),
			event.id
		]);
		if (!cursor!.moved) return this.#notItsTurn(tx, cursor!, event, deliveries);
		// It was handled, and then somebody put the cursor back.
		return cursor!.entered ? undefined : this.#duplicate();
	}

	async #notItsTurn(
		tx: Queries,
		{ version, blocked }: Cursor,
		event: Envelope,
		deliveries: number
	): Promise<Verdict> {
		if (version >= event.aggregateversion) return this.#duplicate();
		if (!blocked) return this.#outOfOrder(event, deliveries, version === 0);
		await this.#keep(tx, event, deliveries, "predecessor");
		return DONE;
	}

	#duplicate(): Verdict {
		this.#metrics.duplicates.inc({ consumer: this.consumer });
		return DONE;
	}

	/** The predecessor is on its way on another replica. */
	#outOfOrder(event: Envelope, deliveries: number, unbegun: boolean): Verdict {
		this.#early.add(event.id);
		if (this.#early.size > 10_000) this.#early.clear();
		const delayMs = (25 + Math.random() * 50) * Math.min(deliveries, 20);
		return { done: false, delayMs, ...(unbegun ? { unbegun } : {}) };
	}

	// An ordered consumer passes over types it has no handler for, but has to count them.
	async #passOver(event: Envelope, deliveries: number): Promise<Verdict> {
		if (!this.ordered) return DONE;
		const cursor = (await this.#database.one<Cursor>(MOVE_CURSOR, this.#place(event)))!;
		if (cursor.moved) return DONE;
		// Looked at again under the lock: what is parked must not be passed by a replay meanwhile.
		return this.#database.transaction(async tx => {
			const locked = (await tx.one<Cursor>(MOVE_CURSOR, this.#place(event)))!;
			return locked.moved ? DONE : this.#notItsTurn(tx, locked, event, deliveries);
		});
	}

	#place(event: Envelope): unknown[] {
		return [this.consumer, event.aggregatetype, event.aggregateid, event.aggregateversion];
	}

	/** Answers how often they were tried with this time, in no particular order. */
	async #startAttempts(...deliveries: readonly HasEvent[]): Promise<number[]> {
		if (deliveries.length === 0) return [];
		const rows = await this.#database.query<{ attempts: number }>(START_ATTEMPTS, [
			this.consumer,
			idsOf(deliveries)
		]);
		return rows.map(({ attempts }) => attempts);
	}

	async #takeBackAttempts(deliveries: readonly HasEvent[]): Promise<void> {
		if (deliveries.length > 0)
			await this.#database.query(TAKE_BACK_ATTEMPTS, [this.consumer, idsOf(deliveries)]);
	}

	async #forgetAttempts(db: Queries, ...deliveries: readonly HasEvent[]): Promise<void> {
		if (deliveries.length > 0) await db.query(FORGET_ATTEMPTS, [this.consumer, idsOf(deliveries)]);
	}

	async #failed(event: Envelope, deliveries: number, error: unknown): Promise<Verdict> {
		const row = await this.#database.one<{ attempts: number }>(
			`INSERT INTO inbox_attempt (consumer, event_id, attempts, last_error) VALUES ($1, $2, 1, $3)
			 ON CONFLICT (consumer, event_id) DO UPDATE SET last_error = $3 RETURNING attempts`,
			[this.consumer, event.id, String(error)]
		);
		if (row!.attempts < MAX_ATTEMPTS) return backoff(row!.attempts);
		return this.#bury(event, deliveries, "failed", error);
	}

	// Atomic with the inbox's own database: there is no second write that could fail and lose the event.
	async #bury(
		event: Envelope,
		deliveries: number,
		reason: keyof typeof REASONS,
		error?: unknown
	): Promise<Verdict> {
		const verdict = await this.#database.transaction(async tx => {
			if (this.ordered) {
				const cursor = (await tx.one<Cursor>(LOCK_CURSOR, this.#place(event).slice(0, 3)))!;
				if (cursor.blocked || cursor.version !== event.aggregateversion - 1)
					return this.#notItsTurn(tx, cursor, event, deliveries);
			}
			// Another replica may have handled it while this one failed.
			if (await tx.one(ENTERED, [this.consumer, event.id])) return DONE;
			await this.#keep(tx, event, deliveries, reason, error);
			// What comes after it is parked until it is replayed.
			if (this.ordered) await tx.query(BLOCK, this.#place(event).slice(0, 3));
			await this.#forgetAttempts(tx, { event });
			crashPoint("consumer.before-dead-letter-commit");
			return undefined;
		});
		crashPoint("consumer.after-dead-letter-commit");
		if (verdict) return verdict;
		this.#logger.error(
			`${this.consumer}: ${event.type} ${event.id} is a dead letter: ${REASONS[reason]}`
		);
		return DONE;
	}

	async #keep(
		tx: Queries,
		event: Envelope,
		deliveries: number,
		reason: keyof typeof REASONS,
		error?: unknown
	): Promise<void> {
		const state = reason === "predecessor" || reason === "unknown" ? "parked" : "dead";
		await tx.query(
			`INSERT INTO dead_letter (consumer, event_id, type, aggregate_type, aggregate_id,
			   aggregate_version, envelope, reason, error, deliveries, state)
			 VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9::jsonb, $10, $11)
			 ON CONFLICT (consumer, event_id) DO NOTHING`,
			[
				this.consumer,
				event.id,
				event.type,
				event.aggregatetype,
				event.aggregateid,
				event.aggregateversion,
				JSON.stringify(event),
				REASONS[reason],
				causeOf(error),
				deliveries,
				state
			]
		);
		this.#metrics.deadLettered.inc({ consumer: this.consumer, state });
	}

	/** Keeps a message of the stream that is no event among the dead letters. It never throws. */
	readonly refuse = async (message: Malformed): Promise<Verdict> => {
		const { subject, sequence, epoch, text } = message;
		this.#metrics.malformed.inc({ consumer: this.consumer });
		// The same place of the stream is the same message, however often it is delivered.
		const id = uuidOf(`${epoch}/${sequence}`);
		const [, aggregatetype = "unknown"] = subject.split(".");
		try {
			await this.#keep(
				this.#database,
				{
					specversion: "1.0",
					id,
					type: subject.replace(/^events\./, ""),
					source: "/unknown",
					subject: `${aggregatetype}/${id}`,
					time: new Date().toISOString(),
					datacontenttype: "application/json",
					// PostgreSQL keeps no NUL in JSON.
					data: { text: text.replaceAll("\0", "\uFFFD") },
					aggregatetype,
					aggregateid: id,
					aggregateversion: 0,
					correlationid: id
				},
				1,
				"malformed"
			);
			this.#logger.error(`${this.consumer}: message ${sequence} of ${subject} is no event.`);
			return DONE;
		} catch (error) {
			this.#logger.warn(`${this.consumer}: message ${sequence} is tried again: ${String(error)}`);
			return backoff(4);
		}
	};

	/** Which of its topics the consumer has not begun with yet. */
	async newTopics(): Promise<string[]> {
		const rows = await this.#database.query<{ aggregate_type: string }>(
			"SELECT aggregate_type FROM inbox_topic WHERE consumer = $1",
			[this.consumer]
		);
		const begun = new Set(rows.map(row => row.aggregate_type));
		return this.aggregateTypes.filter(type => !begun.has(type));
	}

	/**
	 * Begins with a topic, and with each of these aggregates at the first event that there still is.
	 * Not a second time: where a stream has lost its consumers and is being filled again, what comes
	 * first need not be all that will come.
	 */
	readonly join = (topic: string, beginnings: readonly Beginning[]): Promise<void> =>
		this.#database.transaction(
			async tx => {
				const isNew = await tx.one(
					"INSERT INTO inbox_topic (consumer, aggregate_type) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING since",
					[this.consumer, topic]
				);
				if (!isNew || !this.ordered) return;
				await tx.query(
					`INSERT INTO inbox_cursor AS c (consumer, aggregate_type, aggregate_id, version)
					 SELECT $1, $2, b."aggregateId", b.version - 1
					 FROM jsonb_to_recordset($3::jsonb) AS b("aggregateId" uuid, version int)
					 ON CONFLICT (consumer, aggregate_type, aggregate_id)
					   DO UPDATE SET version = greatest(c.version, excluded.version)`,
					[this.consumer, topic, JSON.stringify(beginnings)]
				);
			},
			undefined,
			{ patient: true }
		);

	/** Begins with an aggregate at this event. Where it cannot be written down, the stream says so again. */
	readonly begin = async (event: Envelope): Promise<void> => {
		try {
			await this.#database.query(
				`UPDATE inbox_cursor SET version = $4::int - 1 WHERE consumer = $1 AND aggregate_type = $2
				   AND aggregate_id = $3 AND version = 0 AND NOT blocked`,
				this.#place(event)
			);
			this.#logger.warn(
				`${this.consumer} begins ${event.subject} with event ${event.aggregateversion}: there is no earlier one any more.`
			);
		} catch (error) {
			this.#logger.warn(`${this.consumer} begins ${event.subject} later: ${String(error)}`);
		}
	};

	/**
	 * Hands a dead letter to its handler once more, on the same way as a delivery. One whose
	 * predecessor is not settled yet waits; one that fails again stays what it was.
	 */
	async replay(letterId: string, by: string): Promise<Replayed> {
		try {
			const found = await this.#database.one<{ envelope: Envelope }>(LETTER, [
				letterId,
				this.consumer
			]);
			if (!found) return { outcome: "settled-before" };
			// What the handler records is caused by the event, as at its delivery.
			const context = contextOf(found.envelope);
			const replayed = await this.#database.transaction(
				tx => runInContext(context, () => this.#replayIn(tx, letterId, by)),
				context
			);
			crashPoint("replay.after-commit");
			return replayed;
		} catch (error) {
			this.#logger.error(`${this.consumer}: the replay of dead letter ${letterId} failed:`, error);
			await this.#database.query(
				"UPDATE dead_letter SET replays = replays + 1, error = $2::jsonb WHERE id = $1",
				[letterId, causeOf(error)]
			);
			return { outcome: "failed", error: error instanceof Error ? error.message : String(error) };
		}
	}

	async #replayIn(tx: Tx, letterId: string, by: string): Promise<Replayed> {
		const letter = await this.#lockLetter(tx, letterId);
		if (!letter) return { outcome: "settled-before" };
		const { envelope: event, reason } = letter;
		const route = this.#routeOf(event.type);
		if (reason === REASONS.malformed) return { outcome: "failed", error: reason };
		if (!route) return { outcome: "failed", error: REASONS.unknown };
		// As at a delivery: what is only counted need not be understood.
		const problems = route.handler ? problemsOf(event.type, event.data) : [];
		if (problems.length > 0) throw new InvalidEventError(event.type, problems);
		if (this.#reset) await shareWithRebuild(tx, this.consumer);
		if (this.ordered) {
			const cursor = (await tx.one<Cursor>(LOCK_CURSOR, this.#place(event).slice(0, 3)))!;
			if (event.aggregateversion > cursor.version + 1) return { outcome: "waiting" };
		}
		if (await tx.one(ENTER, [this.consumer, event.id])) await this.#run(route, event, tx);
		await this.#settle(tx, letter, "resolved", by, null);
		crashPoint("replay.before-commit");
		return { outcome: "resolved" };
	}

	/** Gives a dead letter up: its event never takes effect here, and what comes after it can be replayed. */
	async discard(letterId: string, by: string, note: string): Promise<void> {
		await this.#database.transaction(async tx => {
			const letter = await this.#lockLetter(tx, letterId);
			if (letter) await this.#settle(tx, letter, "discarded", by, note);
		});
	}

	/** Locks the aggregate first, as deliveries do, and then the letter; undefined where it is settled. */
	async #lockLetter(tx: Tx, letterId: string): Promise<LetterRow | undefined> {
		const found = await tx.one<{ envelope: Envelope }>(LETTER, [letterId, this.consumer]);
		if (!found) return undefined;
		if (this.ordered) await tx.one(LOCK_CURSOR, this.#place(found.envelope).slice(0, 3));
		return tx.one<LetterRow>(
			`SELECT id, state, reason, envelope FROM dead_letter
			 WHERE id = $1 AND state IN ('dead', 'parked') FOR UPDATE`,
			[letterId]
		);
	}

	async #settle(
		tx: Tx,
		{ id, envelope: event, reason }: LetterRow,
		state: "resolved" | "discarded",
		by: string,
		note: string | null
	): Promise<void> {
		await tx.query(
			`UPDATE dead_letter SET state = $2, settled_at = clock_timestamp(), settled_by = $3, note = $4,
			   replays = replays + ($2 = 'resolved')::int WHERE id = $1`,
			[id, state, by, note]
		);
		if (!this.ordered || reason === REASONS.malformed) return;
		const place = this.#place(event).slice(0, 3);
		const settled = await tx.query<{ version: number }>(
			`SELECT aggregate_version AS version FROM dead_letter
			 WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3
			   AND state IN ('resolved', 'discarded') ORDER BY aggregate_version`,
			place
		);
		const cursor = (await tx.one<Cursor>(LOCK_CURSOR, place))!;
		let { version } = cursor;
		// Those that were discarded before their turn are passed as well.
		for (const next of settled) if (next.version === version + 1) version = next.version;
		await tx.query(
			`UPDATE inbox_cursor SET version = $4, blocked = EXISTS (SELECT FROM dead_letter
			   WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3
			     AND state IN ('dead', 'parked') AND reason <> $5)
			 WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3`,
			[...place, version, REASONS.malformed]
		);
	}

	/**
	 * Numbers of dead letters that wait for nobody any more: parked because this node's code did not
	 * know them, and now does; or behind an earlier event that has been settled, since it was still on
	 * its way then. What else of the aggregate is open goes on after them.
	 */
	async understood(): Promise<string[]> {
		const types = await this.#database.query<{ type: string }>(
			"SELECT DISTINCT type FROM dead_letter WHERE consumer = $1 AND state = 'parked'",
			[this.consumer]
		);
		const known = types.map(({ type }) => type).filter(type => this.#routeOf(type) !== undefined);
		if (known.length === 0) return [];
		const rows = await this.#database.query<{ id: string }>(
			`SELECT id FROM dead_letter l WHERE consumer = $1 AND state = 'parked' AND type = ANY ($2::text[])
			   AND replays < ${MAX_ATTEMPTS} AND NOT ($3 AND EXISTS (SELECT FROM dead_letter e
			     WHERE e.consumer = l.consumer AND e.aggregate_type = l.aggregate_type
			       AND e.aggregate_id = l.aggregate_id AND e.aggregate_version < l.aggregate_version
			       AND e.state IN ('dead', 'parked') AND e.reason <> $4))
			 ORDER BY aggregate_type, aggregate_id, aggregate_version LIMIT 1000`,
			[this.consumer, known, this.ordered, REASONS.malformed]
		);
		return rows.map(({ id }) => id);
	}

	/**
	 * Makes the projection anew from `history`, which yields the events of its topics, those of an
	 * aggregate in their order. All of it is one transaction: readers see the old projection until the
	 * new one is there, and a crash leaves the old one. Deliveries wait meanwhile. Answers how many
	 * events it was made of.
	 */
	async rebuild(history: () => AsyncIterable<readonly Envelope[]>): Promise<number> {
		const reset = this.#reset;
		if (!reset) throw new Error(`${this.consumer} is no projection.`);
		let count = 0;
		await this.#database.transaction(
			async tx => {
				await tx.query("SELECT pg_advisory_xact_lock($1, hashtext($2))", [
					REBUILD_LOCK,
					this.consumer
				]);
				await reset(tx);
				for (const table of ["inbox", "inbox_cursor", "inbox_attempt"])
					await tx.query(`DELETE FROM ${table} WHERE consumer = $1`, [this.consumer]);
				const given = withoutRecords(tx, this.consumer);
				const discarded = await this.#discarded(tx);
				for await (const events of history())
					for (const event of events) {
						const route = this.#routeOf(event.type);
						if (!route) throw new Error(`${REASONS.unknown} ${event.type}.`);
						if (!discarded.has(event.id))
							await runInContext(contextOf(event), async () => this.#run(route, event, given));
						await tx.query(ENTER, [this.consumer, event.id]);
						await tx.query(PUT_CURSOR, this.#place(event));
						count++;
					}
				// What they tell stands in the new projection.
				await tx.query(
					`UPDATE dead_letter SET state = 'resolved', settled_at = clock_timestamp(), settled_by = 'rebuild'
					 WHERE consumer = $1 AND state IN ('dead', 'parked')`,
					[this.consumer]
				);
			},
			undefined,
			{ patient: true }
		);
		return count;
	}

	/** Events that somebody has given up: they stay without effect. */
	async #discarded(tx: Queries): Promise<Set<string>> {
		const rows = await tx.query<{ event_id: string }>(
			"SELECT event_id FROM dead_letter WHERE consumer = $1 AND state = 'discarded'",
			[this.consumer]
		);
		return new Set(rows.map(row => row.event_id));
	}
}

/** A projection that recorded facts would record them again at each rebuild. */
const withoutRecords = (tx: Tx, consumer: string): Tx =>
	Object.create(tx, {
		record: {
			value: () => {
				throw new Error(`${consumer} is a projection: it records nothing.`);
			}
		}
	}) as Tx;

const contextOf = (event: Envelope) => ({
	requestId: event.requestid,
	correlationId: event.correlationid,
	causationId: event.id,
	traceparent: event.traceparent
});

function causeOf(error: unknown): string | null {
	if (error === undefined) return null;
	const { message, stack } =
		error instanceof Error
			? error
			: new Error(typeof error === "string" ? error : JSON.stringify(error));
	return JSON.stringify({ message, stack });
}

/** A UUID that follows from the text (version 8, RFC 9562: of our own making). */
function uuidOf(text: string): string {
	const hex = createHash("sha256").update(text).digest("hex");
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const LETTER = "SELECT envelope FROM dead_letter WHERE id = $1 AND consumer = $2";
const REBUILD_LOCK = 0x7265626c;
const shareWithRebuild = (tx: Queries, consumer: string) =>
	tx.query("SELECT pg_advisory_xact_lock_shared($1, hashtext($2))", [REBUILD_LOCK, consumer]);

const prepared = (name: string, text: string): Prepared => ({ name: `inbox-${name}`, text });
const ENTERED = "SELECT 1 FROM inbox WHERE consumer = $1 AND event_id = $2";
const ENTER = prepared(
	"enter",
	"INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING event_id"
);
/** Locks the aggregate's cursor and moves it on where it is the event's turn. */
const MOVE_CURSOR_SQL = `INSERT INTO inbox_cursor AS c (consumer, aggregate_type, aggregate_id, version, moved)
	VALUES ($1, $2, $3, CASE WHEN $4::int = 1 THEN 1 ELSE 0 END, $4::int = 1)
	ON CONFLICT (consumer, aggregate_type, aggregate_id) DO UPDATE SET
		version = CASE WHEN c.version = $4::int - 1 AND NOT c.blocked THEN $4::int ELSE c.version END,
		moved = c.version = $4::int - 1 AND NOT c.blocked
	RETURNING version, blocked, moved`;
const MOVE_CURSOR = prepared("move", MOVE_CURSOR_SQL);
/** The same, and enters the event; both in one go, since every event passes here. */
const ENTER_IN_ORDER = prepared(
	"enter-in-order",
	`WITH cursor AS (${MOVE_CURSOR_SQL}),
	entered AS (
		INSERT INTO inbox (consumer, event_id) SELECT $1, $5::uuid FROM cursor WHERE moved
		ON CONFLICT DO NOTHING RETURNING event_id)
	SELECT version, blocked, moved, EXISTS (SELECT FROM entered) AS entered FROM cursor`
);
const LOOK = prepared(
	"look",
	`SELECT coalesce(c.version, 0) AS version, coalesce(c.blocked, false) AS blocked,
		coalesce(a.attempts, 0) AS attempts
	FROM unnest($2::text[], $3::uuid[], $4::uuid[]) WITH ORDINALITY AS e(type, aggregate, event, place)
	LEFT JOIN inbox_cursor c ON c.consumer = $1 AND c.aggregate_type = e.type AND c.aggregate_id = e.aggregate
	LEFT JOIN inbox_attempt a ON a.consumer = $1 AND a.event_id = e.event
	ORDER BY e.place`
);
/** The first time writes nothing: who is here is tried for the second time at least. */
const START_ATTEMPTS = prepared(
	"start-attempts",
	`INSERT INTO inbox_attempt AS a (consumer, event_id, attempts)
	SELECT $1, id, 2 FROM unnest($2::uuid[]) AS e(id)
	ON CONFLICT (consumer, event_id) DO UPDATE SET attempts = a.attempts + 1
	RETURNING attempts`
);
const FORGET_ATTEMPTS = prepared(
	"forget-attempts",
	"DELETE FROM inbox_attempt WHERE consumer = $1 AND event_id = ANY ($2::uuid[])"
);
const TAKE_BACK_ATTEMPTS = prepared(
	"take-back-attempts",
	"UPDATE inbox_attempt SET attempts = attempts - 1 WHERE consumer = $1 AND event_id = ANY ($2::uuid[])"
);
// The no-op update locks the row, which an INSERT … DO NOTHING would not.
const LOCK_CURSOR = `INSERT INTO inbox_cursor AS c (consumer, aggregate_type, aggregate_id, version)
	VALUES ($1, $2, $3, 0)
	ON CONFLICT (consumer, aggregate_type, aggregate_id) DO UPDATE SET version = c.version
	RETURNING version, blocked, moved`;
const PUT_CURSOR = `INSERT INTO inbox_cursor (consumer, aggregate_type, aggregate_id, version)
	VALUES ($1, $2, $3, $4)
	ON CONFLICT (consumer, aggregate_type, aggregate_id)
		DO UPDATE SET version = excluded.version, blocked = false`;
const BLOCK =
	"UPDATE inbox_cursor SET blocked = true WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3";
