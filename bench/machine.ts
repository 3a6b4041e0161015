/** On what it was measured. */
import os from "node:os";

export interface Machine {
	readonly cores: number;
	readonly cpu: string;
	readonly memoryGb: number;
	readonly system: string;
	readonly node: string;
	/** Of the last minute, when the run began. */
	readonly loadAverage: number;
}

export const readMachine = (): Machine => ({
	cores: os.availableParallelism(),
	cpu: os.cpus()[0]?.model.trim() ?? "unknown processor",
	memoryGb: os.totalmem() / 1e9,
	system: `${os.type()} ${os.release()} (${os.arch()})`,
	node: process.versions.node,
	loadAverage: os.loadavg()[0]!
});

export const describeMachine = (machine: Machine): string =>
	`${machine.cores} × ${machine.cpu}, ${machine.memoryGb.toFixed(1)} GB, ${machine.system}, Node ${machine.node}, load average ${machine.loadAverage.toFixed(2)} at the start`;

/** A sentence where other work will spoil the figures; else undefined. */
export const busyness = ({ loadAverage }: Machine): string | undefined =>
	loadAverage > 1
		? `The machine is busy (load average ${loadAverage.toFixed(2)}): expect poor figures.`
		: undefined;
