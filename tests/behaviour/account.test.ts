import { eventually } from "../support/process.ts";
import { answerOf, PASSWORD } from "../support/api.ts";
import { linksTo, mailsTo } from "../support/mail.ts";
import { api, dataDir, shape, urls } from "./shape.ts";

const NEW_PASSWORD = "another horse battery";

/** The secret of the newest link to a page that this address was sent, once there are so many. */
async function linkTo(page: string, address: string, count = 1): Promise<string> {
	await eventually(
		`${count} mail(s) to ${page}`,
		() => linksTo(page, dataDir, address).length >= count
	);
	return linksTo(page, dataDir, address).at(-1)!;
}

const login = async (name: string, password = PASSWORD) =>
	answerOf(await api.as().POST("/api/v1/auth/login", { body: { login: name, password } }));
const statusOf = async (token: string) =>
	(await api.as(token).GET("/api/v1/users/me")).response.status;
/** Every gateway refuses the token. */
const isRefused = (token: string) =>
	eventually("every gateway refuses the token", async () => {
		const statuses = [];
		for (const _ of urls) statuses.push(await statusOf(token));
		return statuses.every(status => status === 401);
	});

describe(`an account (${shape})`, () => {
	it("has its address confirmed by the link of a mail", async () => {
		const ada = await api.newCustomer();
		const token = await linkTo("verify-email", ada.email);
		const verify = () => api.as().POST("/api/v1/auth/email/verify", { body: { token } });
		expect((await verify()).response.status).toBe(204);
		expect((await api.as(ada.token).GET("/api/v1/users/me")).data!.emailVerified).toBe(true);
		const again = answerOf(await verify());
		expect([again.status, again.body]).toMatchObject([422, { code: "INVALID_TOKEN" }]);
	});

	it("gets a new password by a mail, which ends what was signed in", async () => {
		const ada = await api.newCustomer();
		const forgot = async (email: string) =>
			answerOf(await api.as().POST("/api/v1/auth/password/forgot", { body: { email } }));
		const [known, unknown] = [await forgot(ada.email), await forgot(`nobody-${ada.email}`)];
		expect([known.status, known.body]).toEqual([202, { status: "accepted" }]);
		expect([unknown.status, unknown.body]).toEqual([202, { status: "accepted" }]);
		const token = await linkTo("reset-password", ada.email);
		const reset = await api
			.as()
			.POST("/api/v1/auth/password/reset", { body: { token, password: NEW_PASSWORD } });
		expect(reset.response.status).toBe(204);
		await isRefused(ada.token);
		expect((await login(ada.email)).status).toBe(401);
		expect((await login(ada.email, NEW_PASSWORD)).status).toBe(200);
		await eventually("a mail that tells of it", () =>
			mailsTo(dataDir, ada.email).some(mail => /Subject: Your password was changed/.test(mail))
		);
		expect(mailsTo(dataDir, `nobody-${ada.email}`)).toEqual([]);
	});

	it("shows its sessions, and ends one of them at every gateway", async () => {
		const ada = await api.newCustomer();
		const phone = await login(ada.username);
		const sessions = async () =>
			answerOf(await api.as(ada.token).GET("/api/v1/auth/sessions")).body.items;
		const other = (await sessions()).find(({ current }) => !current)!;
		expect(await sessions()).toHaveLength(2);
		const end = () =>
			api
				.as(ada.token)
				.DELETE("/api/v1/auth/sessions/{id}", { params: { path: { id: other.id } } });
		expect((await end()).response.status).toBe(204);
		await isRefused(phone.body.accessToken);
		expect(await statusOf(ada.token)).toBe(200);
		expect(await sessions()).toMatchObject([{ current: true }]);
		expect((await end()).response.status).toBe(404);
	});

	it("changes its profile and preferences by version", async () => {
		const ada = await api.newCustomer();
		const me = answerOf(await api.as(ada.token).GET("/api/v1/users/me"));
		const etag = me.headers.get("etag")!;
		const patch = (name: string | null) =>
			api.as(ada.token).PATCH("/api/v1/users/me", {
				params: { header: { "If-Match": etag } },
				body: { name }
			});
		const changed = answerOf(await patch("Countess"));
		expect([changed.status, changed.body.name]).toEqual([200, "Countess"]);
		expect(changed.headers.get("etag")).not.toBe(etag);
		expect((await patch(null)).response.status).toBe(412);
		const preferences = await api.as(ada.token).PATCH("/api/v1/users/me/preferences", {
			body: { timeZone: "Europe/London", locale: "en-gb" }
		});
		expect(preferences.data).toMatchObject({ timeZone: "Europe/London", locale: "en-GB" });
	});

	it("is disabled and enabled by an admin, and can read all of that afterwards", async () => {
		const ada = await api.newCustomer();
		const admin = await api.login("admin@valence.test");
		const found = answerOf(
			await api.as(admin).GET("/api/v1/users", { params: { query: { q: ada.username } } })
		);
		const { id } = found.body.items[0]!;
		const manage = async (status: "active" | "disabled") =>
			answerOf(
				await api
					.as(admin)
					.PATCH("/api/v1/users/{id}", { params: { path: { id } }, body: { status } })
			);
		expect((await manage("disabled")).body.status).toBe("disabled");
		await isRefused(ada.token);
		expect((await login(ada.email)).status).toBe(401);
		expect((await manage("active")).status).toBe(200);
		const { accessToken } = (await login(ada.email)).body;
		const history = answerOf(await api.as(accessToken).GET("/api/v1/users/me/security-events"));
		expect(history.body.items.map(({ type, by }) => `${type} by ${by}`)).toEqual([
			"signed-in by self",
			"enabled by admin",
			"sign-in-failed by self",
			"disabled by admin",
			"signed-in by self",
			"registered by self"
		]);
	});
});
