import { relyingPartyOf } from "./relying-party.ts";

const base = { CORS_ORIGINS: "" };

describe("whom passkeys are for", () => {
	it.each([
		[{}, "localhost", ["http://localhost:3000"]],
		[{ PUBLIC_URL: "http://0.0.0.0:8080" }, "localhost", ["http://localhost:8080"]],
		[{ PUBLIC_URL: "http://[::1]:8080" }, "localhost", ["http://localhost:8080"]],
		[{ PUBLIC_URL: "http://127.0.0.1:8080" }, "localhost", ["http://localhost:8080"]],
		[{ PUBLIC_URL: "https://api.example.com/" }, "api.example.com", ["https://api.example.com"]],
		[
			{
				PUBLIC_URL: "https://api.example.com",
				PASSKEY_DOMAIN: "example.com",
				CORS_ORIGINS:
					"https://app.example.com,https://example.com,http://app.example.com,https://evilexample.com,https://example.com.evil.test,https://api.example.com"
			},
			"example.com",
			["https://api.example.com", "https://app.example.com", "https://example.com"]
		],
		[
			{ CORS_ORIGINS: "http://localhost:5173,https://app.example.com" },
			"localhost",
			["http://localhost:3000", "http://localhost:5173"]
		]
	])("is, with %j, the domain %s and its pages", (given, id, origins) => {
		expect(relyingPartyOf({ ...base, ...given }, 3000)).toEqual({ id, origins });
	});

	it.each([
		{ PUBLIC_URL: "http://192.0.2.7" },
		{ PUBLIC_URL: "https://192.0.2.7" },
		{ PUBLIC_URL: "https://[2001:db8::7]" },
		{ PUBLIC_URL: "http://api.example.com" }
	])("is nobody where no browser would have it: %j", given => {
		expect(relyingPartyOf({ ...base, ...given }, 3000)).toBeUndefined();
	});

	it.each(["evil.test", "xample.com", "other.example.com", "b.example.com.evil.test"])(
		"cannot be a domain that the address is not in: %s",
		PASSKEY_DOMAIN => {
			const given = { PUBLIC_URL: "https://api.example.com", PASSKEY_DOMAIN };
			expect(() => relyingPartyOf({ ...base, ...given }, 3000)).toThrow(/PASSKEY_DOMAIN/);
		}
	);
});
