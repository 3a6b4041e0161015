/** What a process and all that descend from it use, by Linux's /proc; elsewhere nothing is known. */
import { readdirSync, readFileSync } from "node:fs";

/** Megabytes (10⁶ bytes). */
export interface Memory {
	/** What is shared, as PostgreSQL's buffers are, counts in each process that has touched it. */
	readonly rssMb: number;
	/** What is shared counts once, divided among those who share it. */
	readonly pssMb: number;
}

interface Process {
	readonly pid: number;
	readonly parent: number;
	readonly cpuSeconds: number;
}

/** The kernel's unit for times in /proc, the same on all architectures that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of the tree so far, that of its ended and awaited members included; null where there is no /proc. */
export function cpuSeconds(root: number): number | null {
	const tree = treeOf(root);
	return tree && tree.reduce((sum, { cpuSeconds: own }) => sum + own, 0);
}

/** What the tree holds in memory now; null where there is no /proc. */
export function memory(root: number): Memory | null {
	const tree = treeOf(root);
	if (!tree) return null;
	let rssMb = 0;
	let pssMb = 0;
	for (const { pid } of tree) {
		const rollup = read(`/proc/${pid}/smaps_rollup`) ?? "";
		const megabytes = (field: string) =>
			(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1] ?? 0) * 1_024) / 1e6;
		rssMb += megabytes("Rss");
		pssMb += megabytes("Pss");
	}
	return { rssMb, pssMb };
}

function treeOf(root: number): Process[] | null {
	if (process.platform !== "linux") return null;
	const all = readdirSync("/proc")
		.filter(name => /^\d+$/.test(name))
		.flatMap(name => parse(Number(name)));
	const tree = all.filter(({ pid }) => pid === root);
	// Grows while it is walked, by the children of each that is met.
	for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
	return tree;
}

function parse(pid: number): Process[] {
	const stat = read(`/proc/${pid}/stat`);
	if (!stat) return [];
	// The name, in brackets, may hold anything. Behind it come the fields from the third on.
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
	return [{ pid, parent: Number(fields[1]), cpuSeconds: ticks / TICKS_PER_SECOND }];
}

/** Undefined where the process has ended meanwhile. */
function read(file: string): string | undefined {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return undefined;
	}
}
