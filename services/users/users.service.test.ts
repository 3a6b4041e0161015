import { users } from "../../contracts/users.ts";
import { createSigningKeys } from "../../lib/signing-keys.ts";
import { somebody, startTestNode, type TestNode } from "../../tests/support/node.ts";

describe("users", () => {
	let node: TestNode;
	beforeAll(async () => {
		node = await startTestNode(["users"], { env: { AUTH_KEYS: await createSigningKeys() } });
	});
	afterAll(() => node.stop());

	it("tells somebody about themselves, and about nobody else", async () => {
		const register = (username: string) =>
			node.call("auth.register", {
				email: `${username}@example.com`,
				username,
				password: "correct horse"
			});
		const [ada] = [await register("ada"), await register("bob")];
		expect(await node.call("users.me", {}, { ...somebody(), id: ada.id })).toEqual(ada);
	});

	it("asks for a sign-in where there is none, or where its account is gone", async () => {
		await expect(node.call("users.me", {})).rejects.toMatchObject({ type: "UNAUTHENTICATED" });
		await expect(node.call("users.me", {}, somebody())).rejects.toMatchObject({
			type: "UNAUTHENTICATED"
		});
	});

	it("has no other action", () => {
		const names = node.broker.registry.actions
			.list({ onlyLocal: true })
			.map(({ name }: { name: string }) => name)
			.filter((name: string) => name.startsWith("users."));
		expect(names).toEqual(Object.keys(users.actions).map(name => `users.${name}`));
	});
});
