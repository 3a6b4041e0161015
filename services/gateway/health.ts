/** Whether this node, and the groups behind it, can do their work. Says no more than a stranger may know. */
import type { Actions } from "../../contracts/index.ts";
import { GROUPS, type Group } from "../../lib/config.ts";
import { json, type Answer } from "./answer.ts";

type GroupStatus = Actions["users-events.status"]["result"];
export type AskGroup = (group: Group) => Promise<GroupStatus>;

/** How long a group may take to say how it fares, in milliseconds. */
export const PATIENCE_MS = 2_000;

/** Each group's database or event stream; 503 when one of them is down. A group that does not answer is down. */
export async function groupHealth(part: "database" | "stream", ask: AskGroup): Promise<Answer> {
	const states = await Promise.all(
		GROUPS.map(group =>
			ask(group).then(
				status => status[part],
				() => "down" as const
			)
		)
	);
	const status = states.every(state => state === "up") ? "up" : "down";
	const groups = Object.fromEntries(GROUPS.map((group, i) => [group, states[i]]));
	return json(status === "up" ? 200 : 503, { status, groups }, NOT_KEPT);
}

export const health = (): Answer => json(200, { status: "up" }, NOT_KEPT);

export const readiness = (isReady: boolean): Answer =>
	json(isReady ? 200 : 503, { status: isReady ? "ready" : "not_ready" }, NOT_KEPT);

const NOT_KEPT = { "Cache-Control": "no-store" };
