import { Type } from "typebox";
import { Id, Params } from "../contracts/common.ts";
import { contract } from "./contract.ts";
import { implement } from "./service.ts";

const things = contract({
	name: "things",
	failures: { BROKEN: { status: 409, message: "It is broken." } },
	actions: {
		get: {
			summary: "Read a thing",
			description: "Any thing.",
			access: "user",
			rest: { route: "GET /things/:id", tag: "Things" },
			idempotent: true,
			params: Params({ id: Id, other: Id }),
			result: Type.Object({ id: Id, owner: Id }),
			failures: ["BROKEN", "NOT_FOUND"]
		},
		count: { summary: "Count", access: "internal", params: Params({}), result: Type.Integer() }
	},
	events: {}
});
const unused = async () => {
	throw new Error("It is not called.");
};
const { actions } = implement(things)({ actions: { get: unused, count: unused } });
const get = actions!["get"] as Record<string, unknown>;

describe("what other nodes are told of an action", () => {
	it("is all that a gateway needs to lead to it", () => {
		expect(JSON.parse(JSON.stringify(get))).toEqual({
			summary: "Read a thing",
			description: "Any thing.",
			access: "user",
			visibility: "published",
			route: { route: "GET /things/:id", tag: "Things" },
			params: JSON.parse(JSON.stringify(things.actions.get.params)),
			result: JSON.parse(JSON.stringify(things.actions.get.result)),
			failures: {
				BROKEN: { status: 409, message: "It is broken." },
				NOT_FOUND: { status: 404, message: expect.any(String) }
			},
			idempotent: true,
			retryPolicy: { enabled: true }
		});
		expect(actions!["count"]).not.toHaveProperty("route");
	});

	it("has nothing in it twice: Moleculer would leave the second one out", () => {
		const seen = new Set<object>();
		const visit = (value: unknown): void => {
			if (typeof value !== "object" || value === null) return;
			expect(seen.has(value)).toBe(false);
			seen.add(value);
			Object.values(value).forEach(visit);
		};
		visit(get);
		expect(seen.size).toBeGreaterThan(10);
	});
});
