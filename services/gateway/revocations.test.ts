import { ACCESS_TOKEN_SECONDS, CLOCK_TOLERANCE_SECONDS } from "../../lib/access-token.ts";
import { Revocations } from "./revocations.ts";

describe("revocations", () => {
	it("are kept until no token of the session is taken any more, and no longer", () => {
		const revocations = new Revocations();
		const end = Date.parse("2026-01-01T00:15:00Z");
		revocations.add({ sessionId: "a", until: new Date(end).toISOString() });
		revocations.prune(end + CLOCK_TOLERANCE_SECONDS * 1_000);
		expect([revocations.has("a"), revocations.has("b")]).toEqual([true, false]);
		revocations.prune(end + ACCESS_TOKEN_SECONDS * 1_000);
		expect(revocations.has("a")).toBe(false);
	});
});
