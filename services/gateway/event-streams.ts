/** The streams of server-sent events that a gateway has open (HTML, 9.2). */
import type { ServerResponse } from "node:http";
import { failure } from "../../lib/failure.ts";
import { gateway } from "./problem.ts";

/** What an action that streams answers; `id` is a position, `data` what the client gets. */
export interface Page {
	readonly events: readonly { readonly id: number; readonly data: unknown }[];
	/** Nothing will come any more. */
	readonly ended: boolean;
}

export interface Source {
	/** What `wake` names it by. */
	readonly of: string;
	readonly first: Page;
	/** Where the first page began. */
	readonly after: number;
	/** Asks for what comes after a position. A failure with a code below 500 ends the stream. */
	readonly read: (after: number) => Promise<Page>;
}

export interface StreamsOptions {
	readonly perClient: number;
	readonly total: number;
	/** True once the node was asked to stop: clients are let go, and come again at another gateway. */
	readonly isDraining: () => boolean;
	readonly heartbeatMs?: number;
	/** How often is looked without being woken: a wake-up may get lost. */
	readonly lookEveryMs?: number;
	/** A client that takes nothing for so long is let go, and may come again. */
	readonly patienceMs?: number;
}

/** How often is looked whether the node drains, in milliseconds. */
const TICK_MS = 250;
/** How long a client waits before it connects again, in milliseconds. */
const RETRY_MS = 2_000;

export class EventStreams {
	readonly #options: Required<StreamsOptions>;
	readonly #open = new Map<string, number>();
	readonly #streams = new Set<Stream>();
	readonly #timers: readonly NodeJS.Timeout[];
	#admitted = 0;

	constructor(options: StreamsOptions) {
		this.#options = { heartbeatMs: 15_000, lookEveryMs: 3_000, patienceMs: 30_000, ...options };
		const heartbeat = () => {
			for (const stream of this.#streams) stream.beat();
		};
		const drain = () => {
			if (this.#options.isDraining()) for (const stream of this.#streams) stream.end();
		};
		this.#timers = [setInterval(heartbeat, this.#options.heartbeatMs), setInterval(drain, TICK_MS)];
		for (const timer of this.#timers) timer.unref();
	}

	/**
	 * A place for a stream of this client; to be given back by the function that it answers. Throws
	 * TOO_MANY_STREAMS, OVERLOADED where this gateway can have no more at all, or UNAVAILABLE where it
	 * is about to stop.
	 */
	admit(client: string): () => void {
		const own = this.#open.get(client) ?? 0;
		if (own >= this.#options.perClient) throw failure(gateway, "TOO_MANY_STREAMS");
		if (this.#admitted >= this.#options.total) throw failure(gateway, "OVERLOADED");
		if (this.#options.isDraining()) throw failure(gateway, "UNAVAILABLE");
		this.#open.set(client, own + 1);
		this.#admitted++;
		let isGivenBack = false;
		return () => {
			if (isGivenBack) return;
			isGivenBack = true;
			this.#admitted--;
			const left = this.#open.get(client)! - 1;
			if (left > 0) this.#open.set(client, left);
			else this.#open.delete(client);
		};
	}

	/** Something has happened to it: those who follow it look at once. */
	wake(of: string): void {
		for (const stream of this.#streams) if (stream.of === of) stream.wake();
	}

	/** Writes the source into an answer whose headers were sent, until one of both ends. */
	async run(res: ServerResponse, source: Source): Promise<void> {
		const stream = new Stream(res, source, this.#options);
		this.#streams.add(stream);
		try {
			await stream.run();
		} finally {
			this.#streams.delete(stream);
			res.end();
		}
	}

	/** How many are being written. */
	get running(): number {
		return this.#streams.size;
	}

	stop(): void {
		for (const timer of this.#timers) clearInterval(timer);
		for (const stream of this.#streams) stream.end();
	}
}

class Stream {
	readonly #res: ServerResponse;
	readonly #source: Source;
	readonly #options: Required<StreamsOptions>;
	#isOver = false;
	#isWoken = false;
	#stopWaiting = () => {};

	constructor(res: ServerResponse, source: Source, options: Required<StreamsOptions>) {
		this.#res = res;
		this.#source = source;
		this.#options = options;
		// Whoever left while the first page was made has closed it already.
		if (res.destroyed) this.end();
		else res.once("close", () => this.end());
	}

	get of(): string {
		return this.#source.of;
	}

	wake(): void {
		this.#isWoken = true;
		this.#stopWaiting();
	}

	end(): void {
		this.#isOver = true;
		this.#stopWaiting();
	}

	async run(): Promise<void> {
		if (this.#isOver) return;
		this.#res.write(`retry: ${RETRY_MS}\n\n`);
		let page = this.#source.first;
		let after = this.#source.after;
		while (!this.#isOver) {
			for (const { id, data } of page.events) {
				if (this.#isOver) return;
				if (!this.#res.write(`id: ${id}\ndata: ${JSON.stringify(data)}\n\n`)) await this.#taken();
				after = id;
			}
			if (page.ended) return;
			await this.#change();
			if (!this.#isOver) page = await this.#look(after);
		}
	}

	/** Shows that the connection lives. One on which something is under way needs no more. */
	beat(): void {
		if (!this.#isOver && !this.#res.writableNeedDrain) this.#res.write(":\n\n");
	}

	/** Waits until the client has taken what lies ready, so that it is never more than one event. */
	async #taken(): Promise<void> {
		await new Promise<void>(resolve => {
			const timer = setTimeout(() => this.#res.destroy(), this.#options.patienceMs);
			const done = () => {
				clearTimeout(timer);
				for (const event of ["drain", "close"]) this.#res.off(event, done);
				resolve();
			};
			for (const event of ["drain", "close"]) this.#res.once(event, done);
		});
	}

	async #look(after: number): Promise<Page> {
		// A wake-up from here on may tell of what this look does not see any more.
		this.#isWoken = false;
		try {
			return await this.#source.read(after);
		} catch (error) {
			const { code } = error as { code?: unknown };
			// An outage may pass; what is refused stays so, and the client is told when it comes again.
			return { events: [], ended: typeof code === "number" && code < 500 && !isOutage(error) };
		}
	}

	async #change(): Promise<void> {
		if (this.#isWoken || this.#isOver) return;
		await new Promise<void>(resolve => {
			const timer = setTimeout(resolve, this.#options.lookEveryMs);
			this.#stopWaiting = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}
}

/** Moleculer's errors for an outage carry codes of clients' mistakes; declared failures have a type of ours. */
const isOutage = (error: unknown): boolean =>
	(error as { retryable?: boolean }).retryable === true ||
	(error as Error).name !== "MoleculerClientError";
