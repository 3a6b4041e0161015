import { Type } from "typebox";
import { allContracts } from "../../contracts/index.ts";
import { contract } from "../../lib/contract.ts";
import { errorCatalogue, errorsDocument } from "./error-catalogue.ts";
import { gateway } from "./problem.ts";
import { routesOf } from "./routes.ts";

const nothing = { params: Type.Object({}), result: Type.Null() };
const shop = contract({
	name: "shop",
	failures: {
		SHUT: { status: 409, message: "It is shut." },
		LOST: { status: 409, message: "It is lost." }
	},
	actions: {
		buy: {
			...nothing,
			summary: "",
			access: "staff",
			rest: { route: "POST /buy", tag: "" },
			failures: ["SHUT"]
		},
		look: { ...nothing, summary: "", access: "public", rest: { route: "GET /look", tag: "" } }
	},
	events: {}
});
const hut = contract({
	name: "hut",
	failures: { SHUT: { status: 409, message: "Nobody is in." } },
	actions: {},
	events: {}
});
const of = (code: string) => errorCatalogue([shop, hut]).find(explained => explained.code === code);

describe("the catalogue of errors", () => {
	it("says what a code means, and which routes answer it", () => {
		expect(of("SHUT")).toEqual({
			code: "SHUT",
			status: 409,
			title: "Shut",
			messages: ["It is shut.", "Nobody is in."],
			routes: ["POST /api/v1/buy"]
		});
		expect(of("LOST")!.routes).toEqual([]);
		expect(of("FORBIDDEN")!.routes).toEqual(["POST /api/v1/buy"]);
		expect(of("VALIDATION_ERROR")!.routes).toEqual(["POST /api/v1/buy", "GET /api/v1/look"]);
	});

	it("has every code that there is, once, by status", () => {
		const catalogue = errorCatalogue(allContracts);
		const codes = catalogue.map(({ code }) => code);
		expect(new Set(codes).size).toBe(codes.length);
		expect(codes).toEqual(
			expect.arrayContaining([
				...allContracts.flatMap(({ failures }) => Object.keys(failures)),
				...Object.keys(gateway.failures)
			])
		);
		const statuses = catalogue.map(({ status }) => status);
		expect(statuses).toEqual([...statuses].sort((a, b) => a - b));
		const count = routesOf(allContracts).length;
		expect(catalogue.find(({ code }) => code === "INTERNAL")!.routes).toHaveLength(count);
	});

	it("is a table to be read", () => {
		const rows = errorsDocument([shop, hut]).split("\n");
		expect(rows).toContain("| 409 | `SHUT` | It is shut. · Nobody is in. | `POST /api/v1/buy` |");
		expect(rows).toContain("| 409 | `LOST` | It is lost. | – |");
		expect(rows).toContain(
			"| 500 | `INTERNAL` | Something went wrong on our side. | every route |"
		);
	});
});
