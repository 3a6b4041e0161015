import { databaseUrl } from "../../lib/config.ts";
import { migrate, migrationNames, migrationStatus, rollback } from "../../lib/migrations.ts";
import { testConfig } from "../../tests/support/node.ts";

describe("the catalog's migrations", () => {
	it("can all be taken back, and applied again", async () => {
		const url = databaseUrl(testConfig(), "catalog");
		const names = migrationNames("catalog");
		expect(await migrate("catalog", url)).toEqual(names);
		expect(await rollback("catalog", url, names.length)).toEqual(names.toReversed());
		expect(await migrationStatus("catalog", url)).toEqual({
			applied: [],
			pending: names,
			unknown: []
		});
		expect(await migrate("catalog", url)).toEqual(names);
	});
});
