/** What happens at the same moment to one account. */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { GROUPS } from "../../lib/config.ts";
import { isFailure } from "../../lib/failure.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import { People, PASSWORD } from "./accounts.fixtures.ts";

const NEW = "another horse battery";
type Person = Awaited<ReturnType<People["signedIn"]>>;

describe("at the same moment", () => {
	let node: TestNode;
	let people: People;
	beforeAll(async () => {
		node = await startTestNode(GROUPS);
		people = new People(node);
	}, 60_000);
	afterAll(() => node.stop());

	const resetLinkOf = async ({ user }: Person): Promise<string> => {
		await node.call("passwords.forgot", { email: user.email });
		let link: string | null = null;
		await until(async () => {
			link = await people.linkOf(user.id, "user.password-reset-requested.v1");
			return link !== null;
		}, "a link");
		return link!;
	};
	/** Log-ins that begin one after the other, while something else goes on. */
	const logIns = ({ who }: Person) =>
		Array.from({ length: 6 }, async (_, n) => {
			await sleep(n * 6);
			return people.login(who.email);
		});
	/** How many of the log-ins that succeeded can still be used. */
	const survivors = async (attempts: Promise<{ refreshToken: string }>[]): Promise<number> => {
		let alive = 0;
		for (const attempt of await Promise.allSettled(attempts)) {
			if (attempt.status === "rejected") continue;
			const { refreshToken } = attempt.value;
			const refreshed = node.call("auth.refresh", { refreshToken });
			alive += await refreshed.then(
				() => 1,
				() => 0
			);
		}
		return alive;
	};

	it("no log-in by the old password outlives a reset", async () => {
		for (let n = 0; n < 3; n++) {
			const ada = await people.signedIn();
			const token = await resetLinkOf(ada);
			const attempts = logIns(ada);
			await node.call("passwords.reset", { token, password: NEW });
			expect(await survivors(attempts)).toBe(0);
		}
	});

	it("no log-in by the old password outlives a change", async () => {
		const ada = await people.signedIn();
		const attempts = logIns(ada);
		await node.call(
			"passwords.change",
			{ currentPassword: PASSWORD, newPassword: NEW },
			ada.identity
		);
		expect(await survivors(attempts)).toBe(0);
	});

	it("no token bears a role that was taken away before it was made", async () => {
		const [root, bob] = [await people.signedIn(), await people.signedIn()];
		await people.sql("UPDATE users SET roles = '{admin}' WHERE id = ANY ($1)", [
			[root.user.id, bob.user.id]
		]);
		const login = people.login(bob.who.email);
		await sleep(10);
		await node.call(
			"users.manage",
			{ id: bob.user.id, roles: ["customer"] },
			{ ...root.identity, roles: ["admin"] }
		);
		// Either it came too late to be signed in with, and was ended, or it knows the new role.
		const tokens = await login;
		const { roles } = await people.identityOf(tokens);
		const isAlive = (await survivors([Promise.resolve(tokens)])) > 0;
		expect([roles, isAlive]).not.toEqual([["admin"], true]);
	});

	it("a deletion and mails that are asked for wait for each other, and not in a circle", async () => {
		for (let n = 0; n < 5; n++) {
			const ada = await people.signedIn();
			const asked = Array.from({ length: 6 }, () =>
				node.call("emails.requestVerification", {}, ada.identity)
			);
			const deletion = node.call("deletions.request", { password: PASSWORD }, ada.identity);
			const outcomes = await Promise.allSettled([deletion, ...asked]);
			const errors = outcomes.flatMap(outcome =>
				outcome.status === "rejected" && !isFailure(outcome.reason, "EMAIL_ALREADY_VERIFIED")
					? [outcome.reason as unknown]
					: []
			);
			expect(errors).toEqual([]);
		}
	});

	it("a second factor that is turned off and a sign-in with it do not wait in a circle", async () => {
		const ada = await people.signedIn();
		const password = PASSWORD;
		await node.call("two-factor.enrol", { password }, ada.identity);
		await people.sql("UPDATE totp SET secret = pending, enabled_at = now() WHERE user_id = $1", [
			ada.user.id
		]);
		const outcomes = await Promise.allSettled([
			...logIns(ada),
			node.call("two-factor.renewRecoveryCodes", { password }, ada.identity),
			node.call("two-factor.disable", { password }, ada.identity),
			node.call("deletions.request", { password }, ada.identity)
		]);
		const codes = outcomes.flatMap(outcome =>
			outcome.status === "rejected" ? [(outcome.reason as { code?: number }).code] : []
		);
		// Refused is whoever comes too late; a deadlock would be a 500.
		expect(codes.filter(code => code === undefined || code >= 500)).toEqual([]);
	});
});

describe("whoever proves an address for the first time", () => {
	let node: TestNode;
	let people: People;
	beforeAll(async () => {
		node = await startTestNode(["users"]);
		people = new People(node);
	});
	afterAll(() => node.stop());

	/** Gives an account what a squatter would keep for later. */
	const keepWaysIn = async ({ user, identity }: Person) => {
		await people.sql(
			`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
			 VALUES ($1, $2, 'kept', $3, $4, 0, '{}', false)`,
			[randomUUID(), user.id, randomBytes(16).toString("base64url"), randomBytes(32)]
		);
		await people.sql(
			"INSERT INTO federated_identity (issuer, subject, user_id) VALUES ('https://id.example', $2, $1)",
			[user.id, randomUUID()]
		);
		await node.call("two-factor.enrol", { password: PASSWORD }, identity);
		await people.sql("UPDATE totp SET secret = pending, enabled_at = now() WHERE user_id = $1", [
			user.id
		]);
	};
	const waysInOf = async ({ user }: Person) =>
		(
			await people.sql(
				`SELECT (SELECT count(*)::int FROM passkey WHERE user_id = $1) AS passkeys,
				   (SELECT count(*)::int FROM federated_identity WHERE user_id = $1) AS identities,
				   (SELECT count(*)::int FROM totp WHERE user_id = $1) AS factors`,
				[user.id]
			)
		)[0];
	const reset = async ({ user }: Person) => {
		await node.call("passwords.forgot", { email: user.email });
		let token: string | null = null;
		await until(async () => {
			token = await people.linkOf(user.id, "user.password-reset-requested.v1");
			return token !== null;
		}, "a link");
		await node.call("passwords.reset", { token: token!, password: NEW });
	};

	it("by a reset, is alone in the account", async () => {
		const eve = await people.signedIn();
		await keepWaysIn(eve);
		await reset(eve);
		expect(await waysInOf(eve)).toEqual({ passkeys: 0, identities: 0, factors: 0 });
		const { tokens } = { tokens: await people.login(eve.who.email, NEW) };
		const history = await people.historyOf(await people.identityOf(tokens));
		expect(history).toEqual(
			expect.arrayContaining(["passkey-removed", "identity-unlinked", "two-factor-disabled"])
		);
		expect(await people.factsOf(eve.user.id)).toEqual(
			expect.arrayContaining([
				"user.passkey-removed.v1",
				"user.identity-unlinked.v1",
				"user.two-factor-disabled.v1"
			])
		);
	});

	it("keeps what is the own, once the address was proven", async () => {
		const ada = await people.signedIn();
		const link = await people.linkOf(ada.user.id, "user.email-verification-requested.v1");
		await node.call("emails.verify", { token: link! });
		await keepWaysIn(ada);
		await reset(ada);
		expect(await waysInOf(ada)).toEqual({ passkeys: 1, identities: 1, factors: 1 });
	});
});
