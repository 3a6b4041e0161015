import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Params, Text, Timestamp } from "./common.ts";
import {
	By,
	DeadLetter,
	LetterFilter,
	LetterId,
	LetterState,
	OutboxView,
	Rebuilt,
	RecordedEvent,
	ReplayItem,
	Handled,
	WaitingEvent
} from "./events.ts";

/** The state of one group's database and event tables, as any node of the group sees it. */
export const BackboneStatus = Type.Object({
	database: Type.Enum(["up", "down"]),
	/** Events that are committed but not in the stream yet. */
	unpublished: Type.Integer(),
	oldestUnpublishedSeconds: Type.Number(),
	deadLetters: Type.Integer(),
	stream: Type.Enum(["up", "down"]),
	leader: Nullable(Type.Boolean({ description: "Whether this node relays the group's events" }))
});
export type BackboneStatus = Static<typeof BackboneStatus>;

/** What a group knows of the topics that it records and consumes. */
export const BackboneOverview = Type.Object({
	recorded: Type.Array(
		Type.Object({
			topic: Type.String(),
			/** In the outbox, published or not. */
			events: Type.Integer(),
			newestAt: Nullable(Timestamp),
			unpublished: Type.Integer(),
			oldestUnpublishedSeconds: Type.Number(),
			setAside: Type.Integer()
		})
	),
	consumers: Type.Array(
		Type.Object({
			name: Type.String(),
			topic: Type.String(),
			/** Null where the stream keeps no place for consumers, as in one process. */
			pending: Nullable(Type.Integer()),
			unacknowledged: Nullable(Type.Integer()),
			oldestPendingSeconds: Nullable(Type.Number()),
			dead: Type.Integer(),
			parked: Type.Integer(),
			blockedAggregates: Type.Integer()
		})
	),
	/** Messages by topic in the stream; null where it keeps none, as in one process. */
	stream: Nullable(Type.Record(Type.String(), Type.Integer()))
});
export type BackboneOverview = Static<typeof BackboneOverview>;

/** Every group with a database carries this service; it speaks for the group's part of the event backbone. */
const backbone = <const N extends string>(name: N) =>
	contract({
		name,
		failures: {
			NO_SUCH_SNAPSHOT: { status: 409, message: "This snapshot is not known any more." },
			NO_SUCH_PROJECTION: {
				status: 404,
				message: "No service says that it can rebuild a projection of this name."
			},
			HISTORY_PURGED: {
				status: 409,
				message:
					"Part of the events that the projection is made of have been purged; a rebuild would lose what they told."
			},
			GROUP_AWAY: {
				status: 503,
				message: "One of the groups does not answer, so its events would be missing. Try again."
			},
			SECOND_PERSON_NEEDED: {
				status: 409,
				message: "It is about money: a second person has to discard it as well."
			}
		},
		actions: {
			status: {
				summary: "State of the group's database and events",
				access: "internal",
				idempotent: true,
				timeout: 2_000,
				params: Params({}),
				result: BackboneStatus
			},
			overview: {
				summary: "The group's topics and consumers",
				access: "internal",
				idempotent: true,
				params: Params({}),
				result: BackboneOverview
			},
			letters: {
				summary: "The group's dead letters, oldest first",
				access: "internal",
				idempotent: true,
				params: Params({
					state: Type.Optional(LetterState),
					filter: Type.Optional(LetterFilter),
					/** Where the page before ended, at a dead letter of this group or another one. */
					after: Type.Optional(Type.Object({ createdAt: Timestamp, id: LetterId })),
					limit: Type.Integer({ minimum: 1, maximum: 101 })
				}),
				result: Type.Array(DeadLetter)
			},
			letter: {
				summary: "One dead letter, with its event",
				access: "internal",
				idempotent: true,
				params: Params({ id: LetterId }),
				result: Type.Object({
					letter: DeadLetter,
					event: Type.Unknown(),
					stack: Nullable(Type.String())
				}),
				failures: ["NOT_FOUND"]
			},
			replay: {
				summary: "Replay dead letters, or say what that would do",
				access: "internal",
				timeout: 60_000,
				params: Params({
					ids: Type.Optional(Type.Array(LetterId)),
					filter: Type.Optional(LetterFilter),
					/** With `ids` or `filter` the selection is kept under it; alone, it is taken from there. */
					snapshotId: Id,
					dryRun: Type.Boolean(),
					by: By
				}),
				result: Type.Array(ReplayItem),
				failures: ["NOT_FOUND", "NO_SUCH_SNAPSHOT"]
			},
			discard: {
				summary: "Give a dead letter up",
				access: "internal",
				params: Params({ id: LetterId, reason: Text(3, 1_000), by: By }),
				result: DeadLetter,
				failures: ["NOT_FOUND", "SECOND_PERSON_NEEDED"]
			},
			outbox: {
				summary: "What waits in the outbox",
				access: "internal",
				idempotent: true,
				params: Params({}),
				result: OutboxView
			},
			retryOutbox: {
				summary: "Try an event that was set aside once more",
				access: "internal",
				params: Params({ eventId: Id, by: By }),
				result: WaitingEvent,
				failures: ["NOT_FOUND"]
			},
			recorded: {
				summary: "Events in the outbox: the newest, or those of a story",
				access: "internal",
				idempotent: true,
				params: Params({
					aggregateType: Type.Optional(Type.String()),
					since: Type.Optional(Timestamp),
					correlationId: Type.Optional(Type.String()),
					eventId: Type.Optional(Id),
					limit: Type.Integer({ minimum: 1, maximum: 1_000 })
				}),
				result: Type.Array(RecordedEvent)
			},
			handled: {
				summary: "What became of these events at the group's consumers",
				access: "internal",
				idempotent: true,
				params: Params({ eventIds: Type.Array(Id, { maxItems: 1_000 }) }),
				result: Type.Array(Handled)
			},
			history: {
				summary:
					"Envelopes of a topic in the order of their records, page by page; says where some were purged",
				access: "internal",
				idempotent: true,
				timeout: 20_000,
				params: Params({
					aggregateTypes: Type.Array(Type.String()),
					/** The place where the page before ended; 0 for the first. */
					after: Type.String({ pattern: "^[0-9]{1,18}$" }),
					/** A page holds fewer where they are large. */
					limit: Type.Integer({ minimum: 1, maximum: 1_000 })
				}),
				result: Type.Object({
					events: Type.Array(Type.Unknown()),
					/** Null where nothing came any more. */
					next: Nullable(Type.String()),
					purged: Type.Integer()
				})
			},
			rebuild: {
				summary: "Make a projection of the group anew",
				access: "internal",
				timeout: 600_000,
				params: Params({ projection: Type.String(), by: By }),
				result: Rebuilt,
				failures: ["NO_SUCH_PROJECTION", "HISTORY_PURGED", "GROUP_AWAY"]
			}
		},
		events: {}
	});

export const usersEvents = backbone("users-events");
export const catalogEvents = backbone("catalog-events");
export const ordersEvents = backbone("orders-events");
export const notificationsEvents = backbone("notifications-events");
