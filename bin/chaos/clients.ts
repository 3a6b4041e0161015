/** The load: clients who post to accounts, are answered or not, and remember what they were told. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { Command } from "./services.ts";

/** What a client knows of a command: the version that it was told, that it was refused, or nothing for certain. */
export type Outcome = { readonly version: number } | "refused" | "unknown";

export interface Told {
	readonly command: Command;
	outcome: Outcome;
}

/** Everything that clients asked for and were told. */
export class Ledger {
	readonly told = new Map<string, Told>();
	/** Requests, with all repetitions. */
	requests = 0;
	/** Answers to a repetition that differ from the answer before. */
	readonly contradictions: string[] = [];

	get acknowledged(): number {
		return [...this.told.values()].filter(({ outcome }) => typeof outcome === "object").length;
	}

	ask(command: Command): Told {
		const told: Told = { command, outcome: "unknown" };
		this.told.set(command.key, told);
		return told;
	}

	hear(told: Told, outcome: Outcome): void {
		if (outcome === "unknown") return;
		if (told.outcome === "unknown") told.outcome = outcome;
		else if (JSON.stringify(told.outcome) !== JSON.stringify(outcome))
			this.contradictions.push(
				`${told.command.key} was answered ${JSON.stringify(told.outcome)}, then ${JSON.stringify(outcome)}`
			);
	}
}

export interface LoadOptions {
	readonly ledger: Ledger;
	readonly accounts: readonly string[];
	/** The writers' addresses. */
	readonly urls: readonly string[];
	/** Pause of a client between two commands, in milliseconds. */
	readonly thinkMs: readonly [min: number, max: number];
}

const PATIENCE_MS = 2_500;
const MAX_TRIES = 6;
const REFUSED_SHARE = 0.03;
const REPEATED_SHARE = 0.1;
const OLD_REPEATED_SHARE = 0.05;
const GIVEN_UP_SHARE = 0.1;

/** Sends one command after the other until told to stop. */
export class Client {
	readonly #options: LoadOptions;
	readonly #random: Random;
	readonly #stopping = new AbortController();
	readonly #acknowledged: Told[] = [];
	readonly #running: Promise<void>;

	constructor(options: LoadOptions, random: Random) {
		this.#options = options;
		this.#random = random;
		this.#running = this.#run();
	}

	/** Waits for the answer that is under way. */
	async stop(): Promise<void> {
		this.#stopping.abort();
		await this.#running;
	}

	async #run(): Promise<void> {
		const { accounts, ledger, thinkMs } = this.#options;
		while (!this.#stopping.signal.aborted) {
			const told = ledger.ask({
				key: this.#random.uuid(),
				account: this.#random.pick(accounts),
				refuse: this.#random.chance(REFUSED_SHARE)
			});
			await this.#sendUntilAnswered(told);
			if (typeof told.outcome === "object") this.#acknowledged.push(told);
			await this.#repeat(told);
			await this.#pause(this.#random.int(...thinkMs));
		}
	}

	/** Most clients try again where they are in doubt, with the same key at any writer; some give up. */
	async #sendUntilAnswered(told: Told): Promise<void> {
		for (let tries = 1; tries <= MAX_TRIES; tries++) {
			await this.#send(told);
			if (told.outcome !== "unknown" || this.#random.chance(GIVEN_UP_SHARE)) return;
			if (this.#stopping.signal.aborted) return;
			await this.#pause(this.#random.int(50, 150) * tries);
		}
	}

	/** Some send again what was answered, at once or long after: nothing more may happen. */
	async #repeat(told: Told): Promise<void> {
		if (told.outcome !== "unknown" && this.#random.chance(REPEATED_SHARE)) await this.#send(told);
		if (this.#acknowledged.length > 0 && this.#random.chance(OLD_REPEATED_SHARE))
			await this.#send(this.#random.pick(this.#acknowledged));
	}

	async #send(told: Told): Promise<void> {
		const { ledger, urls } = this.#options;
		ledger.requests++;
		ledger.hear(told, await post(this.#random.pick(urls), told.command));
	}

	#pause(ms: number): Promise<void> {
		return sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => {});
	}
}

/** Sends a command once; in doubt the outcome is unknown. */
export async function post(url: string, command: Command): Promise<Outcome> {
	try {
		const response = await fetch(`${url}/post`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(command),
			signal: AbortSignal.timeout(PATIENCE_MS)
		});
		const answer = (await response.json()) as { version: number };
		if (response.status === 409) return "refused";
		return response.ok ? { version: answer.version } : "unknown";
	} catch {
		return "unknown";
	}
}
