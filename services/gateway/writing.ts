/** An answer on its way to the socket. */
import type { Answer } from "./answer.ts";
import { codingOf, isCompressible, MIN_BYTES, taggedFor, writeIn } from "./compression.ts";
import type { Exchange } from "./exchange.ts";

type Headers = Record<string, string | number>;

/** Writes an answer with the headers of all answers, compressed where that is worth while. */
export function write(
	exchange: Exchange,
	common: Readonly<Record<string, string>>,
	answer: Answer
): void {
	const { status, body, stream } = answer;
	const headers: Headers = { ...common, ...exchange.headers, ...answer.headers };
	const compressible = isCompressible(answer.headers["Content-Type"]);
	const vary = [
		exchange.headers["Vary"],
		answer.headers["Vary"],
		// A 304 varies as the answer would that it stands for.
		compressible || status === 304 ? "Accept-Encoding" : undefined
	].filter(name => name !== undefined);
	if (vary.length > 0) headers["Vary"] = vary.join(", ");
	if (stream) {
		exchange.res.writeHead(status, headers).flushHeaders();
		stream(exchange.res);
	} else if (body === undefined) exchange.res.writeHead(status, headers).end();
	else if (compressible && Buffer.byteLength(body) >= MIN_BYTES)
		writeCompressible(exchange, headers, status, body);
	else writePlain(exchange, headers, status, body);
	exchange.isAnswered = true;
}

function writePlain(
	{ res }: Exchange,
	headers: Headers,
	status: number,
	body: string | Buffer
): void {
	const length = Buffer.byteLength(body);
	headers["Content-Length"] = length;
	// In ASCII they are the same bytes, and latin1 is written faster.
	res.writeHead(status, headers).end(body, length === body.length ? "latin1" : "utf8");
}

function writeCompressible(
	exchange: Exchange,
	headers: Headers,
	status: number,
	body: string | Buffer
): void {
	const { req, res } = exchange;
	const coding = codingOf(req.headers["accept-encoding"]);
	if (!coding) return writePlain(exchange, headers, status, body);
	if (typeof headers["ETag"] === "string") headers["ETag"] = taggedFor(headers["ETag"], coding);
	for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
	writeIn(coding, res);
	res.statusCode = status;
	res.end(body);
}
