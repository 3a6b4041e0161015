import { Transporters, type ServiceBroker } from "moleculer";
import { createInbox, type Msg, type NatsConnection } from "nats";
import { watchConnection } from "./nats.ts";

interface Packet {
	readonly type: string;
	readonly target: string | null;
}

// The parts of Moleculer's NATS transporter that its types leave out.
interface NatsTransporter {
	client: NatsConnection | null;
	broker: ServiceBroker;
	logger: ServiceBroker["logger"];
	connect(): Promise<void>;
	disconnect(): Promise<void>;
	send(topic: string, data: Buffer, meta: { packet: Packet }): Promise<void>;
}
const Nats = Transporters.NATS as unknown as new (options: object) => NatsTransporter;

/** How often an idle node's neighbours are asked whether they are still there. */
const PROBE_MS = 1_000;
const NO_RESPONDERS = 503;
/** What is sent to one node and waits for its answer. */
const ASKING = new Set(["REQ", "PING"]);

/**
 * Moleculer's NATS transporter, which notices a killed node at once. The stock one waits for missed
 * heartbeats, and calls to the dead node hang meanwhile. Here each request to a node carries a reply
 * address, so that NATS itself answers "no responders" when nobody listens on that node's subject
 * any more: then the node is dropped, and what waits for it is rejected and can be retried elsewhere.
 */
export class ValenceTransporter extends Nats {
	readonly #inbox = createInbox();
	#probe: NodeJS.Timeout | undefined;
	#isUp: () => boolean = () => false;

	override async connect(): Promise<void> {
		await super.connect();
		this.#isUp = watchConnection(this.client!, {
			// The others may have missed us meanwhile and dropped us.
			onUp: () => void this.broker.registry.discoverer.sendLocalNodeInfo()
		});
		this.client!.subscribe(`${this.#inbox}.*`, {
			callback: (_, message) => this.#onReply(message)
		});
		this.#probe = setInterval(() => this.#probeNodes(), PROBE_MS);
		this.#probe.unref();
	}

	override async disconnect(): Promise<void> {
		clearInterval(this.#probe);
		if (this.isUp()) return super.disconnect();
		// Without NATS there is nobody to say goodbye to, and flushing would wait for ever.
		await this.client?.close();
		this.client = null;
	}

	override send(topic: string, data: Buffer, meta: { packet: Packet }): Promise<void> {
		const { type, target } = meta.packet;
		if (!this.client || !target || !ASKING.has(type)) return super.send(topic, data, meta);
		// Node ids may hold dots, subjects are split at them.
		const reply = `${this.#inbox}.${Buffer.from(target).toString("base64url")}`;
		this.client.publish(topic, data, { reply });
		return Promise.resolve();
	}

	#onReply({ subject, headers }: Msg): void {
		if (headers?.code !== NO_RESPONDERS) return;
		const nodeID = Buffer.from(subject.slice(this.#inbox.length + 1), "base64url").toString();
		this.broker.registry.nodes.disconnected(nodeID, true);
	}

	#probeNodes(): void {
		for (const { id } of this.broker.registry.nodes.list({
			onlyAvailable: true,
			withServices: false
		}))
			if (id !== this.broker.nodeID) this.broker.transit?.sendPing(id, "").catch(() => {});
	}

	/** Whether the connection to NATS stands right now. */
	isUp(): boolean {
		return this.#isUp();
	}
}
