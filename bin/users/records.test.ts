import fc from "fast-check";
import { Reader, usernameOf, type Read, type ReadOptions } from "./records.ts";

const reading = (header: string, options?: ReadOptions) => {
	const reader = new Reader(header.split(","), options);
	let line = 1;
	return (text: string): Read => reader.read({ line: ++line, cells: text.split(","), text });
};
const problems = (read: Read): readonly string[] => ("problems" in read ? read.problems : []);

describe("a record", () => {
	it("tells all that can be told of a user", () => {
		const read = reading(
			" Email ,username,name,password_hash,roles,email_verified,phone,locale,time_zone,created_at"
		);
		expect(
			read(
				"ada@example.com,ada,Ada,$2b$…,customer staff|admin,true,+44 20 7946 0000,en-GB,Europe/London,2020-01-01T00:00:00Z"
			)
		).toEqual({
			user: {
				email: "ada@example.com",
				username: "ada",
				name: "Ada",
				passwordHash: "$2b$…",
				roles: ["customer", "staff", "admin"],
				emailVerified: true,
				phone: "+44 20 7946 0000",
				locale: "en-GB",
				timeZone: "Europe/London",
				createdAt: "2020-01-01T00:00:00Z"
			}
		});
		expect(read("bob@example.com,bob,,,,,,,,")).toEqual({
			user: { email: "bob@example.com", username: "bob" }
		});
	});

	it.each([
		["email", "ada", 'email must match format "email"'],
		[
			"username",
			"a",
			"username must be: 3 to 32 letters, digits, dots, dashes and underscores; letter or digit at both ends"
		],
		["email", "", "email is required"],
		["roles", "boss", "roles must be equal to one of the allowed values"],
		[
			"roles",
			"staff staff",
			"roles must NOT have duplicate items (items ## 0 and 1 are identical)"
		],
		["email_verified", "yes", "email_verified must be boolean"],
		["created_at", "yesterday", 'created_at must match format "date-time"'],
		["name", "x".repeat(201), "name must NOT have more than 200 characters"],
		["name", "caf\ufffd", "is not in UTF-8"]
	])("is rejected where its %s is %j", (column, cell, problem) => {
		const good = { email: "ada@example.com", username: "ada", [column]: cell };
		const read = reading(Object.keys(good).join(","));
		expect(problems(read(Object.values(good).join(",")))).toEqual([problem]);
	});

	it("is rejected where it has another number of cells than the header", () => {
		const read = reading("email,username");
		expect(problems(read("ada@example.com"))).toEqual(["has 1 cells, the header 2"]);
		expect(problems(read("ada@example.com,ada,"))).toEqual(["has 3 cells, the header 2"]);
	});

	it("is rejected where an earlier one has its address or username, however it is written", () => {
		const read = reading("email,username");
		read("ada@example.com,ada");
		expect(problems(read("ADA@example.com,other"))).toEqual(["email is the same as in line 2"]);
		expect(problems(read("bob@example.com,ADA"))).toEqual(["username is the same as in line 2"]);
		// What was rejected is no reason to reject another.
		expect(problems(read("bob@example.com,other"))).toEqual([]);
	});
});

describe("the header", () => {
	it.each([
		[
			"email,username,pasword",
			/not known: "pasword"\. Known are email, username, name, password_hash,/
		],
		["email,username,constructor", /not known: "constructor"/],
		["email,username,Email", /names email twice/],
		["username", /does not name email/],
		["email", /does not name username.*--derive-usernames/]
	])("may not be %j", (header, message) => {
		expect(() => reading(header)).toThrow(message);
	});
});

describe("a username that is made of an address", () => {
	it("is one where it is missing, and the same at each run", () => {
		const read = reading("email,username", { deriveUsernames: true });
		expect(read("Ada.Lovelace@example.com,")).toEqual({
			user: { email: "Ada.Lovelace@example.com", username: usernameOf("ada.lovelace@example.com") }
		});
		expect(usernameOf("Ada.Lovelace@example.com")).toMatch(/^ada\.lovelace-[0-9a-f]{6}$/);
		expect(read("bob@example.com,bob")).toMatchObject({ user: { username: "bob" } });
		expect(usernameOf("info@a.example")).not.toBe(usernameOf("info@b.example"));
	});

	it("is a good one, whatever the address", () => {
		fc.assert(
			fc.property(fc.emailAddress(), email => {
				const read = reading("email", { deriveUsernames: true })(email);
				// Addresses that are none to us are not the point here.
				expect(problems(read).filter(problem => problem.startsWith("username"))).toEqual([]);
			})
		);
	});
});
