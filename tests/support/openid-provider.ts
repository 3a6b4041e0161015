/** A real OpenID provider on a port of its own, which a test may have lie, dawdle, or go away. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from "jose";
import type { CryptoKey, JWTPayload } from "jose";
import { Provider, type Adapter, type AdapterPayload, type Configuration } from "oidc-provider";
import { freePorts } from "../../bin/ports.ts";

export const CLIENT = { id: "valence-test", secret: "a secret that the provider has given out" };

/** Somebody with an account there. */
export interface Person {
	readonly sub: string;
	readonly email?: string;
	readonly email_verified?: boolean;
	readonly name?: string;
}

interface Options {
	readonly redirectUris: readonly string[];
	/** Whether the ID token tells address and name, as Google's does; else they are to be asked for. */
	readonly tellsAll?: boolean;
	/** How those who ask for tokens have to prove who they are. */
	readonly clientAuth?: "client_secret_basic" | "client_secret_post";
}

export type Claims = JWTPayload & Record<string, unknown>;

/** What the provider remembers, as long as it runs. */
class Memory implements Adapter {
	readonly #kind: string;
	readonly #all = new Map<string, AdapterPayload>();

	constructor(kind: string) {
		this.#kind = kind;
	}

	async upsert(id: string, payload: AdapterPayload): Promise<void> {
		this.#all.set(id, payload);
	}

	async find(id: string): Promise<AdapterPayload | undefined> {
		return this.#all.get(id);
	}

	async findByUid(uid: string): Promise<AdapterPayload | undefined> {
		return [...this.#all.values()].find(payload => payload.uid === uid);
	}

	async findByUserCode(): Promise<never> {
		throw new Error(`Nothing of the kind ${this.#kind} has a code for its user.`);
	}

	async consume(id: string): Promise<void> {
		this.#all.get(id)!["consumed"] = Math.floor(Date.now() / 1_000);
	}

	async destroy(id: string): Promise<void> {
		this.#all.delete(id);
	}

	async revokeByGrantId(grantId: string): Promise<void> {
		for (const [id, payload] of this.#all) if (payload.grantId === grantId) this.#all.delete(id);
	}
}

export class TestProvider {
	readonly issuer: string;
	/** By `sub`, as they were when they came last. */
	readonly #people = new Map<string, Person>();
	#visitor: Person | null = null;
	/** Changes ID tokens on their way, and signs them again. */
	forge: ((claims: Claims) => Claims) | undefined;
	/** Signs with a key that the provider does not publish. */
	withStrangeKey = false;
	/** Paths that are not answered any more. */
	silent: RegExp | undefined;
	/** Paths that are answered with this status. */
	broken: { readonly paths: RegExp; readonly status: number } | undefined;
	/** Every path that was asked for. */
	readonly asked: string[] = [];
	readonly #port: number;
	readonly #provider: Provider;
	readonly #keys: { readonly own: CryptoKey; readonly strange: CryptoKey };
	#server: Server | undefined;

	static async start({
		redirectUris,
		tellsAll = false,
		clientAuth = "client_secret_basic"
	}: Options): Promise<TestProvider> {
		const own = await generateKeyPair("RS256", { extractable: true });
		const strange = await generateKeyPair("RS256");
		const jwk = { ...(await exportJWK(own.privateKey)), kid: "own", use: "sig", alg: "RS256" };
		const keys = { own: own.privateKey, strange: strange.privateKey };
		const provider = new TestProvider(await freePorts(1), keys, it => ({
			clients: [
				{
					client_id: CLIENT.id,
					client_secret: CLIENT.secret,
					redirect_uris: [...redirectUris],
					token_endpoint_auth_method: clientAuth
				}
			],
			clientAuthMethods: [clientAuth],
			jwks: { keys: [jwk] },
			adapter: Memory,
			ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600 },
			cookies: { keys: ["of a test"] },
			pkce: { required: () => true },
			claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
			conformIdTokenClaims: !tellsAll,
			features: { devInteractions: { enabled: false } },
			interactions: { url: (_, { uid }) => `/interaction/${uid}` },
			findAccount: (_, sub) => ({
				accountId: sub,
				claims: async () => ({ ...it.#people.get(sub), sub })
			}),
			// Nobody is asked whether we may know the address.
			async loadExistingGrant({ oidc }) {
				const grant = new oidc.provider.Grant({
					clientId: oidc.client!.clientId,
					accountId: oidc.session!.accountId!
				});
				grant.addOIDCScope("openid email profile");
				await grant.save();
				return grant;
			}
		}));
		await provider.comeBack();
		return provider;
	}

	private constructor(
		port: number,
		keys: { readonly own: CryptoKey; readonly strange: CryptoKey },
		configure: (it: TestProvider) => Configuration
	) {
		this.#port = port;
		this.#keys = keys;
		this.issuer = `http://127.0.0.1:${port}`;
		this.#provider = new Provider(this.issuer, configure(this));
	}

	/** Answers honestly and at once again. */
	behave(): void {
		this.forge = this.silent = this.broken = undefined;
		this.withStrangeKey = false;
		this.asked.length = 0;
	}

	/** Listens again, where it did before. */
	async comeBack(): Promise<void> {
		const callback = this.#provider.callback();
		this.#server = createServer((req, res) => {
			this.#answer(req, res, callback).catch((error: unknown) => res.destroy(error as Error));
		});
		await new Promise<void>(done => this.#server!.listen(this.#port, "127.0.0.1", done));
	}

	/** Nobody listens any more. */
	async goAway(): Promise<void> {
		const gone = new Promise(done => this.#server!.close(done));
		this.#server!.closeAllConnections();
		await gone;
	}

	async #answer(
		req: IncomingMessage,
		res: ServerResponse,
		callback: (req: IncomingMessage, res: ServerResponse) => Promise<void>
	): Promise<void> {
		const path = new URL(req.url!, this.issuer).pathname;
		const isOurs = req.headers["x-forger"] !== undefined;
		if (!isOurs) this.asked.push(path);
		if (this.silent?.test(path)) return;
		if (this.broken?.paths.test(path)) return void res.writeHead(this.broken.status).end("<html>");
		if (path.startsWith("/interaction/")) return this.#signIn(req, res);
		if (path === "/token" && this.forge && !isOurs) return this.#forged(req, res);
		return callback(req, res);
	}

	/** What the page would do once somebody has typed name and password. */
	#signIn(req: IncomingMessage, res: ServerResponse): Promise<void> {
		return this.#provider.interactionFinished(
			req,
			res,
			this.#visitor
				? { login: { accountId: this.#visitor.sub } }
				: { error: "access_denied", error_description: "They did not want to." }
		);
	}

	/** Has the provider answer, and changes the ID token in its answer. */
	async #forged(req: IncomingMessage, res: ServerResponse): Promise<void> {
		const { authorization = "", "content-type": type = "" } = req.headers;
		const honest = await fetch(`${this.issuer}/token`, {
			method: "POST",
			headers: { authorization, "content-type": type, "x-forger": "yes" },
			body: new Uint8Array(await buffer(req))
		});
		const answer = (await honest.json()) as { id_token: string };
		const claims = this.forge!(decodeJwt(answer.id_token));
		const { alg } = decodeProtectedHeader(answer.id_token);
		const forged = await new SignJWT(claims)
			.setProtectedHeader({ alg: alg!, kid: "own" })
			.sign(this.withStrangeKey ? this.#keys.strange : this.#keys.own);
		res.writeHead(200, { "Content-Type": "application/json" });
		res.end(JSON.stringify({ ...answer, id_token: forged }));
	}

	/**
	 * Goes where a browser is sent, through the provider's pages as this person (null breaks it off), and
	 * answers the address that the provider sends the browser back to.
	 */
	async visit(address: string, person: Person | null): Promise<URL> {
		this.#visitor = person;
		if (person) this.#people.set(person.sub, person);
		const cookies = new Map<string, string>();
		for (let url = new URL(address); ;) {
			const answer = await fetch(url, {
				redirect: "manual",
				headers: { cookie: [...cookies].map(pair => pair.join("=")).join("; ") }
			});
			const location = answer.headers.get("location");
			if (!location) throw new Error(`${answer.status} at ${url.pathname}: ${await answer.text()}`);
			await answer.body?.cancel();
			for (const cookie of answer.headers.getSetCookie()) {
				const [name, value] = cookie.split(";", 1)[0]!.split("=", 2);
				cookies.set(name!, value!);
			}
			url = new URL(location, url);
			if (url.origin !== this.issuer) return url;
		}
	}
}
