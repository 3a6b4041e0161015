import { createHash } from "node:crypto";
import { decodeJwt } from "jose";
import { BreakableServer } from "../bin/breakable-server.ts";
import type { Tokens } from "../contracts/auth.ts";
import { LAST_TOKEN_SECONDS } from "../lib/access-token.ts";
import { databaseUrl } from "../lib/config.ts";
import { Database } from "../lib/database.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { until } from "./support/until.ts";

type Bearer = Pick<Tokens, "accessToken">;

const PASSWORD = "correct horse battery";
/** Less than it takes until a gateway asks for all ended sessions again. */
const SOON_MS = 8_000;

describe("a session that ends is refused by every gateway", () => {
	let nats: BreakableServer, redis: BreakableServer;
	let env: Record<string, string>;
	let users: TestNode;
	let gateways: TestNode[];
	beforeAll(async () => {
		[nats, redis] = await Promise.all([BreakableServer.nats(), BreakableServer.redis()]);
		env = { NATS_URL: nats.url, REDIS_URL: redis.url, RATE_LIMIT_FACTOR: "0" };
		users = await startTestNode(["users"], { env });
		gateways = await Promise.all([1, 2].map(() => startTestNode(["gateway"], { env })));
		await users.call("auth.register", {
			email: "ada@example.com",
			username: "ada",
			password: PASSWORD
		});
		for (const { broker } of gateways) await broker.waitForServices(["auth", "users"]);
	}, 60_000);
	afterAll(async () => {
		await Promise.all(gateways.map(node => node.stop()));
		await users.stop();
		await Promise.all([nats.stop(), redis.stop()]);
	});

	const url = ({ broker }: TestNode, path: string) =>
		`http://127.0.0.1:${String(broker.metadata["gatewayPort"])}/api/v1${path}`;
	const post = (gateway: TestNode, path: string, body: object, accessToken = "") =>
		fetch(url(gateway, path), {
			method: "POST",
			headers: {
				"content-type": "application/json",
				...(accessToken ? { authorization: `Bearer ${accessToken}` } : {})
			},
			body: JSON.stringify(body)
		});
	const statusAt = async (gateway: TestNode, { accessToken }: Bearer) =>
		(
			await fetch(url(gateway, "/users/me"), {
				headers: { authorization: `Bearer ${accessToken}` }
			})
		).status;
	const statuses = (tokens: Bearer) =>
		Promise.all(gateways.map(gateway => statusAt(gateway, tokens)));
	const sql = (text: string, bind: unknown[] = []) =>
		users.runtime.database("users").query(text, bind);

	/** Signed in, and known to both gateways. */
	const signIn = async () => {
		const answer = await post(gateways[0]!, "/auth/login", { login: "ada", password: PASSWORD });
		const tokens = (await answer.json()) as Tokens;
		expect(await statuses(tokens)).toEqual([200, 200]);
		return tokens;
	};
	const untilRefused = (tokens: Bearer) =>
		until(
			async () => (await statuses(tokens)).every(status => status === 401),
			"a session that both gateways refuse",
			SOON_MS
		);

	const logOut = async () => {
		const tokens = await signIn();
		expect((await post(gateways[0]!, "/auth/logout", {}, tokens.accessToken)).status).toBe(204);
		return tokens;
	};
	/** A refresh token is used again after its window, so that two must have it. */
	const steal = async () => {
		const tokens = await signIn();
		const refresh = () =>
			post(gateways[1]!, "/auth/refresh", { refreshToken: tokens.refreshToken });
		const successor = (await (await refresh()).json()) as Tokens;
		await sql("UPDATE refresh_token SET used_at = used_at - interval '11 s' WHERE hash = $1", [
			createHash("sha256").update(tokens.refreshToken).digest()
		]);
		expect((await refresh()).status).toBe(401);
		return successor;
	};
	const ends = [
		["by a log-out", logOut],
		["by the second use of a refresh token", steal]
	] as const;

	it.each(ends)("%s", async (_, end) => {
		const bystander = await signIn();
		await untilRefused(await end());
		expect(await statuses(bystander)).toEqual([200, 200]);
	});

	describe("where no broadcast tells of it,", () => {
		beforeAll(async () => {
			await sql(
				`CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`
			);
			await sql(
				`CREATE TRIGGER a_lose BEFORE INSERT ON outbox FOR EACH ROW
				 WHEN (NEW.type = 'session.revoked.v1') EXECUTE FUNCTION lose()`
			);
		});

		it.each(ends)("%s", async (_, end) => {
			const bystander = await signIn();
			const before = await users.recorded("users", "session.revoked.v1");
			await untilRefused(await end());
			expect(await users.recorded("users", "session.revoked.v1")).toEqual(before);
			expect(await statuses(bystander)).toEqual([200, 200]);
		});

		it("while nobody could be asked", async () => {
			const { accessToken } = await signIn();
			const USERS_DATABASE_URL = databaseUrl(users.config, "users");
			await users.stop();
			const database = new Database("users", USERS_DATABASE_URL);
			await database.query(
				`UPDATE session SET revoked_at = now(), revoked_until = now() + make_interval(secs => $2)
				 WHERE id = $1`,
				[decodeJwt(accessToken)["sid"], LAST_TOKEN_SECONDS]
			);
			await database.close();
			users = await startTestNode(["users"], { env: { ...env, USERS_DATABASE_URL } });
			await untilRefused({ accessToken });
			expect((await statuses(await signIn())).every(status => status === 200)).toBe(true);
		});
	});

	it("since no gateway leaves that question alone after failures", () => {
		for (const { broker } of gateways) {
			const { endpoints } = broker.registry.actions.get("auth.revocations") as unknown as {
				endpoints: { action: { circuitBreaker?: object } }[];
			};
			expect(endpoints.map(({ action }) => action.circuitBreaker)).toEqual([{ enabled: false }]);
		}
	});
});
