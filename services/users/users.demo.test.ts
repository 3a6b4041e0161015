import { createSigningKeys } from "../../lib/signing-keys.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { loadDemoUsers } from "./users.demo.ts";

const PASSWORD = "valence-demo-2026";

describe("the demo log-ins", () => {
	let node: TestNode;
	const load = () => loadDemoUsers(node.runtime.database("users"), PASSWORD);
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());

	it("are one of each role, and told as any other registration", async () => {
		expect(await load()).toBe(3);
		for (const role of ["admin", "staff", "customer"]) {
			const { user } = await node.call("auth.login", {
				login: `${role}@valence.test`,
				password: PASSWORD
			});
			expect(user).toMatchObject({ username: role, roles: [role], emailVerified: true });
		}
		expect(await node.recorded("users", "user.created.v1")).toHaveLength(3);
	});

	it("are made once, and made again where one is missing", async () => {
		expect(await load()).toBe(0);
		await node.runtime.database("users").query("DELETE FROM users WHERE username = 'staff'");
		expect(await load()).toBe(1);
	});
});
