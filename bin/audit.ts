/** `npm run audit -- verify|head|list`: the record of security events, which nobody should be able to change. */
import { Command, InvalidArgumentError } from "commander";
import type { AuditEntry } from "../contracts/audit.ts";
import type { Actions } from "../contracts/index.ts";
import { headText, listView, verdictView } from "./audit/views.ts";
import { die, show } from "./console.ts";
import { explainRefusal, withSystem, type Operator } from "./operator.ts";

interface Output {
	readonly json?: boolean;
}

const onAudit = (work: (system: Operator) => Promise<void>): Promise<void> =>
	withSystem(work, { service: "audit" });

type Head = Actions["audit.head"]["result"];

function parseHead(text: string): Head {
	const [, position, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
	if (!position || !hash)
		throw new InvalidArgumentError("It is <position>:<hash>, as `audit head` prints it.");
	return { position: Number(position), hash };
}

function parseCount(text: string): number {
	if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("It is a whole number from 1.");
	return Number(text);
}

const program = new Command("npm run audit --").description(
	"The record of security events of the system that runs here"
);

const command = (usage: string, description: string): Command =>
	program.command(usage).description(description).option("--json", "JSON, for programs");

command("verify", "check the chain of all entries; exit code 1 where it has a flaw")
	.option("--head <head>", "one that was written down earlier, as <position>:<hash>", parseHead)
	.action(({ head, ...options }: Output & { head?: Head }) =>
		onAudit(async system => {
			const verdict = await system.call("audit.verify", head ? { head } : {});
			show(verdict, options, found => verdictView(found, head));
			if (verdict.flaws.length > 0) process.exitCode = 1;
		})
	);

command(
	"head",
	"where the record ends: to be written down where nobody can change it with it"
).action((options: Output) =>
	onAudit(async system => {
		show(await system.call("audit.head", {}), options, headText);
	})
);

command("list [login]", "entries, the newest first: all, or those of a user")
	.option("-n, --limit <n>", "how many at most", parseCount, 100)
	.action((login: string | undefined, options: Output & { limit: number }) =>
		onAudit(async system => {
			const user = login === undefined ? undefined : await system.call("users.find", { login });
			const items = await listEntries(system, user?.id, options.limit);
			show({ items }, options, found => listView(found.items));
		})
	);

await program.parseAsync().catch((error: unknown) => die(explainRefusal(error)));

/** As many as are wanted, of as many pages as it takes. */
async function listEntries(
	system: Operator,
	userId: string | undefined,
	limit: number
): Promise<AuditEntry[]> {
	const items: AuditEntry[] = [];
	let cursor: string | null = null;
	do {
		const page: Actions["audit.list"]["result"] = await system.call("audit.list", {
			...(userId ? { userId } : {}),
			...(cursor ? { cursor } : {}),
			limit: 100
		});
		items.push(...page.items);
		cursor = page.nextCursor;
	} while (cursor && items.length < limit);
	return items.slice(0, limit);
}
