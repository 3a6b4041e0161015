/** `npm run users -- list|import|create-admin|set-role|disable|enable`: who may sign in, and as what. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { Role, type User } from "../contracts/users.ts";
import { die, show } from "./console.ts";
import { importView, progressOf } from "./import/views.ts";
import { clientOf, explainRefusal, ownName, withSystem, type Operator } from "./operator.ts";
import { importFile } from "./users/import.ts";
import { listUsers, type ListOptions } from "./users/list.ts";
import { readPassword } from "./users/password.ts";
import { IMPORT_WORDS, nameOf, usersView } from "./users/views.ts";

interface ByOptions {
	readonly json?: boolean;
	readonly by: string;
}

const asOperator = ({ by }: ByOptions, work: (system: Operator) => Promise<void>): Promise<void> =>
	withSystem(work, { service: "users", client: clientOf("npm run users", by) });

function parseCount(text: string): number {
	if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("It is a whole number from 1.");
	return Number(text);
}

const program = new Command("npm run users --").description(
	"The users of the system that runs here"
);

const command = (usage: string, description: string): Command =>
	program
		.command(usage)
		.description(description)
		.option("--json", "JSON, for programs")
		.option("--by <name>", "who does it, for the record", ownName());

const roleArgument = new Argument("<roles...>", "all that the user shall have").choices(Role.enum);

command("list", "users, the newest first")
	.option("-q, --q <text>", "only those with this in address, username or name")
	.addOption(new Option("--role <role>", "only those with this role").choices(Role.enum))
	.addOption(new Option("--status <status>", "only these").choices(["active", "disabled"]))
	.option("-n, --limit <n>", "how many at most", parseCount, 100)
	.action((options: ListOptions & ByOptions) =>
		asOperator(options, async system => {
			show({ items: await listUsers(system, options) }, options, ({ items }) =>
				items.length > 0 ? usersView(items) : "There are none."
			);
		})
	);

interface CreateOptions extends ByOptions {
	readonly name?: string;
	readonly passwordFile?: string;
}

command(
	"create-admin <email> <username>",
	"an account that may do everything; asks for its password"
)
	.option("--name <name>", "what the admin is called")
	.option(
		"--password-file <file>",
		"take the password from its first line; else from standard input"
	)
	.action(async (email: string, username: string, options: CreateOptions) => {
		const { name, passwordFile } = options;
		const password = await readPassword(passwordFile);
		await asOperator(options, async system => {
			const account = { email, username, password, ...(name === undefined ? {} : { name }) };
			show(
				await system.call("auth.registerAdmin", account),
				options,
				user =>
					`${nameOf(user)} is an admin now, and can sign in with this password. Id ${user.id}.`
			);
		});
	});

command("set-role <login>", "what a user may do; ends all sessions")
	.addArgument(roleArgument)
	.action((login: string, roles: Role[], options: ByOptions) =>
		manage(login, { roles: [...new Set(roles)] }, options, user => `is ${user.roles.join(", ")}`)
	);

command("disable <login>", "a user signs in no more; ends all sessions").action(
	(login: string, options: ByOptions) =>
		manage(login, { status: "disabled" }, options, () => "is disabled")
);

command("enable <login>", "a user may sign in again").action((login: string, options: ByOptions) =>
	manage(login, { status: "active" }, options, () => "is enabled")
);

interface FileOptions extends ByOptions {
	readonly report?: string;
	readonly dryRun?: boolean;
	readonly deriveUsernames?: boolean;
	readonly wait: boolean;
}

command("import <file>", "users of another system, as CSV; exit code 2 where a line is rejected")
	.option("--dry-run", "only say what would happen")
	.option("--derive-usernames", "make a username of the address where there is none")
	.option(
		"--no-wait",
		"go on while thousands of events wait to be published; others' mails come later"
	)
	.option("--report <file>", "where rejected lines go; <file>.rejected.csv if not told otherwise")
	.action((file: string, options: FileOptions) =>
		asOperator(options, async system => {
			const began = performance.now();
			const path = options.report ?? `${file}.rejected.csv`;
			const progress = progressOf(IMPORT_WORDS.progress);
			const counts = await importFile(system, file, { ...options, report: path, ...progress });
			const seconds = Math.round((performance.now() - began) / 10) / 100;
			const dryRun = options.dryRun === true;
			const report = counts.rejected > 0 ? path : null;
			show({ ...counts, seconds, dryRun, report }, options, () =>
				importView({ counts, seconds, dryRun, report }, IMPORT_WORDS)
			);
			if (counts.rejected > 0) process.exitCode = 2;
		})
	);

await program.parseAsync().catch((error: unknown) => die(explainRefusal(error)));

function manage(
	login: string,
	change: Partial<Pick<User, "roles" | "status">>,
	options: ByOptions,
	tell: (user: User) => string
): Promise<void> {
	return asOperator(options, async system => {
		const before = await system.call("users.find", { login });
		const after = await system.call("users.manage", { id: before.id, ...change });
		show(after, options, user =>
			user.version === before.version
				? `${nameOf(user)} ${tell(user)}, as before.`
				: `${nameOf(user)} ${tell(user)} now. All sessions have ended.`
		);
	});
}
