import { randomUUID } from "node:crypto";
import { databaseUrl } from "../../lib/config.ts";
import { Database } from "../../lib/database.ts";
import { migrate, migrationNames, migrationStatus, rollback } from "../../lib/migrations.ts";
import { testConfig } from "../../tests/support/node.ts";

describe("the schema of the group notifications", () => {
	const newUrl = () => databaseUrl(testConfig(), "notifications");

	it("can be taken back and made again", async () => {
		const url = newUrl();
		const names = migrationNames("notifications");
		expect(await migrate("notifications", url)).toEqual(names);
		expect(await rollback("notifications", url, names.length)).toEqual(names.toReversed());
		expect((await migrationStatus("notifications", url)).pending).toEqual(names);
		expect(await migrate("notifications", url)).toEqual(names);
	});

	it("lets `recipients` go on where the copy of users stands", async () => {
		const url = newUrl();
		const names = migrationNames("notifications");
		await migrate("notifications", url);
		await rollback("notifications", url, names.length - names.indexOf("0004-recipients"));
		const db = new Database("notifications", url);
		const id = randomUUID();
		await db.query(
			"INSERT INTO recipient (user_id, email, username) VALUES ($1, 'ada@example.com', 'ada')",
			[id]
		);
		await migrate("notifications", url);
		expect(
			await db.query("SELECT consumer, aggregate_type, aggregate_id, version FROM inbox_cursor")
		).toEqual([{ consumer: "recipients", aggregate_type: "user", aggregate_id: id, version: 1 }]);
		await db.close();
	});
});
