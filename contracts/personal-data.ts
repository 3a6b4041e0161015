import { Type, type Static } from "typebox";
import { contract, type EventContract } from "../lib/contract.ts";
import { Id, Nullable, Params } from "./common.ts";

/** What has become of somebody's data, in words that the person reads in the receipt. */
export const Erased = Type.Object({
	erased: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), {
		description: "How many of what are gone",
		examples: [{ messages: 7 }]
	}),
	kept: Type.Array(
		Type.Object({
			what: Type.String({ examples: ["1 order, without address and name"] }),
			why: Type.String({ examples: ["tax law asks us to keep it for ten years"] })
		})
	)
});
export type Erased = Static<typeof Erased>;

/** Where each list of a holder goes on: the key of its last item so far. A list that is not named is at its end. */
export const ListKeys = Type.Record(Type.String(), Type.String({ maxLength: 64 }));
export type ListKeys = Static<typeof ListKeys>;

/** A holder's part of an export; lists are cut where they would be too long for one answer. */
export const PersonalData = Type.Object({
	data: Type.Record(Type.String(), Type.Unknown()),
	next: Nullable(ListKeys)
});
export type PersonalData = Static<typeof PersonalData>;

const AnswerOfHolder = Type.Object({ deletionId: Id, userId: Id, ...Erased.properties });

/**
 * Every group that keeps something about people carries this service: it hands out what the group
 * knows of a user, and erases it on `user.deletion-requested.v1`, of which its own fact tells. Whoever
 * has such a contract is waited for and asked; there is no other list of them.
 */
const holder = <const G extends string>(group: G) =>
	contract({
		name: `${group}-data` as const,
		failures: {},
		actions: {
			export: {
				summary: "What the group knows of a user",
				access: "internal",
				idempotent: true,
				params: Params({ userId: Id, after: Type.Optional(ListKeys) }),
				result: PersonalData,
				failures: ["VALIDATION_ERROR"]
			}
		},
		events: {
			[`${group}-data.erased.v1`]: {
				summary: `What the group ${group} knew of a user is erased`,
				data: AnswerOfHolder
			}
		} as Record<`${G}-data.erased.v1`, EventContract<typeof AnswerOfHolder>>
	});

export const usersData = holder("users");
export const catalogData = holder("catalog");
export const ordersData = holder("orders");
export const notificationsData = holder("notifications");
