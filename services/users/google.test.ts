import { createHash } from "node:crypto";
import fc from "fast-check";
import { Username } from "../../contracts/users.ts";
import { createAjv } from "../../lib/validator.ts";
import {
	isProvenBy,
	issuerOf,
	personOf,
	returnAddress,
	usernameOf,
	usernameWith
} from "./google.ts";

const HERE = new URL("https://api.example.com/shop");
const APP = "https://app.example.com";
const back = (returnTo: string) => returnAddress(returnTo, HERE, new Set([APP]));

describe("an address to come back to", () => {
	it.each([
		["/", "https://api.example.com/"],
		["/docs?a=b", "https://api.example.com/docs?a=b"],
		["/..//evil.com", "https://api.example.com//evil.com"],
		["/a//b", "https://api.example.com/a//b"],
		[`${APP}/signed-in`, `${APP}/signed-in`],
		[APP, `${APP}/`],
		["HTTPS://APP.example.com:443/x", `${APP}/x`],
		["https://api.example.com/x", "https://api.example.com/x"]
	])("may be %s", (returnTo, expected) => {
		expect(back(returnTo)).toBe(expected);
	});

	it.each([
		"//evil.com",
		"///evil.com",
		"/\\evil.com",
		"\\\\evil.com",
		"/\t/evil.com",
		"/\n/evil.com",
		" /x",
		"https://evil.com",
		"https://app.example.com.evil.com",
		"https://app.example.com@evil.com/",
		"https://me@app.example.com/",
		"https://me:pw@app.example.com/",
		"https://app.example.com:8443/",
		"http://app.example.com/",
		"https:/app.example.com",
		"https:app.example.com",
		"https:///app.example.com",
		"blob:https://app.example.com/1",
		"javascript:alert(1)",
		"data:text/html,x",
		"app.example.com",
		"",
		"/x#y",
		"/\u0000",
		"/\ud800"
	])("may not be %j", returnTo => {
		expect(back(returnTo)).toBeUndefined();
	});

	it("never leads elsewhere, however it is written", () => {
		const piece = fc.constantFrom(
			"/",
			"//",
			"\\",
			"@",
			":",
			"?",
			".",
			"%2f",
			"\t",
			"\n",
			" ",
			"https:",
			"http:",
			"blob:",
			"javascript:",
			"evil.com",
			"app.example.com",
			"api.example.com",
			"[",
			"]",
			"。",
			"\u0000"
		);
		const text = fc.oneof(
			fc.webUrl(),
			fc.array(piece, { maxLength: 8 }).map(all => all.join(""))
		);
		fc.assert(
			fc.property(text, returnTo => {
				const address = back(returnTo);
				if (address === undefined) return;
				// As a browser would read it on a page of ours, or behind `Location`.
				for (const url of [new URL(address), new URL(returnTo, HERE)])
					expect([HERE.origin, APP]).toContain(url.origin);
				expect(address).toMatch(/^https:\/\/(?:api|app)\.example\.com\/[\x21-\x7e]*$/);
			}),
			{ numRuns: 5_000 }
		);
	});
});

describe("somebody who is new", () => {
	it.each([
		["Ada Lovelace", "x@example.com", "ada.lovelace"],
		["Zoë Müller-Lüdenscheidt", "x@example.com", "zoe.muller-ludenscheidt"],
		["李", "li.wei@example.com", "li.wei"],
		[null, "Ada_L@example.com", "ada_l"],
		["..", "a@example.com", "user"],
		["A name that goes on and on and on for ever", "x@y.z", "a.name.that.goes.on.and.on.and.o"]
	])("called %s, of %s, becomes %s", (name, email, username) => {
		expect(usernameOf({ name, email })).toBe(username);
	});

	it("always gets a username that the contract allows", () => {
		const isUsername = createAjv().compile(Username);
		const anything = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constant(null));
		const suffix = fc.stringMatching(/^[0-9a-f]{1,10}$/);
		fc.assert(
			fc.property(anything, anything, suffix, (name, email, behind) => {
				const username = usernameOf({ name, email });
				expect([username, isUsername(username)]).toEqual([username, true]);
				const another = usernameWith(username, behind);
				expect([another, isUsername(another)]).toEqual([another, true]);
				expect(another).not.toBe(username);
			})
		);
	});

	it("is who the claims say, where they say what they should", () => {
		const claims = { sub: "1", email: "ada@example.com", email_verified: true, name: "Ada" };
		expect(personOf("https://id.example.com/", claims)).toEqual({
			issuer: "https://id.example.com",
			subject: "1",
			email: "ada@example.com",
			emailVerified: true,
			name: "Ada"
		});
		const nobody = { email: null, emailVerified: false, name: null };
		for (const odd of [
			{},
			{ email: 1, email_verified: "true", name: {} },
			{ email: "ada", email_verified: 1, name: "" },
			{ email: `${"a".repeat(250)}@example.com`, name: "Ada\u0000" },
			{ email: "ada@example.com\r\nbcc:", name: "A".repeat(201) }
		])
			expect(personOf("https://id.example.com", { sub: "1", ...odd })).toMatchObject(nobody);
	});

	it("is known by the issuer, with or without a slash at its end", () => {
		expect(issuerOf("https://accounts.google.com/")).toBe(issuerOf("https://accounts.google.com"));
		expect(issuerOf("https://ID.example.com/realms/a")).toBe("https://id.example.com/realms/a");
		expect(issuerOf("https://id.example.com/realms/a")).not.toBe(
			issuerOf("https://id.example.com/realms/A")
		);
	});
});

describe("a client that began", () => {
	const challengeOf = (verifier: string) =>
		createHash("sha256").update(verifier).digest("base64url");

	it("proves it by the verifier alone", () => {
		// The example of RFC 7636, appendix B.
		const [verifier, challenge] = [
			"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
			"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
		];
		expect(challengeOf(verifier)).toBe(challenge);
		expect(isProvenBy(challenge, verifier)).toBe(true);
		expect(isProvenBy(challenge, challenge)).toBe(false);
		expect(isProvenBy(challenge, undefined)).toBe(false);
		expect(isProvenBy(null, undefined)).toBe(true);
		// Somebody took the challenge out.
		expect(isProvenBy(null, verifier)).toBe(false);
	});
});
