/** What the commands about users show to people. */
import type { User } from "../../contracts/users.ts";
import { paint, table } from "../console.ts";
import type { Counts, ImportOptions } from "./import.ts";

export const nameOf = ({ username, email }: User): string => `${username} (${email})`;

export const usersView = (users: readonly User[]): string =>
	table(
		["USERNAME", "E-MAIL", "ROLES", "STATUS", "SINCE", "ID"],
		users.map(({ username, email, emailVerified, roles, status, createdAt, id }) => [
			username,
			emailVerified ? email : `${email} (not verified)`,
			roles.join(", "),
			status === "active" ? status : paint("yellow", status),
			createdAt,
			id
		])
	);

/**
 * A bar on a terminal, which says as well what is waited for; elsewhere a line for each tenth, and at least
 * each 10,000 lines.
 */
export function progressOf(
	stream: NodeJS.WriteStream = process.stderr
): Pick<ImportOptions, "progress" | "onWait"> {
	let told = 0;
	let bar = "";
	return {
		progress({ lines, imported, exists, rejected }, total) {
			const numbers = `${count(lines)} of ${count(total)} lines: ${count(imported)} imported, ${count(exists)} exist, ${count(rejected)} rejected`;
			const filled = Math.round((lines / total) * 24);
			bar = `${"█".repeat(filled)}${"░".repeat(24 - filled)} ${numbers}`;
			if (stream.isTTY) stream.write(`\r\u001b[2K${bar}${lines === total ? "\n" : ""}`);
			else if (lines === total || lines - told >= Math.min(10_000, total / 10)) {
				told = lines;
				stream.write(`${numbers}\n`);
			}
		},
		onWait(events) {
			if (stream.isTTY)
				stream.write(`\r\u001b[2K${bar} (waits: ${count(events)} events are to be published)`);
		}
	};
}

const count = (value: number): string => value.toLocaleString("en");

export function importView({
	lines,
	imported,
	exists,
	rejected,
	seconds,
	dryRun,
	report
}: Counts & { seconds: number; dryRun: boolean; report: string | null }): string {
	const speed = `${count(lines)} lines in ${seconds} s (${count(Math.round(lines / Math.max(seconds, 0.001)))} a second)`;
	const became = dryRun
		? `${count(imported)} would be imported, ${count(exists)} exist already, ${count(rejected)} would be rejected. Nothing was done.`
		: `${count(imported)} imported, ${count(exists)} existed already, ${count(rejected)} rejected.`;
	return `${speed}: ${became}${report ? `\nThe rejected lines are in ${report}, with what is wrong.` : ""}`;
}
