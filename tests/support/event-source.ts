/** A client of server-sent events, as far as the tests need one. */
export interface ServerSentEvent<T = any> {
	readonly id: string;
	readonly data: T;
}

export interface Follow {
	readonly token: string;
	/** The event behind which to go on. */
	readonly after?: string | undefined;
}

/** The events of a stream until it ends; leaving the loop closes it. Throws where it breaks off or is refused. */
export async function* eventsOf<T = any>(
	url: string,
	{ token, after }: Follow
): AsyncGenerator<ServerSentEvent<T>> {
	const closing = new AbortController();
	try {
		const response = await fetch(url, {
			signal: closing.signal,
			headers: {
				Accept: "text/event-stream",
				Authorization: `Bearer ${token}`,
				...(after === undefined ? {} : { "Last-Event-ID": after })
			}
		});
		if (response.status !== 200) throw new Error(`${url} answers ${response.status}.`);
		let text = "";
		for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
			const blocks = (text + chunk).split("\n\n");
			text = blocks.pop()!;
			for (const block of blocks) {
				const fields = new Map(
					block.split("\n").map(line => line.split(/: ?(.*)/s, 2) as [string, string])
				);
				const [id, data] = [fields.get("id"), fields.get("data")];
				if (id !== undefined && data !== undefined) yield { id, data: JSON.parse(data) as T };
			}
		}
	} finally {
		closing.abort();
	}
}
