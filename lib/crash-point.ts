/**
 * Places where a process can be made to die, so that tests can show what is left behind and that it
 * heals. `CRASH_AT=relay.after-puback#3` kills the process (SIGKILL) when it comes to that place for
 * the third time; `#1` may be left out. Unset, as always outside tests, a crash point does nothing.
 */

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

const [target, count = "1"] = (process.env["CRASH_AT"] ?? "").split("#");
let left = Number(count);

/** Dies here if this is where the process shall die. */
export const crashPoint: (point: CrashPoint) => void = target
	? point => {
			if (point === target && --left === 0) process.kill(process.pid, "SIGKILL");
		}
	: () => {};
