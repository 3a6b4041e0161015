import { randomUUID } from "node:crypto";
import type { Events } from "../../contracts/index.ts";
import { GROUPS } from "../../lib/config.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";

describe("the copy of users", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(GROUPS);
	}, 60_000);
	afterAll(() => node.stop());

	const created = async (username: string): Promise<Events["user.created.v1"]> => {
		const userId = randomUUID();
		const user = { userId, email: `${username}@example.com`, username, name: null };
		await node.runtime
			.database("users")
			.transaction(async tx => tx.record("user.created.v1", { id: userId, version: 1 }, user));
		await node.settled("users");
		return user;
	};
	const recipients = () =>
		node.runtime
			.database("notifications")
			.query(`SELECT user_id AS "userId", email, username, name FROM recipient ORDER BY username`);

	it("follows their events, and is made anew from them", async () => {
		const users = [await created("ada"), await created("bob")];
		expect(await recipients()).toEqual(users);
		await node.runtime.database("notifications").query("UPDATE recipient SET email = 'lost'");
		const rebuilt = await node.call("notifications-events.rebuild", {
			projection: "recipients",
			by: "ada"
		});
		expect(rebuilt).toMatchObject({ consumer: "recipients", events: 2 });
		expect(await recipients()).toEqual(users);
	});

	it("knows how somebody is called now", async () => {
		const { userId } = await created("fay");
		await node.runtime
			.database("users")
			.transaction(async tx =>
				tx.record(
					"user.updated.v1",
					{ id: userId, version: 2 },
					{ userId, username: "fay2", name: "Fay" }
				)
			);
		await node.settled("users");
		expect(await recipients()).toContainEqual({
			userId,
			email: "fay@example.com",
			username: "fay2",
			name: "Fay"
		});
	});

	it("is not needed for a welcome, which tells what the event tells", async () => {
		const { userId } = await created("eve");
		const db = node.runtime.database("notifications");
		expect(
			await db.query("SELECT recipient FROM message WHERE kind = 'welcome' AND user_id = $1", [
				userId
			])
		).toEqual([{ recipient: "eve@example.com" }]);
	});
});
