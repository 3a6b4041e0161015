import { databaseUrl } from "../../lib/config.ts";
import { migrate, migrationNames, migrationStatus, rollback } from "../../lib/migrations.ts";
import { testConfig } from "../../tests/support/node.ts";

describe("the schema of the group users", () => {
	it("can be taken back and made again", async () => {
		const url = databaseUrl(testConfig(), "users");
		const names = migrationNames("users");
		expect(await migrate("users", url)).toEqual(names);
		expect(await rollback("users", url, names.length)).toEqual(names.toReversed());
		expect((await migrationStatus("users", url)).pending).toEqual(names);
		expect(await migrate("users", url)).toEqual(names);
	});
});
