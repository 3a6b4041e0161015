import { preferencesOf } from "./preferences.ts";

const before = { locale: "en", timeZone: "UTC", currency: "EUR" };

describe("preferences", () => {
	it("stay where nothing is wished", () => {
		expect(preferencesOf(before, {})).toEqual(before);
	});

	it("are kept in canonical form", () => {
		expect(
			preferencesOf(before, { locale: "EN-gb", timeZone: "europe/london", currency: "GBP" })
		).toEqual({ locale: "en-GB", timeZone: "Europe/London", currency: "GBP" });
	});

	it("are refused where the standards do not know them, all at once and without their values", () => {
		const wish = { locale: "not a language", timeZone: "Mars/Olympus", currency: "ZZZ" };
		let refusal: unknown;
		try {
			preferencesOf(before, wish);
		} catch (error) {
			refusal = error;
		}
		expect(refusal).toMatchObject({
			type: "VALIDATION_ERROR",
			data: { errors: [{ field: "locale" }, { field: "timeZone" }, { field: "currency" }] }
		});
		expect(JSON.stringify(refusal)).not.toMatch(/Mars|ZZZ|not a language/);
	});

	it("takes no offset for a zone: it knows nothing of summer", () => {
		expect(() => preferencesOf(before, { timeZone: "+02:00" })).toThrow(/not valid/);
	});
});
