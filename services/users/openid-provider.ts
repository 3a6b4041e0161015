/** The OpenID provider that the configuration names, as it is asked: with little patience, and no faith. */
import type { Service } from "moleculer";
import * as client from "openid-client";
import { google } from "../../contracts/google.ts";
import { publicUrl, type Config } from "../../lib/config.ts";
import { failure } from "../../lib/failure.ts";
import { personOf, type ProvenPerson } from "./google.ts";

/** How long each request to the provider may take, in seconds. */
const PATIENCE_SECONDS = 3;
/** How long what the provider tells of itself is good. */
const DISCOVERY_MS = 3_600_000;
/** After how long a provider that did not tell is asked again while an older word is there. */
const RETRY_MS = 30_000;

/** What binds an answer of the provider to the question. */
export interface Binding {
	readonly state: string;
	readonly nonce: string;
	/** Of PKCE. */
	readonly verifier: string;
}

/** What the browser brings back in its URL. */
export interface ProviderAnswer {
	readonly state: string;
	readonly code?: string;
	readonly iss?: string;
	readonly error?: string;
}

/** The codes of openid-client for answers that do not prove anything, whoever gave them. */
const UNPROVEN = new Set([
	"OAUTH_JWT_CLAIM_COMPARISON_FAILED",
	"OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
	"OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
	"OAUTH_INVALID_RESPONSE",
	"OAUTH_KEY_SELECTION_FAILED",
	"OAUTH_UNSUPPORTED_OPERATION"
]);

interface Discovered {
	readonly configuration: client.Configuration;
	goodUntil: number;
}

export class OpenIdProvider {
	readonly #config: Config;
	readonly #logger: Service["logger"];
	readonly #redirectUri: string;
	#discovered: Discovered | undefined;
	#discovering: Promise<client.Configuration> | undefined;

	constructor(config: Config, logger: Service["logger"]) {
		this.#config = config;
		this.#logger = logger;
		this.#redirectUri = `${publicUrl(config)}/api/v1/auth/google/callback`;
	}

	/** Throws GOOGLE_NOT_CONFIGURED. */
	requireConfigured(): void {
		if (this.#config.GOOGLE_CLIENT_ID === undefined) throw failure(google, "GOOGLE_NOT_CONFIGURED");
	}

	/**
	 * Where to send a browser so that the provider asks its user. Throws GOOGLE_NOT_CONFIGURED or
	 * GOOGLE_UNAVAILABLE.
	 */
	async addressFor({ state, nonce, verifier }: Binding): Promise<string> {
		const configuration = await this.#configuration();
		return client.buildAuthorizationUrl(configuration, {
			redirect_uri: this.#redirectUri,
			scope: "openid email profile",
			state,
			nonce,
			code_challenge: await client.calculatePKCECodeChallenge(verifier),
			code_challenge_method: "S256"
		}).href;
	}

	/**
	 * Who it is that the provider has sent back. Throws GOOGLE_SIGN_IN_DENIED, GOOGLE_ANSWER_REFUSED,
	 * GOOGLE_NOT_CONFIGURED or GOOGLE_UNAVAILABLE.
	 */
	async personOf(
		answer: ProviderAnswer,
		{ state, nonce, verifier }: Binding
	): Promise<ProvenPerson> {
		const configuration = await this.#configuration();
		const url = new URL(this.#redirectUri);
		for (const [name, value] of Object.entries(answer)) url.searchParams.set(name, value as string);
		try {
			const tokens = await client.authorizationCodeGrant(configuration, url, {
				expectedState: state,
				expectedNonce: nonce,
				pkceCodeVerifier: verifier,
				idTokenExpected: true
			});
			const claims = tokens.claims()!;
			return personOf(claims.iss, { ...claims, ...(await moreOf(configuration, tokens)) });
		} catch (error) {
			throw this.#failureOf(error);
		}
	}

	#failureOf(error: unknown): Error {
		const { code, error: said, status } = error as Partial<client.ResponseBodyError>;
		if (error instanceof client.AuthorizationResponseError) {
			// What the user, or the provider, has decided.
			if (said !== "server_error" && said !== "temporarily_unavailable")
				return failure(google, "GOOGLE_SIGN_IN_DENIED");
		} else if (UNPROVEN.has(String(code)) || said === "invalid_grant") {
			this.#logger.warn(`An answer of the OpenID provider was refused: ${wordsOf(error)}`);
			return failure(google, "GOOGLE_ANSWER_REFUSED");
		}
		// Ours to mend, where it is the client's name or secret.
		const isOurs = status !== undefined && status < 500;
		this.#logger[isOurs ? "error" : "warn"](
			`The OpenID provider did not answer as it should: ${wordsOf(error)}`
		);
		return failure(google, "GOOGLE_UNAVAILABLE");
	}

	/** What the provider tells of itself; the last word where it does not answer now. */
	async #configuration(): Promise<client.Configuration> {
		this.requireConfigured();
		const known = this.#discovered;
		if (known && Date.now() < known.goodUntil) return known.configuration;
		this.#discovering ??= this.#discover().finally(() => (this.#discovering = undefined));
		try {
			return await this.#discovering;
		} catch (error) {
			this.#logger.warn(`The OpenID provider does not tell of itself: ${wordsOf(error)}`);
			if (!known) throw failure(google, "GOOGLE_UNAVAILABLE");
			known.goodUntil = Date.now() + RETRY_MS;
			return known.configuration;
		}
	}

	async #discover(): Promise<client.Configuration> {
		const { OIDC_ISSUER, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = this.#config;
		const issuer = new URL(OIDC_ISSUER);
		const configuration = await client.discovery(
			issuer,
			GOOGLE_CLIENT_ID!,
			GOOGLE_CLIENT_SECRET,
			asItTells(GOOGLE_CLIENT_SECRET!),
			{
				timeout: PATIENCE_SECONDS,
				execute: [
					// Also its signature: not everybody between us and the provider is the provider.
					client.enableNonRepudiationChecks,
					...(issuer.protocol === "http:" ? [client.allowInsecureRequests] : [])
				]
			}
		);
		this.#discovered = { configuration, goodUntil: Date.now() + DISCOVERY_MS };
		return configuration;
	}
}

/** What went wrong, without what was answered: tokens may be in that. */
function wordsOf(error: unknown): string {
	const { message, code, error: said, cause } = error as Partial<client.ResponseBodyError>;
	const inner = cause instanceof Error ? cause.message : undefined;
	return [message, code, said, inner].filter(word => word !== undefined).join("; ");
}

/** Proves who we are in the way that the provider takes: by a header, unless it wants it in the body. */
const asItTells =
	(secret: string): client.ClientAuth =>
	(as, ...rest) => {
		// What is not told is the header (OpenID Connect Discovery 1.0, section 3).
		const { token_endpoint_auth_methods_supported: ways = ["client_secret_basic"] } = as;
		const way = ways.includes("client_secret_basic")
			? client.ClientSecretBasic
			: client.ClientSecretPost;
		way(secret)(as, ...rest);
	};

/** What stands in no ID token of many providers: address and name. */
async function moreOf(
	configuration: client.Configuration,
	tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers
): Promise<object> {
	const claims = tokens.claims()!;
	if (claims["email"] !== undefined || !configuration.serverMetadata().userinfo_endpoint) return {};
	return client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
}
