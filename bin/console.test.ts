import { table } from "./console.ts";

describe("a table", () => {
	it("puts texts at the left, numbers at the right and a dash for what is not there", () => {
		const rows = [
			["orders", 5, null],
			["users", 1200, "well"],
			["a", null, "ill"]
		];
		expect(table(["GROUP", "COUNT", "STATE"], rows)).toBe(
			[
				"GROUP   COUNT  STATE",
				"orders      5  –",
				"users    1200  well",
				"a           –  ill"
			].join("\n")
		);
	});

	it("is as wide as what is seen of a coloured text", () => {
		expect(table(["A", "B"], [["\u001b[31mred\u001b[39m", "x"]]).split("\n")[0]).toBe("A    B");
	});

	it("may be empty", () => {
		expect(table(["A", "B"], [])).toBe("A  B");
	});
});
