import { Errors } from "moleculer";
import { contract } from "./contract.ts";
import { commonFailure, failure, isFailure } from "./failure.ts";

const shop = contract({
	name: "shop",
	actions: {},
	events: {},
	failures: {
		CLOSED: { status: 409, message: "The shop is closed." },
		NOT_FOUND: { status: 410, message: "It is gone for good." }
	}
});

describe("a failure", () => {
	it("carries its code, its status and its sentence", () => {
		expect(failure(shop, "CLOSED")).toMatchObject({
			type: "CLOSED",
			code: 409,
			message: "The shop is closed."
		});
	});

	it("tells more where there is more to tell", () => {
		const errors = [{ field: "day", code: "closed", message: "is a holiday" }];
		const error = failure(shop, "CLOSED", { detail: "It is Sunday.", errors });
		expect(error.message).toBe("It is Sunday.");
		expect(error.data).toMatchObject({ errors });
	});

	it("may be one of the common ones without being declared, unless the contract says it its own way", () => {
		expect(failure(shop, "FORBIDDEN").code).toBe(403);
		expect(commonFailure("NOT_FOUND").code).toBe(404);
		expect(failure(shop, "NOT_FOUND").code).toBe(410);
	});

	it("is not tried again by the broker", () => {
		const error = failure(shop, "CLOSED");
		expect(error).toBeInstanceOf(Errors.MoleculerClientError);
		expect(error.retryable).toBe(false);
	});

	it("is known again after it came from another node", () => {
		const { name, message, code, type, data } = failure(shop, "CLOSED");
		const arrived = new Errors.Regenerator().restore(
			JSON.parse(JSON.stringify({ name, message, code, type, data })) as never,
			{} as never
		);
		expect(isFailure(arrived, "CLOSED")).toBe(true);
		expect(arrived).toMatchObject({ code: 409 });
	});

	it("is not any error, and no other failure", () => {
		expect(isFailure(failure(shop, "CLOSED"), "NOT_FOUND")).toBe(false);
		expect(isFailure(new Error("CLOSED"), "CLOSED")).toBe(false);
		expect(isFailure({ type: "CLOSED" }, "CLOSED")).toBe(false);
		expect(isFailure(undefined, "CLOSED")).toBe(false);
	});
});
