import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import {
	Id,
	IdempotencyKey,
	Nullable,
	Page,
	pageParams,
	Params,
	Text,
	Timestamp
} from "./common.ts";

/** `order.events` */
export const Topic = Type.String({
	pattern: "^[a-z][a-z0-9-]*\\.events$",
	maxLength: 100,
	examples: ["order.events"]
});
const Consumer = Type.String({
	pattern: "^[a-z][a-z0-9-]*$",
	maxLength: 100,
	examples: ["inventory"]
});
const EventType = Type.String({
	pattern: "^[a-z][a-z0-9-]*\\.[a-z][a-z0-9-]*\\.v[0-9]+$",
	maxLength: 200,
	examples: ["order.paid.v1"]
});

export const LetterState = Type.Enum(["dead", "parked", "resolved", "discarded"]);
export type LetterState = Static<typeof LetterState>;

/** A dead letter as it is named to people: its group and its number there, `orders-17`. */
export const LetterId = Type.String({
	pattern: "^[a-z][a-z0-9-]*-[0-9]{1,18}$",
	maxLength: 60,
	examples: ["orders-17"]
});

export const DeadLetter = Type.Object(
	{
		id: LetterId,
		group: Type.String(),
		consumer: Type.String(),
		eventId: Id,
		type: Type.String(),
		topic: Type.String(),
		aggregate: Type.Object({ type: Type.String(), id: Id, version: Type.Integer() }),
		correlationId: Type.String(),
		state: LetterState,
		reason: Type.String(),
		error: Nullable(Type.String({ description: "What the handler threw last" })),
		deliveries: Type.Integer(),
		replays: Type.Integer(),
		createdAt: Timestamp,
		settledAt: Nullable(Timestamp),
		settledBy: Nullable(
			Type.String({ description: "While it is open: who has asked for it to be discarded" })
		),
		note: Nullable(Type.String())
	},
	{ title: "DeadLetter" }
);
export type DeadLetter = Static<typeof DeadLetter>;

/** Which dead letters; all conditions hold. */
export const LetterFilter = Type.Object(
	{
		consumer: Type.Optional(Consumer),
		topic: Type.Optional(Topic),
		type: Type.Optional(EventType),
		aggregateId: Type.Optional(Id)
	},
	{ additionalProperties: false, title: "DeadLetterFilter" }
);
export type LetterFilter = Static<typeof LetterFilter>;

/** What a replay of one dead letter would do, or has done. */
export const ReplayItem = Type.Object(
	{
		id: LetterId,
		consumer: Type.String(),
		type: Type.String(),
		aggregate: Type.Object({ type: Type.String(), id: Id, version: Type.Integer() }),
		state: LetterState,
		handler: Nullable(
			Type.String({ description: "The handler that runs; null where only the order is kept" })
		),
		effects: Type.Array(Type.String(), {
			description:
				"What exists already because of this event: recorded events, jobs, its inbox entry"
		}),
		outcome: Type.Enum(["planned", "resolved", "failed", "waiting", "settled-before"]),
		error: Nullable(
			Type.String({ description: "Why it failed; in a dry run, why it is bound to fail" })
		)
	},
	{ title: "ReplayItem" }
);
export type ReplayItem = Static<typeof ReplayItem>;

export const Replay = Type.Object(
	{
		snapshotId: Type.String({
			format: "uuid",
			description:
				"Names this selection: give it to the next call to replay just these. Kept for a day"
		}),
		dryRun: Type.Boolean(),
		items: Type.Array(ReplayItem)
	},
	{ title: "Replay" }
);
export type Replay = Static<typeof Replay>;

export const TopicConsumer = Type.Object({
	name: Type.String(),
	topic: Type.String(),
	group: Type.String(),
	/** Not delivered yet. In one process the outbox is the queue: what is unpublished there. */
	pending: Type.Integer(),
	/** Delivered and not acknowledged yet. */
	unacknowledged: Type.Integer(),
	oldestPendingSeconds: Nullable(Type.Number()),
	dead: Type.Integer(),
	parked: Type.Integer(),
	blockedAggregates: Type.Integer()
});
export type TopicConsumer = Static<typeof TopicConsumer>;

export const TopicView = Type.Object(
	{
		topic: Topic,
		/** In the stream; in one process, in the outbox. */
		messages: Type.Integer(),
		newestAt: Nullable(Timestamp),
		unpublished: Type.Integer(),
		oldestUnpublishedSeconds: Type.Number(),
		setAside: Type.Integer(),
		consumers: Type.Array(TopicConsumer)
	},
	{ title: "Topic" }
);
export type TopicView = Static<typeof TopicView>;

/** An event in a group's outbox, as it is shown to operators. */
export const RecordedEvent = Type.Object(
	{
		id: Id,
		group: Type.String(),
		type: Type.String(),
		aggregate: Type.Object({ type: Type.String(), id: Id, version: Type.Integer() }),
		recordedAt: Timestamp,
		publishedAt: Nullable(Timestamp),
		correlationId: Type.String(),
		causationId: Nullable(Type.String()),
		requestId: Nullable(Type.String()),
		traceparent: Nullable(Type.String()),
		data: Type.Unknown({ description: "Null where the answer would grow too large" })
	},
	{ title: "RecordedEvent" }
);
export type RecordedEvent = Static<typeof RecordedEvent>;

/** What became of an event at a consumer. */
export const Handled = Type.Object({
	eventId: Id,
	group: Type.String(),
	consumer: Type.String(),
	state: Type.Enum(["handled", "dead", "parked", "resolved", "discarded"]),
	at: Timestamp
});
export type Handled = Static<typeof Handled>;

export const Story = Type.Object(
	{
		correlationId: Type.String(),
		events: Type.Array(RecordedEvent),
		handled: Type.Array(Handled)
	},
	{ title: "Story" }
);
export type Story = Static<typeof Story>;

/** An event that waits in an outbox, or was set aside there. */
export const WaitingEvent = Type.Object({
	id: Id,
	group: Type.String(),
	type: Type.String(),
	aggregate: Type.Object({ type: Type.String(), id: Id, version: Type.Integer() }),
	recordedAt: Timestamp,
	attempts: Type.Integer(),
	lastError: Nullable(Type.String()),
	setAsideAt: Nullable(Timestamp)
});
export type WaitingEvent = Static<typeof WaitingEvent>;

export const OutboxView = Type.Object({
	group: Type.String(),
	leader: Nullable(Type.String({ description: "The node that relays; null where none answered" })),
	unpublished: Type.Integer(),
	oldestUnpublishedSeconds: Type.Number(),
	setAside: Type.Integer(),
	/** The oldest that wait, and those set aside. */
	waiting: Type.Array(WaitingEvent)
});
export type OutboxView = Static<typeof OutboxView>;

export const Rebuilt = Type.Object({
	consumer: Type.String(),
	events: Type.Integer(),
	milliseconds: Type.Integer()
});
export type Rebuilt = Static<typeof Rebuilt>;

/** Who did it, for the audit. */
export const By = Text(1, 200, { description: "Who does it, for the audit" });

/** What operators see of events, and do about them, across all groups. */
export const events = contract({
	name: "events",
	failures: {
		INVALID_CURSOR: { status: 422, message: "This cursor is of another list." },
		NO_SUCH_SNAPSHOT: {
			status: 409,
			message: "This snapshot is not known any more. Do another dry run."
		},
		NOTHING_SELECTED: {
			status: 422,
			message:
				"Say which dead letters, in one way: by `ids`, by `filter`, or by the `snapshotId` of a dry run."
		},
		GROUP_AWAY: {
			status: 503,
			message: "One of the groups does not answer, so the view would not be whole. Try again."
		},
		NO_SUCH_PROJECTION: {
			status: 404,
			message: "No service says that it can rebuild a projection of this name."
		},
		HISTORY_PURGED: {
			status: 409,
			message:
				"Part of the events that the projection is made of have been purged; a rebuild would lose what they told."
		},
		SECOND_PERSON_NEEDED: {
			status: 409,
			message: "It is about money: a second person has to discard it as well."
		}
	},
	actions: {
		topics: {
			summary: "Topics, their consumers and what waits",
			access: "admin",
			rest: { route: "GET /admin/events/topics", tag: "Administration" },
			idempotent: true,
			params: Params({}),
			result: Type.Object({ items: Type.Array(TopicView) }),
			failures: ["GROUP_AWAY"]
		},
		deadLetters: {
			summary: "Events that could not be handled, oldest first",
			access: "admin",
			rest: { route: "GET /admin/events/dead-letters", tag: "Administration" },
			idempotent: true,
			params: Params({
				state: Type.Optional(LetterState),
				consumer: Type.Optional(Consumer),
				topic: Type.Optional(Topic),
				type: Type.Optional(EventType),
				aggregateId: Type.Optional(Id),
				...pageParams
			}),
			result: Page(DeadLetter),
			failures: ["INVALID_CURSOR", "GROUP_AWAY"]
		},
		replay: {
			summary: "Hand dead letters to their handlers again",
			description:
				"With `dryRun` it only says what would happen, and answers a `snapshotId` that fixes the selection. What is open of the same aggregates goes with it; at most 1,000 of each group at once. The dead letters of one aggregate are replayed in their order; one that fails again stays where it is, and those behind it wait. A repetition does no harm, whatever its `Idempotency-Key`: a dead letter that was settled before is left alone, and says so.",
			access: "admin",
			rest: {
				route: "POST /admin/events/dead-letters/replay",
				tag: "Administration",
				headers: { "idempotency-key": "idempotencyKey" },
				required: ["idempotency-key"],
				idempotencyKey: "harmless"
			},
			idempotent: true,
			timeout: 60_000,
			params: Params({
				ids: Type.Optional(Type.Array(LetterId, { minItems: 1, maxItems: 1_000 })),
				filter: Type.Optional(LetterFilter),
				snapshotId: Type.Optional(Id),
				dryRun: Type.Optional(Type.Boolean({ default: false })),
				idempotencyKey: IdempotencyKey
			}),
			result: Replay,
			failures: ["NOT_FOUND", "NO_SUCH_SNAPSHOT", "NOTHING_SELECTED", "GROUP_AWAY"]
		},
		deadLetter: {
			summary: "One dead letter, with its event",
			access: "internal",
			idempotent: true,
			params: Params({ id: LetterId }),
			result: Type.Object({
				letter: DeadLetter,
				event: Type.Unknown(),
				stack: Nullable(Type.String())
			}),
			failures: ["NOT_FOUND", "GROUP_AWAY"]
		},
		discard: {
			summary: "Give a dead letter up, so that what comes after it can go on",
			access: "internal",
			params: Params({ id: LetterId, reason: Text(3, 1_000), by: By }),
			result: DeadLetter,
			failures: ["NOT_FOUND", "SECOND_PERSON_NEEDED", "GROUP_AWAY"]
		},
		outbox: {
			summary: "What waits in each group's outbox",
			access: "internal",
			idempotent: true,
			params: Params({}),
			result: Type.Object({ items: Type.Array(OutboxView) }),
			failures: ["GROUP_AWAY"]
		},
		retryOutbox: {
			summary: "Try an event that was set aside once more",
			access: "internal",
			params: Params({ eventId: Id, by: By }),
			result: WaitingEvent,
			failures: ["NOT_FOUND", "GROUP_AWAY"]
		},
		tail: {
			summary: "The newest events, oldest of them first",
			description: "Of the groups that answer.",
			access: "internal",
			idempotent: true,
			params: Params({
				topic: Type.Optional(Topic),
				/** Only those recorded since, looked for among the newest. */
				since: Type.Optional(Timestamp),
				limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 20 }))
			}),
			result: Type.Object({ items: Type.Array(RecordedEvent) })
		},
		trace: {
			summary: "All events of a story, and what became of them",
			access: "internal",
			idempotent: true,
			params: Params({
				id: Type.String({
					minLength: 1,
					maxLength: 200,
					description: "An event's id, or a correlation id"
				})
			}),
			result: Story,
			failures: ["NOT_FOUND", "GROUP_AWAY"]
		},
		rebuild: {
			summary: "Make a projection anew from the events it is made of",
			access: "internal",
			timeout: 600_000,
			params: Params({ projection: Consumer, by: By }),
			result: Rebuilt,
			failures: ["NO_SUCH_PROJECTION", "HISTORY_PURGED", "GROUP_AWAY"]
		}
	},
	events: {}
});
