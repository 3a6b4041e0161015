/** GET /products/:id under load. */
import autocannon from "autocannon";
import { cpuSeconds, memory, type Memory } from "./process-tree.ts";
import { percentiles, type Percentiles } from "./report.ts";
import type { Server } from "./servers.ts";

export interface Reads {
	/** When it was half done. */
	readonly at: number;
	/** Requests per second: the median of the seconds. */
	readonly rate: number;
	readonly ms: Percentiles;
	/** CPU time of the server for one request; null where it cannot be known. */
	readonly cpuMicros: number | null;
	/** Cores that the server kept busy. */
	readonly cores: number | null;
	/** Cores that the load generator kept busy: near 1, it and not the server is what is measured. */
	readonly loadCores: number;
	readonly memory: Memory | null;
}

export interface Load {
	readonly seconds: number;
	readonly connections: number;
	/** Requests per second; as many as it can where none is given. */
	readonly perSecond?: number;
	/** Of each request. */
	readonly headers?: Readonly<Record<string, string>>;
}

const WARM_UP_SECONDS = 2;

/** Reads the products in rotation; every answer has to be a 2xx. */
export async function measureReads(
	{ url, pid }: Server,
	ids: readonly string[],
	load: Load
): Promise<Reads> {
	await fire(url, ids, { ...load, seconds: WARM_UP_SECONDS });
	const at = Date.now() + (load.seconds / 2) * 1_000;
	const before = cpuSeconds(pid);
	const ownBefore = process.cpuUsage();
	const { result, latencies } = await fire(url, ids, load);
	const own = process.cpuUsage(ownBefore);
	const after = cpuSeconds(pid);
	const used = before === null || after === null ? null : after - before;
	return {
		at,
		rate: result.requests.p50,
		ms: percentiles(latencies),
		cpuMicros: used && (used / latencies.length) * 1e6,
		cores: used && used / result.duration,
		loadCores: (own.user + own.system) / 1e6 / result.duration,
		memory: memory(pid)
	};
}

async function fire(url: string, ids: readonly string[], load: Load) {
	const { seconds, connections, perSecond, headers = {} } = load;
	const paths = ids.map(id => ({ path: `/api/v1/products/${id}` }));
	// Each connection begins elsewhere, so that they do not all ask for the same product at once.
	let turn = 0;
	const setupClient = (client: autocannon.Client) => {
		const first = Math.floor((turn++ * paths.length) / connections) % paths.length;
		client.setRequests([...paths.slice(first), ...paths.slice(0, first)]);
	};
	// Its own histogram knows whole milliseconds only.
	const latencies: number[] = [];
	const result = await new Promise<autocannon.Result>((resolve, reject) => {
		const options = {
			url,
			connections,
			duration: seconds,
			headers: { ...headers },
			setupClient,
			...(perSecond === undefined ? {} : { overallRate: perSecond })
		};
		autocannon(options, (error: Error | null, done) => (error ? reject(error) : resolve(done))).on(
			"response",
			(_client, _status, _bytes, ms) => void latencies.push(ms)
		);
	});
	if (result.errors > 0 || result.non2xx > 0 || latencies.length === 0)
		throw new Error(
			`${url}: of ${latencies.length} answers ${result.non2xx} were no 2xx; ${result.errors} requests got none.`
		);
	return { result, latencies };
}
