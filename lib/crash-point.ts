/**
 * Places where a process can be made to die, so that tests can show what is left behind and that it
 * heals. `CRASH_AT=relay.after-puback#3` kills the process (SIGKILL) when it comes to that place for
 * the third time; `#1` may be left out. `PAUSE_AT` makes it stand still there (SIGSTOP) instead.
 * Unset, as always outside tests, a crash point does nothing.
 */
import { writeSync } from "node:fs";

/** Every place, in the order in which an event passes them. docs/crash-matrix.md tells what each leaves behind. */
export const CRASH_POINTS = [
	"writer.before-commit",
	"writer.after-commit",
	"relay.after-select",
	"relay.before-publish",
	"relay.after-puback",
	"relay.after-mark",
	"consumer.before-transaction",
	"consumer.after-enter",
	"consumer.before-commit",
	"consumer.after-commit",
	"consumer.after-ack",
	"consumer.before-dead-letter-commit",
	"consumer.after-dead-letter-commit",
	"replay.before-commit",
	"replay.after-commit",
	"job.after-claim",
	"job.after-perform",
	"job.after-complete",
	"timer.after-claim",
	"timer.before-commit"
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** What a process says on standard error when it dies or stands still, so that it is known where. */
export const LAST_WORDS = "crash point: ";

const aims = (["CRASH_AT", "PAUSE_AT"] as const).flatMap(variable => {
	const [point, count = "1"] = (process.env[variable] ?? "").split("#");
	const signal = variable === "CRASH_AT" ? ("SIGKILL" as const) : ("SIGSTOP" as const);
	return point ? [{ point, signal, left: Number(count) }] : [];
});

/** Dies here (or stands still) if this is where the process shall. */
export const crashPoint: (point: CrashPoint) => void =
	aims.length > 0
		? point => {
				for (const aim of aims) {
					if (point !== aim.point || --aim.left !== 0) continue;
					// Not by the stream: what that holds dies with the process.
					writeSync(2, `${LAST_WORDS}${point}\n`);
					process.kill(process.pid, aim.signal);
				}
			}
		: () => {};
