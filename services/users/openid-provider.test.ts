import type { Service } from "moleculer";
import { readConfig } from "../../lib/config.ts";
import { CLIENT, TestProvider } from "../../tests/support/openid-provider.ts";
import { OpenIdProvider, type ProviderAnswer } from "./openid-provider.ts";

const PUBLIC_URL = "http://127.0.0.1:3998";
const REDIRECT_URI = `${PUBLIC_URL}/api/v1/auth/google/callback`;
const HOUR = 3_600_000;
const GRACE = { sub: "1", email: "grace@example.com", email_verified: true, name: "Grace" };
const binding = { state: "s".repeat(43), nonce: "n".repeat(43), verifier: "v".repeat(43) };

describe("the OpenID provider", () => {
	const logged: string[] = [];
	const log = (...words: unknown[]) => void logged.push(words.map(String).join(" "));
	const logger = { warn: log, error: log } as unknown as Service["logger"];
	let running: TestProvider | undefined;
	const start = async (options: object = {}) => {
		running = await TestProvider.start({ redirectUris: [REDIRECT_URI], ...options });
		const config = readConfig({
			PUBLIC_URL,
			OIDC_ISSUER: running.issuer,
			GOOGLE_CLIENT_ID: CLIENT.id,
			GOOGLE_CLIENT_SECRET: CLIENT.secret
		});
		return { there: running, provider: new OpenIdProvider(config, logger) };
	};
	beforeEach(() => {
		logged.length = 0;
	});
	afterEach(async () => {
		jest.restoreAllMocks();
		await running?.goAway();
		running = undefined;
	});
	const askedOfItself = ({ asked }: TestProvider) =>
		asked.filter(path => path.startsWith("/.well-known/")).length;
	const answerTo = async (provider: OpenIdProvider, there: TestProvider) => {
		const { searchParams } = await there.visit(await provider.addressFor(binding), GRACE);
		return Object.fromEntries(searchParams) as unknown as ProviderAnswer;
	};

	it("is asked what it is once an hour, and taken at its last word where it is away", async () => {
		const { there, provider } = await start();
		await provider.addressFor(binding);
		await provider.addressFor(binding);
		expect(askedOfItself(there)).toBe(1);
		const now = jest.spyOn(Date, "now").mockReturnValue(Date.now() + HOUR + 1_000);
		await provider.addressFor(binding);
		expect(askedOfItself(there)).toBe(2);
		now.mockReturnValue(Date.now() + HOUR + 1_000);
		there.broken = { paths: /well-known/, status: 500 };
		expect(await provider.addressFor(binding)).toMatch(there.issuer);
		await provider.addressFor(binding);
		// Not by each who comes: the next looks in half a minute.
		expect(askedOfItself(there)).toBe(3);
		there.behave();
		now.mockReturnValue(Date.now() + 31_000);
		await provider.addressFor(binding);
		expect(askedOfItself(there)).toBe(1);
	});

	it.each(["client_secret_basic", "client_secret_post"])(
		"is shown who asks in the way that it wants, as %s",
		async clientAuth => {
			const { there, provider } = await start({ clientAuth });
			const answer = await answerTo(provider, there);
			expect(await provider.personOf(answer, binding)).toEqual({
				issuer: there.issuer,
				subject: "1",
				email: GRACE.email,
				emailVerified: true,
				name: "Grace"
			});
		}
	);

	it("is not asked for what stands in its ID token", async () => {
		const { there, provider } = await start({ tellsAll: true });
		const answer = await answerTo(provider, there);
		expect(await provider.personOf(answer, binding)).toMatchObject({ email: GRACE.email });
		expect(there.asked).toContain("/token");
		expect(there.asked).not.toContain("/me");
	});

	it("that is another than it should be is not believed", async () => {
		const { there } = await start();
		const config = readConfig({
			OIDC_ISSUER: there.issuer.replace("127.0.0.1", "localhost"),
			GOOGLE_CLIENT_ID: CLIENT.id,
			GOOGLE_CLIENT_SECRET: CLIENT.secret
		});
		await expect(new OpenIdProvider(config, logger).addressFor(binding)).rejects.toMatchObject({
			type: "GOOGLE_UNAVAILABLE"
		});
		expect(logged.join()).toMatch(/issuer does not match/);
	});

	it("is told of in the log without what it has told us", async () => {
		const { there, provider } = await start();
		there.forge = claims => ({ ...claims, nonce: "of somebody else" });
		const answer = await answerTo(provider, there);
		await expect(provider.personOf(answer, binding)).rejects.toMatchObject({
			type: "GOOGLE_ANSWER_REFUSED"
		});
		there.behave();
		there.broken = { paths: /token/, status: 401 };
		const next = await answerTo(provider, there);
		await expect(provider.personOf(next, binding)).rejects.toMatchObject({
			type: "GOOGLE_UNAVAILABLE"
		});
		expect(logged).toHaveLength(2);
		expect(logged[0]).toMatch(/refused: .*nonce/);
		for (const secret of [CLIENT.secret, binding.verifier, GRACE.email, answer.code!, "eyJ"])
			expect(logged.join()).not.toContain(secret);
	});
});
