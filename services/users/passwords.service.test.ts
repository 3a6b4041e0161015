import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import { People, PASSWORD } from "./accounts.fixtures.ts";

const NEW = "another horse battery";
const RESET = "user.password-reset-requested.v1";

describe("passwords", () => {
	let node: TestNode;
	let people: People;
	beforeAll(async () => {
		node = await startTestNode(["users"]);
		people = new People(node);
	});
	afterAll(() => node.stop());

	/** Asks for a reset and answers the secret of the mailed link. */
	const forgot = async ({ user }: Awaited<ReturnType<People["signedIn"]>>): Promise<string> => {
		const before = await people.linkOf(user.id, RESET);
		await node.call("passwords.forgot", { email: user.email });
		let link: string | null = null;
		await until(async () => {
			link = await people.linkOf(user.id, RESET);
			return link !== null && link !== before;
		}, "another link");
		return link!;
	};
	const reset = (token: string, password = NEW) =>
		node.call("passwords.reset", { token, password });
	const invalid = { type: "INVALID_TOKEN", code: 422 };

	describe("forgotten", () => {
		it("are reset by the link, which ends all sessions and shows that the address is right", async () => {
			const ada = await people.signedIn();
			await reset(await forgot(ada));
			await expect(people.login(ada.who.email)).rejects.toMatchObject({
				type: "INVALID_CREDENTIALS"
			});
			const { user } = await people.login(ada.who.email, NEW);
			expect(user).toMatchObject({ id: ada.user.id, emailVerified: true });
			await expect(
				node.call("auth.refresh", { refreshToken: ada.tokens.refreshToken })
			).rejects.toMatchObject({ type: "INVALID_REFRESH_TOKEN" });
			expect(await people.factsOf(ada.user.id)).toEqual(
				expect.arrayContaining(["user.email-verified.v1", "user.password-changed.v1"])
			);
			const history = await people.historyOf(ada.identity);
			expect(history.slice(0, 4)).toEqual([
				"signed-in",
				"sign-in-failed",
				"password-reset",
				"password-reset-requested"
			]);
		});

		it("are reset once, however many use the link at once", async () => {
			const link = await forgot(await people.signedIn());
			const uses = Array.from({ length: 20 }, (_, n) => reset(link, `${NEW} ${n}`));
			const results = await Promise.allSettled(uses);
			const refused = results.filter(result => result.status === "rejected");
			expect(refused).toHaveLength(19);
			for (const { reason } of refused) expect(reason).toMatchObject(invalid);
		});

		it("takes the newest link alone, for half an hour, and for what it was made", async () => {
			const ada = await people.signedIn();
			const verification = (await people.linkOf(
				ada.user.id,
				"user.email-verification-requested.v1"
			))!;
			await expect(reset(verification)).rejects.toMatchObject(invalid);
			const first = await forgot(ada);
			const second = await forgot(ada);
			await expect(reset(first)).rejects.toMatchObject(invalid);
			await people.sql(
				"UPDATE one_time_token SET expires_at = expires_at - interval '30 minutes' WHERE user_id = $1",
				[ada.user.id]
			);
			await expect(reset(second)).rejects.toMatchObject(invalid);
			await people.sql(
				"UPDATE one_time_token SET expires_at = now() + interval '1 minute' WHERE user_id = $1",
				[ada.user.id]
			);
			expect(await reset(second)).toBeNull();
		});

		it("does not take a link to an address that is not the user's any more", async () => {
			const ada = await people.signedIn();
			const link = await forgot(ada);
			await people.sql(
				"UPDATE users SET email_normalized = 'other-' || email_normalized WHERE id = $1",
				[ada.user.id]
			);
			await expect(reset(link)).rejects.toMatchObject(invalid);
		});

		it("answers the same for nobody, and does the same until it has answered", async () => {
			const { who } = await people.signedIn();
			const queue = async () =>
				(await people.sql<{ n: number }>("SELECT count(*)::int AS n FROM job"))[0]!.n;
			const before = await queue();
			const answers = [
				await node.call("passwords.forgot", { email: who.email }),
				await node.call("passwords.forgot", { email: "nobody@example.com" })
			];
			expect(answers[0]).toEqual(answers[1]);
			expect(await queue()).toBe(before + 2);
			const open = "SELECT id FROM job WHERE done_at IS NULL";
			await until(async () => (await people.sql(open)).length === 0, "all wishes looked up");
			expect(await people.sql("SELECT id FROM job WHERE failed_at IS NOT NULL")).toEqual([]);
		});

		it("sends nothing to who may not sign in", async () => {
			const { user } = await people.signedIn();
			await people.sql("UPDATE users SET status = 'disabled' WHERE id = $1", [user.id]);
			await node.call("passwords.forgot", { email: user.email });
			await until(
				async () => (await people.sql("SELECT id FROM job WHERE done_at IS NULL")).length === 0,
				"all wishes looked up"
			);
			expect(await people.linkOf(user.id, RESET)).toBeNull();
		});

		it("keeps no secret of a link, neither in facts nor in tables", async () => {
			const ada = await people.signedIn();
			const link = await forgot(ada);
			const rows = await people.sql(
				`SELECT row_to_json(t)::text AS row FROM one_time_token t
				 UNION ALL SELECT row_to_json(o)::text FROM outbox o
				 UNION ALL SELECT row_to_json(j)::text FROM job j`
			);
			expect(rows.length).toBeGreaterThan(2);
			expect(JSON.stringify(rows)).not.toContain(link);
			expect(JSON.stringify(rows)).not.toContain(Buffer.from(link, "base64url").toString("hex"));
		});
	});

	describe("changed", () => {
		const change = (
			{ identity }: Awaited<ReturnType<People["signedIn"]>>,
			currentPassword: string,
			newPassword = NEW
		) => node.call("passwords.change", { currentPassword, newPassword }, identity);

		it("by who knows the current one; all other sessions end", async () => {
			const ada = await people.signedIn();
			const elsewhere = await people.login(ada.who.email);
			expect(await change(ada, PASSWORD)).toBeNull();
			const refresh = (refreshToken: string) => node.call("auth.refresh", { refreshToken });
			expect(await refresh(ada.tokens.refreshToken)).toMatchObject({ user: { id: ada.user.id } });
			await expect(refresh(elsewhere.refreshToken)).rejects.toMatchObject({ code: 401 });
			await people.login(ada.who.email, NEW);
			const [revoked] = (await node.recorded("users", "session.revoked.v1")).slice(-1);
			expect(revoked!.data).toMatchObject({ reason: "logout-all", cause: "password-changed" });
		});

		it("end the links that were mailed before", async () => {
			const ada = await people.signedIn();
			const link = await forgot(ada);
			await change(ada, PASSWORD);
			await expect(reset(link, PASSWORD)).rejects.toMatchObject(invalid);
		});

		it("refuses a wrong one, and writes that down", async () => {
			const ada = await people.signedIn();
			await expect(change(ada, "wrong")).rejects.toMatchObject({
				type: "WRONG_PASSWORD",
				code: 403
			});
			expect((await people.historyOf(ada.identity))[0]).toBe("password-check-failed");
			await people.login(ada.who.email);
		});

		it("refuses one that everybody takes", async () => {
			const ada = await people.signedIn();
			await expect(change(ada, PASSWORD, "Password123")).rejects.toMatchObject({
				type: "PASSWORD_TOO_COMMON",
				code: 422
			});
		});

		it("is done by one of several at once", async () => {
			const ada = await people.signedIn();
			const changes = [1, 2, 3, 4].map(n => change(ada, PASSWORD, `${NEW} ${n}`));
			const results = await Promise.allSettled(changes);
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
		});
	});
});
