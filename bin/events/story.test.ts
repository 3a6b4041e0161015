import type { Handled, RecordedEvent } from "../../contracts/events.ts";
import { storyView } from "./story.ts";

const event = (id: string, causationId: string | null, seconds: number): RecordedEvent => ({
	id,
	group: "orders",
	type: `order.${id}.v1`,
	aggregate: { type: "order", id: "o", version: 1 },
	recordedAt: new Date(seconds * 1_000).toISOString(),
	publishedAt: id === "waiting" ? null : new Date(seconds * 1_000).toISOString(),
	correlationId: "o",
	causationId,
	requestId: null,
	traceparent: null,
	data: {}
});
const handled = (eventId: string, state: Handled["state"], seconds: number): Handled => ({
	eventId,
	group: "catalog",
	consumer: "inventory",
	state,
	at: new Date(seconds * 1_000).toISOString()
});

describe("a story", () => {
	it("is drawn as a tree of causes, with what became of each and when", () => {
		const text = storyView({
			correlationId: "o",
			events: [
				event("created", "outside", 0),
				event("first", "created", 0.25),
				event("second", "created", 2),
				event("third", "first", 3),
				event("waiting", null, 4)
			],
			handled: [handled("created", "handled", 0.1), handled("first", "dead", 120)]
		});
		expect(text).toBe(`o, from 1970-01-01T00:00:00.000Z
order.created.v1  orders  +0 ms  order v1  created
│    inventory handled +100 ms
├─ order.first.v1  orders  +250 ms  order v1  first
│  │    inventory dead +2 min
│  └─ order.third.v1  orders  +3 s  order v1  third
└─ order.second.v1  orders  +2 s  order v1  second
order.waiting.v1  orders  +4 s  order v1  waiting  not published yet`);
	});
});
