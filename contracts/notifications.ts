import { Type } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id } from "./common.ts";

const message = { messageId: Id, userId: Id, kind: Type.String(), channel: Type.Enum(["email"]) };

export const notifications = contract({
	name: "notifications",
	failures: {},
	actions: {},
	events: {
		"notification.sent.v1": {
			summary: "A message was handed to its provider",
			data: Type.Object(message)
		},
		"notification.failed.v1": {
			summary: "A message could not be sent and will not be tried again",
			data: Type.Object({ ...message, reason: Type.String() })
		}
	}
});
