/** What is tried against access tokens (RFC 8725, RFC 9068), through the door as an attacker would. */
import {
	createHmac,
	createPublicKey,
	generateKeyPairSync,
	randomBytes,
	randomUUID,
	sign,
	type KeyObject
} from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { Socket, type AddressInfo } from "node:net";
import { EncryptJWT } from "jose";
import {
	ACCESS_TOKEN_SECONDS,
	AUDIENCE,
	CLOCK_TOLERANCE_SECONDS,
	ISSUER
} from "../../lib/access-token.ts";
import { somebody } from "../../tests/support/node.ts";
import { problem, startGateway, type TestGateway } from "./gateway.fixtures.ts";

const ada = somebody();
const LATE = CLOCK_TOLERANCE_SECONDS + 2;
const now = () => Math.floor(Date.now() / 1_000);
const encode = (value: unknown) =>
	Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const pem = (key: KeyObject) => key.export({ format: "pem", type: "spki" }) as string;

const ed25519 = (key: KeyObject) => (content: string) => sign(null, Buffer.from(content), key);
const es256 = (key: KeyObject) => (content: string) =>
	sign("sha256", Buffer.from(content), { key, dsaEncoding: "ieee-p1363" });
const rs256 = (key: KeyObject) => (content: string) => sign("sha256", Buffer.from(content), key);
const hmac = (alg: string, secret: string | Buffer) => (content: string) =>
	createHmac(alg.replace("HS", "sha"), secret).update(content).digest();
type Signer = (content: string) => Buffer | string;

const attacker = {
	ed25519: generateKeyPairSync("ed25519"),
	es256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
	rs256: generateKeyPairSync("rsa", { modulusLength: 2048 })
};
const jwkOf = (key: KeyObject) => key.export({ format: "jwk" });

describe("an attack on access tokens", () => {
	let gateway: TestGateway;
	/** Serves the attacker's keys to whoever follows a link in a token, and remembers who did. */
	let lure: Server;
	let lureUrl: string;
	const lured: string[] = [];
	/** The ports that this process connects to. */
	const connected: number[] = [];

	beforeAll(async () => {
		lure = createServer((request, response) => {
			lured.push(request.url!);
			response.end(
				JSON.stringify({
					keys: [
						{ ...jwkOf(attacker.ed25519.publicKey), kid: "lure", alg: "EdDSA", use: "sig" },
						{ ...jwkOf(attacker.ed25519.publicKey), kid: gateway.keys.kid, alg: "EdDSA" }
					]
				})
			);
		}).listen(0, "127.0.0.1");
		await once(lure, "listening");
		lureUrl = `http://127.0.0.1:${(lure.address() as AddressInfo).port}`;
		const real = Reflect.get(Socket.prototype, "connect");
		jest.spyOn(Socket.prototype, "connect").mockImplementation(function (
			this: Socket,
			...args: unknown[]
		) {
			const [first] = args.flat() as [{ port: number | string } | number];
			connected.push(Number(typeof first === "object" ? first.port : first));
			return Reflect.apply(real, this, args) as Socket;
		});
		gateway = await startGateway({}, { RATE_LIMIT_FACTOR: "0" });
	});
	afterAll(async () => {
		await gateway.node.stop();
		jest.restoreAllMocks();
		lure.close();
	});
	beforeEach(() => {
		gateway.calls.length = lured.length = connected.length = 0;
	});

	const header = () => ({ alg: "EdDSA", typ: "at+jwt", kid: gateway.keys.kid });
	const claims = () => ({
		iss: ISSUER,
		aud: AUDIENCE,
		sub: ada.id,
		sid: ada.sessionId,
		roles: ["customer"],
		iat: now(),
		nbf: now(),
		exp: now() + ACCESS_TOKEN_SECONDS,
		jti: randomUUID()
	});
	/** A token that is good but for what is given; signed with the right key, if not told otherwise. */
	const forge = (
		headers: Record<string, unknown> = {},
		payload: Record<string, unknown> = {},
		signer: Signer = ed25519(gateway.keys.privateKey)
	) => {
		const content = `${encode({ ...header(), ...headers })}.${encode({ ...claims(), ...payload })}`;
		return `${content}.${Buffer.from(signer(content)).toString("base64url")}`;
	};
	const parts = (token = forge()) => token.split(".") as [string, string, string];
	const send = (authorization: string, path = "/api/v1/users/me") =>
		gateway.request(path, { headers: { authorization } });
	const foreign = () => connected.filter(port => port !== gateway.port);

	/** It is answered like any other bad token, before any action, and nothing was fetched for it. */
	const refused = async (authorization: string) => {
		for (const path of ["/api/v1/users/me", "/api/v1/products/lamp"]) {
			const response = await send(authorization, path);
			expect(response.status).toBe(401);
			expect(response.headers.get("www-authenticate")).toMatch(/^Bearer\b/);
			const { requestId: _, instance: __, ...told } = await problem(response);
			expect(told).toEqual({
				type: "/errors/UNAUTHENTICATED",
				code: "UNAUTHENTICATED",
				status: 401,
				title: "Unauthenticated",
				detail: "Sign in to do this."
			});
		}
		expect(gateway.calls.filter(({ action }) => action !== "auth.keys")).toEqual([]);
		expect([lured, foreign()]).toEqual([[], []]);
	};

	describe("would be noticed", () => {
		it("if it got in, since a token forged like these and without a fault does", async () => {
			expect((await send(`Bearer ${forge()}`)).status).toBe(200);
			expect(gateway.calls.map(({ action }) => action)).toContain("users.me");
			expect(gateway.calls.at(-1)!.meta.user).toEqual(ada);
			await expect(refused(`Bearer ${forge()}`)).rejects.toThrow(/toBe\(expected\)/);
		});

		it("if a key were fetched for it", async () => {
			await fetch(`${lureUrl}/jwks`);
			expect([lured, foreign()]).toEqual([["/jwks"], [Number(new URL(lureUrl).port)]]);
			await expect(refused("Bearer a.b.c")).rejects.toThrow(/\/jwks/);
		});
	});

	describe("by the algorithm is refused", () => {
		const none: unknown[] = [
			"none",
			"None",
			"NONE",
			"nOnE",
			"none ",
			"",
			null,
			undefined,
			0,
			["none"]
		];
		it.each(none)("without a signature, as %j", async alg => {
			for (const signature of ["", "none", "A", parts()[2]])
				await refused(
					`Bearer ${forge({ alg }, { roles: ["admin"] }, () => Buffer.from(signature, "base64url"))}`
				);
		});

		it.each(["HS256", "HS384", "HS512"])("as %s with the public key as the secret", async alg => {
			const [jwk] = gateway.keys.publicKeys;
			const publicKey = createPublicKey({ key: { ...jwk! }, format: "jwk" });
			const secrets = [
				pem(publicKey),
				pem(publicKey).trim(),
				publicKey.export({ format: "der", type: "spki" }),
				Buffer.from(jwk!.x, "base64url"),
				jwk!.x,
				JSON.stringify(jwk),
				""
			];
			for (const secret of secrets)
				await refused(`Bearer ${forge({ alg }, {}, hmac(alg, secret))}`);
		});

		it.each([
			["ES256", es256(attacker.es256.privateKey)],
			["RS256", rs256(attacker.rs256.privateKey)],
			["EdDSA", ed25519(attacker.ed25519.privateKey)]
		])("as %s with another key of the same kid", async (alg, signer) => {
			await refused(`Bearer ${forge({ alg }, {}, signer)}`);
		});

		it.each(["EdDSA", "ES256", "RS256"])("as %s with a signature of zeros", async alg => {
			await refused(`Bearer ${forge({ alg }, {}, () => Buffer.alloc(64))}`);
		});

		it("by another name for the same", () => refused(`Bearer ${forge({ alg: "Ed25519" })}`));
	});

	describe("by a key of its own is refused", () => {
		const jwk = jwkOf(attacker.ed25519.publicKey);
		const mine = ed25519(attacker.ed25519.privateKey);
		const links = ["jku", "x5u", "iss"];

		it.each(links)("which its %s leads to", async name => {
			for (const kid of [gateway.keys.kid, "lure", undefined]) {
				const extra = { kid, [name]: `${lureUrl}/jwks` };
				await refused(`Bearer ${forge(extra, {}, mine)}`);
				await refused(`Bearer ${forge(extra, name === "iss" ? { iss: lureUrl } : {}, mine)}`);
			}
		});

		it.each([
			["jwk", jwk],
			["jwk", { ...jwk, kid: "lure" }],
			["jwk", { kty: "oct", k: encode("secret") }],
			["x5c", [Buffer.from(pem(attacker.ed25519.publicKey)).toString("base64")]],
			["x5t", encode(randomBytes(20).toString("hex"))]
		])("which it brings as %s", async (name, value) => {
			for (const kid of [gateway.keys.kid, "lure", undefined])
				await refused(`Bearer ${forge({ kid, [name]: value }, {}, mine)}`);
		});

		it("under the kid of another key", () => refused(`Bearer ${forge({ kid: "lure" }, {}, mine)}`));
	});

	it.each<unknown>([
		undefined,
		null,
		"",
		" ",
		0,
		1,
		true,
		{},
		{ toString: 1 },
		[],
		"../../../../dev/null",
		"/dev/null\u0000",
		"' OR '1'='1' --",
		"x' UNION SELECT 'key",
		"| sleep 5",
		"__proto__",
		"constructor",
		"${jndi:ldap://127.0.0.1/a}"
	])("by the kid %j is refused, though the signature is right", async kid => {
		await refused(`Bearer ${forge({ kid })}`);
	});

	it("by a list that holds the right kid is refused", () =>
		refused(`Bearer ${forge({ kid: [gateway.keys.kid] })}`));

	it.each([
		["typ JWT", { typ: "JWT" }],
		["no typ", { typ: undefined }],
		["typ dpop+jwt", { typ: "dpop+jwt" }],
		["typ logout+jwt", { typ: "logout+jwt" }],
		["a typ that is no text", { typ: ["at+jwt"] }],
		["crit of what nobody knows", { crit: ["odd"], odd: 1 }],
		["crit of nothing", { crit: [] }],
		["crit of b64", { crit: ["b64"], b64: false }],
		["crit that is no list", { crit: "exp" }]
	])("by its header is refused: %s, though the signature is right", async (_, headers) => {
		await refused(`Bearer ${forge(headers)}`);
	});

	it.each<[string, () => Record<string, unknown>]>([
		["another issuer", () => ({ iss: "https://valence.example" })],
		["no issuer", () => ({ iss: undefined })],
		["a list of issuers", () => ({ iss: [ISSUER] })],
		["another audience", () => ({ aud: "valence-admin" })],
		["no audience", () => ({ aud: undefined })],
		["an audience that begins alike", () => ({ aud: `${AUDIENCE}-2` })],
		["other audiences", () => ({ aud: ["a", "b"] })],
		["an end that has passed", () => ({ exp: now() - LATE })],
		["an end that is no number", () => ({ exp: "never" })],
		["a beginning to come", () => ({ nbf: now() + 60 })],
		["an issue to come", () => ({ iat: now() + 60 })],
		["a longer life", () => ({ iat: now() - ACCESS_TOKEN_SECONDS - LATE, exp: now() + 86_400 })],
		...(["sub", "sid", "roles", "iat", "nbf", "exp", "jti"].map(
			name => [`no ${name}`, () => ({ [name]: undefined })] as [string, () => object & {}]
		) as [string, () => Record<string, unknown>][]),
		["a role that there is not", () => ({ roles: ["root"] })],
		["one that there is not among others", () => ({ roles: ["customer", "ADMIN"] })],
		["roles that are no list", () => ({ roles: "admin" })],
		["roles of an object", () => ({ roles: { 0: "admin", length: 1 } })],
		["a subject that is no id", () => ({ sub: "' OR 1=1" })],
		["a subject that is an object", () => ({ sub: { id: ada.id } })],
		["a session that is no id", () => ({ sid: "*" })]
	])("by its claims is refused: %s, though the signature is right", async (_, payload) => {
		await refused(`Bearer ${forge({}, payload())}`);
	});

	describe("by its form is refused:", () => {
		it("another payload under the signature", async () => {
			const [head, , signature] = parts();
			for (const change of [{ roles: ["admin"] }, { sub: randomUUID() }, { exp: now() + 86_400 }])
				await refused(`Bearer ${head}.${encode({ ...claims(), ...change })}.${signature}`);
		});

		it("another header under the signature", async () => {
			const [, payload, signature] = parts();
			await refused(`Bearer ${encode({ ...header(), jku: lureUrl })}.${payload}.${signature}`);
		});

		it("the signature of another token", async () => {
			const [head, payload] = parts();
			await refused(`Bearer ${head}.${payload}.${parts(forge({}, { sub: randomUUID() }))[2]}`);
		});

		it("a signature that is cut, longer or changed", async () => {
			const [head, payload, signature] = parts();
			const flipped = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
			for (const each of [
				signature.slice(0, -4),
				signature.slice(0, 1),
				`${signature}AAAA`,
				flipped
			])
				await refused(`Bearer ${head}.${payload}.${each}`);
		});

		it("parts that are missing, twice there, or too many", async () => {
			const [head, payload, signature] = parts();
			const token = `${head}.${payload}.${signature}`;
			for (const each of [
				"",
				".",
				"..",
				`${head}.${payload}`,
				`${head}.${payload}.`,
				`${head}..${signature}`,
				`.${payload}.${signature}`,
				`${token}.`,
				`${token}.${signature}`,
				`${token}.${token}`,
				`${head}.${head}.${payload}.${signature}`,
				`${token} ${token}`,
				`${token},${token}`,
				`${token}=`,
				`"${token}"`,
				`${token}, Bearer ${token}`
			])
				await refused(`Bearer ${each}`);
		});

		it("parts that are no JSON objects", async () => {
			const signed = (head: string, payload: string) => {
				const content = `${encode(head)}.${encode(payload)}`;
				const signature = ed25519(gateway.keys.privateKey)(content).toString("base64url");
				return `Bearer ${content}.${signature}`;
			};
			const nothing = ["null", "[]", '"text"', "1", "{", "\u0000", '{"__proto__":{}}'];
			for (const text of nothing) {
				await refused(signed(text, JSON.stringify(claims())));
				await refused(signed(JSON.stringify(header()), text));
			}
		});

		it("an encrypted token", async () => {
			const key = Buffer.from(gateway.keys.publicKeys[0]!.x, "base64url");
			const token = await new EncryptJWT(claims())
				.setProtectedHeader({ ...header(), alg: "dir", enc: "A256GCM" })
				.encrypt(key);
			await refused(`Bearer ${token}`);
			const [head, , ...rest] = token.split(".");
			await refused(`Bearer ${[head, ...rest.slice(0, 2)].join(".")}`);
		});

		it("a refresh token", async () => {
			const refreshToken = randomBytes(32).toString("base64url");
			await refused(`Bearer ${refreshToken}`);
			await refused(`Bearer ${refreshToken}.${refreshToken}.${refreshToken}`);
		});

		it("a very long one", async () => {
			for (const each of ["a".repeat(10_000), "a.b.c".repeat(2_000), `${"a.".repeat(5_000)}a`])
				await refused(`Bearer ${each}`);
			await refused(`Bearer ${forge({}, { roles: Array(700).fill("root") })}`);
			for (const kid of ["k".repeat(7_000), "[".repeat(7_000)])
				await refused(`Bearer ${forge({ kid })}`);
			const huge = await send(`Bearer ${"a".repeat(100_000)}`);
			expect(huge.status).toBe(431);
		});

		it("a good one under another scheme", async () => {
			for (const scheme of ["Basic", "Token", "DPoP", "", "Bearer:", "Bearer Bearer"])
				await refused(`${scheme} ${forge()}`.trim());
		});
	});

	it("that puts a good token elsewhere makes nobody of it", async () => {
		const token = forge();
		const headers = {
			cookie: `access_token=${token}; authorization=Bearer ${token}`,
			"x-authorization": `Bearer ${token}`,
			"proxy-authorization": `Bearer ${token}`,
			"x-user": JSON.stringify(ada)
		};
		const response = await gateway.request("/api/v1/users/me", { headers });
		expect(response.status).toBe(401);
		const asked = await gateway.request(`/api/v1/users/me?access_token=${token}`);
		expect(asked.status).toBe(401);
		expect(gateway.calls).toEqual([]);
	});
});
