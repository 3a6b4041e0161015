/** A link that can be disturbed: a TCP proxy between a replica and a server. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * `delay`: everything arrives late. `black-hole`: connections stand and come about, and nothing
 * arrives. `lost-answers`: what the server sends does not arrive. `cut`: no connection stands.
 */
export type Disturbance = "delay" | "black-hole" | "lost-answers" | "cut";

interface Link {
	readonly client: Socket;
	readonly server: Socket | undefined;
	/** Bytes were swallowed: what would follow them makes no sense any more. */
	damaged: boolean;
}

export class Proxy {
	readonly #listener: Server;
	readonly #target: number;
	readonly #links = new Set<Link>();
	#disturbance: Disturbance | undefined;
	#delayMs = 0;
	/** Connections and chunks that a disturbance has hit. */
	hits = 0;

	private constructor(listener: Server, target: number) {
		this.#listener = listener;
		this.#target = target;
		listener.on("connection", client => this.#accept(client));
	}

	/** Passes on to a port of this machine. */
	static async listen(target: number): Promise<Proxy> {
		const listener = createServer();
		await new Promise<void>((done, fail) => {
			listener.once("error", fail).listen(0, "127.0.0.1", done);
		});
		return new Proxy(listener, target);
	}

	get port(): number {
		return (this.#listener.address() as AddressInfo).port;
	}

	disturb(disturbance: Disturbance, delayMs = 0): void {
		this.#disturbance = disturbance;
		this.#delayMs = disturbance === "delay" ? delayMs : 0;
		if (disturbance !== "cut") return;
		this.hits += this.#links.size;
		for (const link of this.#links) close(link);
	}

	/** Everything passes again. Connections that lost something end, as the systems at their ends would end them. */
	heal(): void {
		this.#disturbance = undefined;
		this.#delayMs = 0;
		for (const link of this.#links) if (link.damaged) close(link);
	}

	async close(): Promise<void> {
		const closed = new Promise(done => this.#listener.close(done));
		for (const link of this.#links) close(link);
		await closed;
	}

	#accept(client: Socket): void {
		if (this.#disturbance === "cut") {
			this.hits++;
			client.destroy();
			return;
		}
		const lost = this.#disturbance === "black-hole";
		const server = lost ? undefined : connect(this.#target, "127.0.0.1");
		const link: Link = { client, server, damaged: lost };
		this.#links.add(link);
		this.#pass(link, client, server, "black-hole");
		if (server) this.#pass(link, server, client, "lost-answers");
	}

	/** Passes on what `from` sends, unless the link is a black hole or what `lostBy` says. */
	#pass(link: Link, from: Socket, to: Socket | undefined, lostBy: Disturbance): void {
		const isLost = () => this.#disturbance === "black-hole" || this.#disturbance === lostBy;
		// The other direction may be whole.
		let isDamaged = to === undefined;
		// One after the other, so that nothing overtakes what was delayed before.
		let passing = Promise.resolve();
		const later = (work: () => void) => {
			const due = performance.now() + this.#delayMs;
			if (this.#delayMs > 0) this.hits++;
			passing = passing.then(async () => {
				const wait = due - performance.now();
				if (wait > 0) await sleep(wait);
				work();
			});
		};
		from.setNoDelay(true);
		from.on("error", () => {});
		from.on("data", chunk => {
			if (!to || isDamaged || isLost()) {
				this.hits++;
				isDamaged = true;
				link.damaged = true;
				return;
			}
			later(() => {
				if (to.destroyed || to.write(chunk)) return;
				from.pause();
				to.once("drain", () => from.resume());
			});
		});
		from.once("close", () => {
			// An end that nobody hears of.
			if (!to || isLost()) link.damaged = true;
			else later(() => to.destroy());
			if (link.client.destroyed && (link.server?.destroyed ?? true)) this.#links.delete(link);
		});
	}
}

function close({ client, server }: Link): void {
	client.destroy();
	server?.destroy();
}
