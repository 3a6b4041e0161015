/**
 * Access tokens: JWTs after RFC 9068, signed with one fixed asymmetric algorithm and verified as
 * RFC 8725 asks: nothing in a token's own header can choose how, or with which key, it is checked.
 */
import { randomUUID } from "node:crypto";
import {
	createLocalJWKSet,
	errors,
	jwtVerify,
	SignJWT,
	type JSONWebKeySet,
	type JWTVerifyGetKey
} from "jose";
import { Type, type Static } from "typebox";
import { Id } from "../contracts/common.ts";
import { Role } from "../contracts/users.ts";
import { commonFailure } from "./failure.ts";
import type { Identity } from "./identity.ts";
import { ALGORITHM, type SigningKeys } from "./signing-keys.ts";
import { createAjv } from "./validator.ts";

export const ISSUER = "valence";
export const AUDIENCE = "valence-api";
const TOKEN_TYPE = "at+jwt";
/** How long an access token lives. */
export const ACCESS_TOKEN_SECONDS = 900;
/** By how much the clocks of two nodes may differ. */
export const CLOCK_TOLERANCE_SECONDS = 5;
/**
 * For how long a token that is signed now may be taken somewhere: the clock that signs may be ahead,
 * and gateways put up with clocks that differ.
 */
export const LAST_TOKEN_SECONDS = ACCESS_TOKEN_SECONDS + 2 * CLOCK_TOLERANCE_SECONDS;

const Claims = Type.Object({ sub: Id, sid: Id, roles: Type.Array(Role) });
const isClaims = createAjv().compile<Static<typeof Claims>>(Claims);

/** Makes the access token of a session, valid from `now` for ACCESS_TOKEN_SECONDS. */
export function signAccessToken(
	{ id, sessionId, roles }: Identity,
	{ kid, privateKey }: SigningKeys,
	now: Date
): Promise<string> {
	const issuedAt = Math.floor(now.getTime() / 1_000);
	return new SignJWT({ sid: sessionId, roles: [...roles] })
		.setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE, kid })
		.setIssuer(ISSUER)
		.setAudience(AUDIENCE)
		.setSubject(id)
		.setIssuedAt(issuedAt)
		.setNotBefore(issuedAt)
		.setExpirationTime(issuedAt + ACCESS_TOKEN_SECONDS)
		.setJti(randomUUID())
		.sign(privateKey);
}

/**
 * Who the bearer of an access token is. `keys` is what `auth.keys` answered: hand in the same object
 * each time, since its keys are imported once per object. Does not know of revoked sessions.
 * Throws UNAUTHENTICATED, without saying what was wrong.
 */
export async function verifyAccessToken(token: string, keys: JSONWebKeySet): Promise<Identity> {
	try {
		const { payload } = await jwtVerify(token, resolverOf(keys), {
			algorithms: [ALGORITHM],
			typ: TOKEN_TYPE,
			issuer: ISSUER,
			audience: AUDIENCE,
			requiredClaims: ["sub", "sid", "roles", "iat", "nbf", "exp", "jti"],
			maxTokenAge: ACCESS_TOKEN_SECONDS,
			clockTolerance: CLOCK_TOLERANCE_SECONDS
		});
		if (!isClaims(payload)) throw new errors.JWTInvalid("unexpected claims");
		// In one process every service on the way gets this very object.
		return Object.freeze({
			id: payload.sub,
			roles: Object.freeze([...payload.roles]),
			sessionId: payload.sid
		});
	} catch (error) {
		if (error instanceof errors.JOSEError) throw commonFailure("UNAUTHENTICATED");
		throw error;
	}
}

const resolvers = new WeakMap<JSONWebKeySet, JWTVerifyGetKey>();

function resolverOf(keys: JSONWebKeySet): JWTVerifyGetKey {
	let resolver = resolvers.get(keys);
	if (!resolver) {
		const find = createLocalJWKSet(keys);
		resolver = (header, token) => {
			// Left alone, jose would take a set's only key for a token that names none.
			if (typeof header?.kid !== "string") throw new errors.JWKSNoMatchingKey();
			return find(header, token);
		};
		resolvers.set(keys, resolver);
	}
	return resolver;
}
