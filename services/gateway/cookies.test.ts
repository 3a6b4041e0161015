import fc from "fast-check";
import { cookieName, cookieOf, cookieText } from "./cookies.ts";

const COOKIE = { name: "valence-x", field: "x", maxAge: 600 };

describe("a cookie", () => {
	it("is for the browser that got it, and for no script", () => {
		expect(cookieText(COOKIE, "v", false)).toBe(
			"valence-x=v; Max-Age=600; Path=/; HttpOnly; SameSite=Lax"
		);
	});

	it("is bound to this host by its name where clients reach us by https", () => {
		expect(cookieText(COOKIE, "v", true)).toBe(
			"__Host-valence-x=v; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure"
		);
		// What a neighbouring host has set cannot have this name.
		expect(cookieOf(["valence-x=v"], cookieName("valence-x", true))).toBeUndefined();
	});

	it.each<[string, string[] | undefined, string | undefined]>([
		["alone", ["x=1"], "1"],
		["among others", ["a=b;  x=1; xx=2; y=x=3"], "1"],
		["in several headers", ["a=b", "x=1"], "1"],
		["empty", ["x="], ""],
		["with another sign of equality", ["x=1=2"], "1=2"],
		["not at all", ["a=b"], undefined],
		["without cookies", undefined, undefined],
		["without a value", ["x"], undefined],
		["of another case", ["X=1"], undefined],
		["twice", ["x=1; x=2"], undefined],
		["twice, in two headers", ["x=1", "x=1"], undefined],
		["with a percent sign that encodes nothing", ["x=%zz"], undefined]
	])("is found %s", (_, headers, expected) => {
		expect(cookieOf(headers, "x")).toBe(expected);
	});

	it("comes back as it was, whatever is in it", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary" }), value => {
				fc.pre(value.isWellFormed());
				const text = cookieText(COOKIE, value, true);
				expect(text).toMatch(/^[\x20-\x7e]+$/);
				const [pair] = text.split(";", 1);
				expect(cookieOf([`a=b; ${pair}; c=d`], cookieName("valence-x", true))).toBe(value);
			})
		);
	});
});
