/** Users by command, of as many pages as it takes. */
import type { Actions } from "../../contracts/index.ts";
import type { Role, User } from "../../contracts/users.ts";
import type { Operator } from "../operator.ts";

export interface ListOptions {
	readonly q?: string;
	readonly role?: Role;
	readonly status?: User["status"];
	readonly limit: number;
}

/** As many as are wanted, of as many pages as it takes. */
export async function listUsers(
	system: Operator,
	{ q, role, status, limit }: ListOptions
): Promise<User[]> {
	const items: User[] = [];
	const filter = { ...(q ? { q } : {}), ...(role ? { role } : {}), ...(status ? { status } : {}) };
	let cursor: string | null = null;
	do {
		const page: Actions["users.list"]["result"] = await system.call("users.list", {
			...filter,
			...(cursor ? { cursor } : {}),
			limit: 100
		});
		items.push(...page.items);
		cursor = page.nextCursor;
	} while (cursor && items.length < limit);
	return items.slice(0, limit);
}
