import { COMMON_PASSWORDS } from "./common-passwords.ts";
import { isCommonPassword, normalizeLogin } from "./user.ts";

describe("a login", () => {
	it.each([
		["Ada@Example.COM", "ada@example.com"],
		["  ada@example.com ", "ada@example.com"],
		// Full-width letters, as some input methods write them.
		["ａｄａ＠example.com", "ada@example.com"],
		["ADA", "ada"]
	])("%j is compared as %j", (login, normalized) => {
		expect(normalizeLogin(login)).toBe(normalized);
	});

	it("keeps dots and plus parts", () => {
		expect(normalizeLogin("a.d.a+shop@example.com")).toBe("a.d.a+shop@example.com");
	});

	it("is in its form once and for all", () => {
		for (const login of ["Ada@Example.COM", "ÅNGSTRÖM@example.com", "ﬁ@example.com"])
			expect(normalizeLogin(normalizeLogin(login))).toBe(normalizeLogin(login));
	});
});

describe("a password", () => {
	it("is refused where it is common, in whatever case", () => {
		for (const password of ["password1", "PassWord1", "12345678", " qwertyuiop", "iloveyou"])
			expect(isCommonPassword(password)).toBe(true);
		expect(isCommonPassword("correct horse battery")).toBe(false);
	});

	it("could be each of the common ones: eight characters, lower case", () => {
		expect(COMMON_PASSWORDS.size).toBeGreaterThanOrEqual(100);
		for (const password of COMMON_PASSWORDS) {
			expect(password.length).toBeGreaterThanOrEqual(8);
			expect(password).toBe(normalizeLogin(password));
		}
	});
});
