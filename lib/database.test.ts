import { createSigningKeys } from "./signing-keys.ts";
import { somebody, startTestNode, type TestNode } from "../tests/support/node.ts";

describe("a node", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());
	it("answers", async () => {
		expect(await node.call("users-events.status", {}, somebody())).toMatchObject({
			database: "up",
			unpublished: 0
		});
	});
});
