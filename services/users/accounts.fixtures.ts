/** Accounts for tests: who somebody is, and the links that they were sent. */
import { randomBytes } from "node:crypto";
import type { Tokens } from "../../contracts/auth.ts";
import { verifyAccessToken } from "../../lib/access-token.ts";
import type { ClientInfo, Identity } from "../../lib/identity.ts";
import type { TestNode } from "../../tests/support/node.ts";

export const PASSWORD = "correct horse battery";
export const CLIENT: ClientInfo = { address: "192.0.2.7", device: "Firefox" };

/** Calls on behalf of people at a node with the group users. */
export class People {
	readonly #node: TestNode;

	constructor(node: TestNode) {
		this.#node = node;
	}

	sql<Row extends object>(text: string, bind: readonly unknown[] = []): Promise<Row[]> {
		return this.#node.runtime.database("users").query<Row>(text, bind);
	}

	login(login: string, password = PASSWORD): Promise<Tokens> {
		return this.#node.broker.call(
			"auth.login",
			{ login, password },
			{ meta: { client: CLIENT } }
		) as Promise<Tokens>;
	}

	async identityOf({ accessToken }: Tokens): Promise<Identity> {
		return verifyAccessToken(accessToken, await this.#node.call("auth.keys", {}));
	}

	/** Somebody who has registered and signed in. */
	async signedIn() {
		const username = `u${randomBytes(6).toString("hex")}`;
		const who = { email: `${username}@example.com`, username, password: PASSWORD };
		const user = await this.#node.call("auth.register", who);
		const tokens = await this.login(who.email);
		return { who, user, tokens, identity: await this.identityOf(tokens) };
	}

	/** The secret of the newest link of a kind that this user is sent. */
	async linkOf(userId: string, type: string): Promise<string | null> {
		const facts = await this.#node.recorded("users", type);
		const data = facts
			.map(fact => fact.data as { userId: string; tokenId: string })
			.findLast(fact => fact.userId === userId);
		return data ? this.#node.call("emails.token", { tokenId: data.tokenId }) : null;
	}

	/** Types of what was told of this user, oldest first. */
	async factsOf(userId: string): Promise<string[]> {
		return (await this.#node.recorded("users"))
			.filter(({ data }) => (data as { userId?: string }).userId === userId)
			.map(({ type }) => type);
	}

	/** What this user reads of the own security, newest first. */
	async historyOf(identity: Identity): Promise<string[]> {
		const { items } = await this.#node.call("audit.mine", { limit: 100 }, identity);
		return items.map(({ type }) => type);
	}
}
