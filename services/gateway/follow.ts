/** Routes that stream: pages of an action's events, one after the other, in one answer. */
import type { ServerResponse } from "node:http";
import type { CallingOptions, ServiceBroker } from "moleculer";
import { traceparentOf } from "../../lib/context.ts";
import type { Identity } from "../../lib/identity.ts";
import type { Answer } from "./answer.ts";
import type { Authenticator } from "./authentication.ts";
import { networkOf } from "./client-address.ts";
import type { EventStreams, Page } from "./event-streams.ts";
import type { Exchange } from "./exchange.ts";
import { onlyHeader } from "./parameters.ts";
import type { Route } from "./routes.ts";

export const STREAM_TYPE = "text/event-stream";

interface Following {
	readonly broker: ServiceBroker;
	readonly authenticator: Authenticator;
	readonly streams: EventStreams;
}

/** Streams what the action of a route answers now, and whenever it is asked again. */
export async function follow(
	{ broker, authenticator, streams }: Following,
	{ req, requestId, client, deadline, signal }: Exchange,
	{ action, rest }: Route,
	params: Record<string, unknown>,
	user: Identity | undefined
): Promise<Answer> {
	const { of, after } = rest.stream!;
	const authorization = onlyHeader("authorization", req.headersDistinct);
	const read = async (position: number, options: object = {}): Promise<Page> => {
		// The token ends, the session may be revoked: neither may be outlived.
		await authenticator.identify(authorization);
		return broker.call(action, { ...params, [after]: position }, {
			meta: { user, client },
			requestID: requestId,
			headers: { traceparent: traceparentOf(req.headers["traceparent"]) },
			...options
		} as CallingOptions);
	};
	const begin = Number(params[after] ?? 0);
	const release = streams.admit(user?.id ?? networkOf(client.address));
	try {
		// The request's time is up long before that of the later ones.
		const first = await read(begin, { deadline, signal });
		// Tells a browser not to come again.
		if (first.ended && first.events.length === 0) {
			release();
			return { status: 204, headers: { "Cache-Control": "no-store" } };
		}
		const source = { of: String(params[of]), first, after: begin, read };
		return {
			status: 200,
			headers: {
				"Content-Type": STREAM_TYPE,
				// Each event shall arrive when it happens, whoever stands between.
				"Cache-Control": "no-store, no-transform",
				"X-Accel-Buffering": "no"
			},
			stream: res =>
				void (req.method === "HEAD" ? endOf(res) : streams.run(res, source)).finally(release)
		};
	} catch (error) {
		release();
		throw error;
	}
}

const endOf = async (res: ServerResponse): Promise<void> => {
	res.end();
};
