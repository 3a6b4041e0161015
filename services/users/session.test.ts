import { randomBytes } from "node:crypto";
import { hashOf, judge, newRefreshToken, REPEAT_SECONDS, successorOf } from "./session.ts";

const TOKEN = /^[A-Za-z0-9_-]{43}$/;

describe("a refresh token", () => {
	const secret = randomBytes(32);

	it("has one successor, which only the secret gives", () => {
		const token = newRefreshToken();
		const successor = successorOf(token, secret);
		expect(token).toMatch(TOKEN);
		expect(successor).toMatch(TOKEN);
		expect(successor).not.toBe(token);
		expect(successorOf(token, secret)).toBe(successor);
		expect(successorOf(token, randomBytes(32))).not.toBe(successor);
		expect(successorOf(newRefreshToken(), secret)).not.toBe(successor);
	});

	it("is kept as a hash of 256 bits", () => {
		expect(hashOf(newRefreshToken())).toHaveLength(32);
	});
});

describe("a refresh token that could not be rotated", () => {
	const alive = { alive: true, userStatus: "active" } as const;

	it.each([
		["was used a moment ago", { ...alive, usedSecondsAgo: 0.1 }, "repeated"],
		["was used just within the window", { ...alive, usedSecondsAgo: REPEAT_SECONDS }, "repeated"],
		["was used before the window", { ...alive, usedSecondsAgo: REPEAT_SECONDS + 0.1 }, "stolen"],
		[
			"was used before the window, of a disabled user",
			{ usedSecondsAgo: 60, alive: true, userStatus: "disabled" },
			"stolen"
		],
		[
			"was used a moment ago by a user disabled since",
			{ usedSecondsAgo: 1, alive: true, userStatus: "disabled" },
			"refused"
		],
		["is too old", { ...alive, usedSecondsAgo: null }, "refused"],
		[
			"belongs to a session that has ended",
			{ ...alive, alive: false, usedSecondsAgo: 1 },
			"refused"
		],
		[
			"was used long ago in a session that has ended",
			{ ...alive, alive: false, usedSecondsAgo: 60 },
			"refused"
		]
	] as const)("%s", (_, presented, verdict) => {
		expect(judge(presented)).toBe(verdict);
	});
});
