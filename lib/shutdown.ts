/** How a process of ours ends: in order at the first signal, at once at the second. */

export interface ShutdownOptions {
	/** Ends everything in order. */
	readonly stop: () => Promise<void>;
	/** Ends what must not outlive us, without waiting. */
	readonly abandon: () => void;
	/** After so many milliseconds an orderly end is given up. */
	readonly timeoutMs: number;
	readonly say?: (text: string) => void;
}

/** Handles SIGINT and SIGTERM, and the death of a parent that holds an IPC channel to us. */
export function onShutdown({ stop, abandon, timeoutMs, say = () => {} }: ShutdownOptions): void {
	let stopping = false;
	const giveUp = (code: number) => {
		abandon();
		process.exit(code);
	};
	const begin = () => {
		if (stopping) {
			say("stopping at once");
			giveUp(130);
		}
		stopping = true;
		say("stopping (once more to stop at once)");
		setTimeout(() => {
			say("the orderly stop took too long");
			giveUp(1);
		}, timeoutMs).unref();
		stop().then(
			() => process.exit(0),
			error => {
				console.error(error);
				giveUp(1);
			}
		);
	};
	process.on("SIGINT", begin);
	process.on("SIGTERM", begin);
	process.once("disconnect", () => {
		if (!stopping) begin();
	});
}
