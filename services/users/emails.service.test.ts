import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { People } from "./accounts.fixtures.ts";

const REQUESTED = "user.email-verification-requested.v1";

describe("e-mail addresses", () => {
	let node: TestNode;
	let people: People;
	beforeAll(async () => {
		node = await startTestNode(["users"]);
		people = new People(node);
	});
	afterAll(() => node.stop());

	const verify = (token: string) => node.call("emails.verify", { token });
	const invalid = { type: "INVALID_TOKEN", code: 422 };

	it("are confirmed by the link, once", async () => {
		const { user, identity } = await people.signedIn();
		const link = (await people.linkOf(user.id, REQUESTED))!;
		expect(await verify(link)).toBeNull();
		expect(await node.call("users.me", {}, identity)).toMatchObject({
			emailVerified: true,
			version: 2
		});
		await expect(verify(link)).rejects.toMatchObject(invalid);
		expect(await people.linkOf(user.id, REQUESTED)).toBeNull();
		expect(await people.factsOf(user.id)).toEqual([
			"user.created.v1",
			REQUESTED,
			"user.authenticated.v1",
			"user.email-verified.v1"
		]);
		await expect(node.call("emails.requestVerification", {}, identity)).rejects.toMatchObject({
			type: "EMAIL_ALREADY_VERIFIED",
			code: 409
		});
	});

	it("get another mail on request; the link before does not work any more", async () => {
		const { user, identity } = await people.signedIn();
		const first = (await people.linkOf(user.id, REQUESTED))!;
		expect(await node.call("emails.requestVerification", {}, identity)).toEqual({
			status: "accepted"
		});
		await expect(verify(first)).rejects.toMatchObject(invalid);
		expect(await verify((await people.linkOf(user.id, REQUESTED))!)).toBeNull();
	});

	it("are not confirmed by a link that nobody made", async () => {
		await expect(verify("A".repeat(43))).rejects.toMatchObject(invalid);
	});
});
