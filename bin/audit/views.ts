/** What the commands about the record show to people. */
import type { AuditEntry } from "../../contracts/audit.ts";
import type { Actions } from "../../contracts/index.ts";
import { OPERATOR } from "../../lib/identity.ts";
import { paint, table } from "../console.ts";

type Head = Actions["audit.head"]["result"];

/** As it is written down, and given to `--head`. */
export const headText = ({ position, hash }: Head): string => `${position}:${hash}`;

export function verdictView(
	{ entries, erased, flaws, head }: Actions["audit.verify"]["result"],
	noted?: Head
): string {
	const checked = `${entries} entries, ${erased} of them with their details erased`;
	if (flaws.length > 0)
		return [
			`${checked}. ${paint("red", "The record was changed:")}`,
			...flaws.map(flaw => `  ${flaw}`),
			"docs/runbooks/users.md says what a flaw means, and what to do."
		].join("\n");
	const against = noted
		? `It still holds the entry ${noted.position} that was written down.`
		: "Whether it was made anew as a whole, or cut at its end, only a head that was written down tells: --head.";
	return `${checked}: ${paint("green", "no flaw")}. ${against}\nHead ${headText(head)}`;
}

const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();

export const listView = (entries: readonly AuditEntry[]): string =>
	entries.length === 0
		? "There are none."
		: table(
				["ENTRY", "AT", "WHAT", "NOTE", "USER", "BY", "ADDRESS", "DEVICE"],
				entries.map(({ position, at, type, note, userId, byId, address, device, erased }) => [
					position,
					at,
					type,
					note === null ? null : printable(note),
					userId,
					byId === OPERATOR.id ? "operator" : byId,
					erased ? "erased" : address && printable(address),
					device && printable(device).slice(0, 60)
				])
			);
