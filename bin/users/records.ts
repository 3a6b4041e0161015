/** Records of a file as users to be imported. Pure. */
import { createHash } from "node:crypto";
import { ImportedUser } from "../../contracts/users.ts";
import { toJson } from "../../lib/schema-changes.ts";
import { StartupError } from "../../lib/startup-error.ts";
import { createAjv, fieldErrors } from "../../lib/validator.ts";
import { normalizeLogin } from "../../services/users/user.ts";
import type { CsvRecord } from "../import/csv.ts";

const asIs = (cell: string): string => cell;
const words = (cell: string): string[] => cell.split(/[\s,;|]+/).filter(Boolean);
/** What is neither is left to the schema to refuse. */
const truth = (cell: string): unknown =>
	["true", "false"].includes(cell) ? cell === "true" : cell;

interface Column {
	readonly field: keyof ImportedUser;
	readonly read: (cell: string) => unknown;
}

/** What a file may tell of a user, by the name of the column. */
export const COLUMNS: Readonly<Record<string, Column>> = {
	email: { field: "email", read: asIs },
	username: { field: "username", read: asIs },
	name: { field: "name", read: asIs },
	password_hash: { field: "passwordHash", read: asIs },
	roles: { field: "roles", read: words },
	email_verified: { field: "emailVerified", read: truth },
	phone: { field: "phone", read: asIs },
	locale: { field: "locale", read: asIs },
	time_zone: { field: "timeZone", read: asIs },
	created_at: { field: "createdAt", read: asIs }
};

const columnOf = (field: string): string =>
	Object.keys(COLUMNS).find(name => COLUMNS[name]!.field === field.split(".")[0]) ?? field;

/** `password_hash is of cost 14, above 13` */
export const tellProblem = ({ field, message }: { field: string; message: string }): string =>
	`${columnOf(field)} ${message}`;

export interface ReadOptions {
	/** Whether a username that is missing is made of the address. */
	readonly deriveUsernames?: boolean;
}

/** The columns that a header names. Throws a StartupError where one is not known, is there twice, or is missing. */
export function columnsOf(header: readonly string[], { deriveUsernames }: ReadOptions): Column[] {
	const names = header.map(name => name.trim().toLowerCase());
	const known = `Known are ${Object.keys(COLUMNS).join(", ")}.`;
	const unknown = names.filter(name => !Object.hasOwn(COLUMNS, name));
	if (unknown.length > 0)
		throw new StartupError(
			`The header names columns that are not known: ${unknown.map(name => JSON.stringify(name)).join(", ")}. ${known}`
		);
	const twice = names.filter((name, index) => names.indexOf(name) < index);
	if (twice.length > 0) throw new StartupError(`The header names ${twice.join(", ")} twice.`);
	const required = deriveUsernames ? ["email"] : ["email", "username"];
	const missing = required.filter(name => !names.includes(name));
	if (missing.length > 0)
		throw new StartupError(
			`The header does not name ${missing.join(" and ")}. ${known}${missing.includes("username") ? " With --derive-usernames a username is made of the address." : ""}`
		);
	return names.map(name => COLUMNS[name]!);
}

const isUser = createAjv({ defaults: false }).compile<ImportedUser>(toJson(ImportedUser) as object);

/**
 * `ada.lovelace@example.com` → `ada.lovelace-3f9a2c`: the same for each run, and for nobody else, though
 * many are called `info`.
 */
export function usernameOf(email: string): string {
	const [local] = normalizeLogin(email).split("@", 1);
	const name = local!.replace(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+/, "");
	const mark = createHash("sha256").update(normalizeLogin(email)).digest("hex").slice(0, 6);
	return `${name.slice(0, 25).replace(/[._-]+$/, "") || "user"}-${mark}`;
}

export type Read = { readonly user: ImportedUser } | { readonly problems: readonly string[] };

/** Reads all records of a file, one after the other, and knows which have been there before. */
export class Reader {
	readonly #columns: readonly Column[];
	readonly #options: ReadOptions;
	readonly #emails = new Map<string, number>();
	readonly #usernames = new Map<string, number>();

	constructor(header: readonly string[], options: ReadOptions = {}) {
		this.#columns = columnsOf(header, options);
		this.#options = options;
	}

	read({ line, cells, text }: CsvRecord): Read {
		if (cells.length !== this.#columns.length)
			return { problems: [`has ${cells.length} cells, the header ${this.#columns.length}`] };
		if (text.includes("\ufffd")) return { problems: ["is not in UTF-8"] };
		const user = this.#userOf(cells);
		if (!isUser(user)) return { problems: fieldErrors(isUser.errors).map(tellProblem) };
		const problems = this.#repetitions(user, line);
		return problems.length > 0 ? { problems } : { user };
	}

	/** An empty cell says nothing. */
	#userOf(cells: readonly string[]): object {
		const told = this.#columns
			.map(({ field, read }, index) => [field, cells[index]!, read] as const)
			.filter(([, cell]) => cell !== "")
			.map(([field, cell, read]) => [field, read(cell)] as const);
		const user = Object.fromEntries(told) as Partial<ImportedUser>;
		return this.#options.deriveUsernames && user.email !== undefined && user.username === undefined
			? { ...user, username: usernameOf(user.email) }
			: user;
	}

	#repetitions({ email, username }: ImportedUser, line: number): string[] {
		const [address, name] = [normalizeLogin(email), normalizeLogin(username)];
		const earlier = { email: this.#emails.get(address), username: this.#usernames.get(name) };
		const problems = Object.entries(earlier)
			.filter(([, first]) => first !== undefined)
			.map(([column, first]) => `${column} is the same as in line ${first}`);
		if (problems.length === 0) {
			this.#emails.set(address, line);
			this.#usernames.set(name, line);
		}
		return problems;
	}
}
