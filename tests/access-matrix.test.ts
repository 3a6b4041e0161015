/**
 * Every route, asked on behalf of everybody. What each is answered stands in docs/access.md, by hand;
 * how each is asked stands here.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { Secret } from "otpauth";
import { loadDemoData } from "../bin/demo-data.ts";
import { allContracts } from "../contracts/index.ts";
import type { Role } from "../contracts/users.ts";
import { ACCESS_TOKEN_SECONDS, AUDIENCE, ISSUER, signAccessToken } from "../lib/access-token.ts";
import { UNITS } from "../lib/config.ts";
import type { Identity } from "../lib/identity.ts";
import { ALGORITHM, readSigningKeys, type SigningKeys } from "../lib/signing-keys.ts";
import { routesOf } from "../services/gateway/routes.ts";
import { codeOfStep, stepAt } from "../services/users/totp.ts";
import { ADDRESS, Api, PASSWORD } from "./support/api.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { until } from "./support/until.ts";

const CALLERS = ["nobody", "own", "other's", "staff", "admin"] as const;
type Caller = (typeof CALLERS)[number];
const COLUMNS = [...CALLERS, "bad token"] as const;
/** What stands in the table: a status for each kind of caller, or undefined where the case does not arise. */
type Row = Readonly<Record<(typeof COLUMNS)[number], number | undefined>>;

const table = new Map<string, Row>(
	readFileSync(join(import.meta.dirname, "../docs/access.md"), "utf8")
		.split("\n")
		.filter(line => line.startsWith("| `"))
		.map(line => {
			const [route, ...cells] = line
				.split("|")
				.slice(1, -1)
				.map(cell => cell.trim());
			const row = COLUMNS.map((column, index) => [
				column,
				cells[index] === "–" ? undefined : Number(cells[index])
			]);
			return [route!.replaceAll("`", ""), Object.fromEntries(row) as Row];
		})
);

const routes = routesOf(allContracts);
const nameOf = ({ method, path }: { readonly method: string; readonly path: string }): string =>
	`${method} ${path}`;

/** Somebody with an account. */
interface Person {
	readonly id: string;
	readonly email: string;
	readonly token: string;
}

/** Who there is, and what belongs to the first customer. */
interface World {
	readonly api: Api;
	readonly url: string;
	readonly keys: SigningKeys;
	readonly ada: Person;
	readonly bob: Person;
	readonly staff: Person;
	readonly admin: Person;
	readonly orderId: string;
	readonly productId: string;
	/** A product that nobody else here needs. */
	readonly archivedId: string;
	readonly categoryId: string;
	/** Another passkey of the first customer's. */
	newPasskey(): Promise<string>;
	/** Tokens that are not good, by what is wrong with them. */
	readonly bad: Readonly<Record<string, string>>;
}

/** What a request says beyond its route. */
interface Ask {
	readonly path?: Readonly<Record<string, string>>;
	readonly query?: string;
	readonly body?: unknown;
	readonly headers?: Record<string, string>;
}

const sessionOf = async ({ api, ada }: World) => {
	const login = await api.request("POST", "/auth/login", {
		body: { login: ada.email, password: PASSWORD }
	});
	const claims = login.body.accessToken.split(".")[1];
	return {
		id: JSON.parse(Buffer.from(claims, "base64url").toString()).sid as string,
		refreshToken: login.body.refreshToken as string
	};
};
const name = () => `u${randomBytes(6).toString("hex")}`;
const NO_LINK = "A".repeat(43);
const ofOrder = ({ orderId }: World): Ask => ({ path: { id: orderId } });
const nothing = (): Ask => ({});
/** With the password once more. */
const again = (): Ask => ({ body: { password: PASSWORD } });
const wrongCode = (secret: string): string => {
	const key = Buffer.from(Secret.fromBase32(secret).bytes);
	const near = [-1, 0, 1, 2].map(steps => codeOfStep(key, stepAt(new Date()) + steps));
	return ["000000", "111111", "222222", "333333", "444444"].find(code => !near.includes(code))!;
};
/** What no authenticator has made. */
const NO_PASSKEY = {
	id: "AAAA",
	rawId: "AAAA",
	type: "public-key",
	clientExtensionResults: {},
	response: {
		clientDataJSON: "AAAA",
		attestationObject: "AAAA",
		authenticatorData: "AAAA",
		signature: "AAAA"
	}
};

/** How each route is asked for what belongs to Ada, or by whoever asks for what is their own. */
const asks: Readonly<
	Record<string, (world: World, caller: Person | undefined) => Ask | Promise<Ask>>
> = {
	"POST /api/v1/auth/register": () => {
		const username = name();
		return { body: { email: `${username}@example.com`, username, password: PASSWORD } };
	},
	"POST /api/v1/auth/login": ({ ada }) => ({ body: { login: ada.email, password: PASSWORD } }),
	"POST /api/v1/auth/refresh": async world => ({
		body: { refreshToken: (await sessionOf(world)).refreshToken }
	}),
	"POST /api/v1/auth/logout": nothing,
	"POST /api/v1/auth/logout-all": nothing,
	"GET /api/v1/auth/sessions": nothing,
	"DELETE /api/v1/auth/sessions/:id": async world => ({
		path: { id: (await sessionOf(world)).id }
	}),
	"GET /.well-known/jwks.json": nothing,
	"POST /api/v1/auth/password/forgot": ({ ada }) => ({ body: { email: ada.email } }),
	"POST /api/v1/auth/password/reset": () => ({ body: { token: NO_LINK, password: PASSWORD } }),
	"POST /api/v1/auth/password/change": () => ({
		body: { currentPassword: "not this one", newPassword: PASSWORD }
	}),
	"POST /api/v1/auth/email/verify": () => ({ body: { token: NO_LINK } }),
	"POST /api/v1/auth/email/verification": nothing,
	"GET /api/v1/auth/google": nothing,
	"POST /api/v1/auth/google/link": () => ({ body: {} }),
	"GET /api/v1/auth/google/callback": () => ({ query: "?state=x&code=y" }),
	"POST /api/v1/auth/google/token": () => ({ body: { code: NO_LINK } }),
	"DELETE /api/v1/auth/google": nothing,
	"GET /api/v1/auth/two-factor": nothing,
	"POST /api/v1/auth/two-factor": again,
	"POST /api/v1/auth/two-factor/confirm": async ({ api }, caller) => {
		const asked = { token: caller?.token, body: { password: PASSWORD } };
		const { body } = await api.request("POST", "/auth/two-factor", asked);
		return { body: { code: body.secret ? wrongCode(body.secret) : "000000" } };
	},
	"POST /api/v1/auth/two-factor/recovery-codes": again,
	"DELETE /api/v1/auth/two-factor": again,
	"POST /api/v1/auth/passkeys/options": again,
	"POST /api/v1/auth/passkeys": () => ({ body: { response: NO_PASSKEY } }),
	"GET /api/v1/auth/passkeys": nothing,
	"PATCH /api/v1/auth/passkeys/:id": async world => ({
		path: { id: await world.newPasskey() },
		body: { name: "Phone" }
	}),
	"DELETE /api/v1/auth/passkeys/:id": async world => ({
		path: { id: await world.newPasskey() },
		...again()
	}),
	"POST /api/v1/auth/passkeys/login/options": nothing,
	"POST /api/v1/auth/passkeys/login": () => ({ body: { response: NO_PASSKEY } }),
	"GET /api/v1/users/me": nothing,
	"PATCH /api/v1/users/me": () => ({ body: { name: "Somebody" } }),
	"GET /api/v1/users/me/preferences": nothing,
	"PATCH /api/v1/users/me/preferences": () => ({ body: { currency: "EUR" } }),
	"GET /api/v1/users": nothing,
	"GET /api/v1/users/:id": ({ ada }) => ({ path: { id: ada.id } }),
	"PATCH /api/v1/users/:id": ({ ada }) => ({ path: { id: ada.id }, body: { status: "active" } }),
	"GET /api/v1/users/me/security-events": nothing,
	"DELETE /api/v1/users/me": () => ({ body: { password: "not this one" } }),
	"GET /api/v1/users/me/export": nothing,
	"GET /api/v1/products": nothing,
	"GET /api/v1/products/:idOrSlug": ({ productId }) => ({ path: { idOrSlug: productId } }),
	"GET /api/v1/categories": nothing,
	"GET /api/v1/categories/:idOrSlug": ({ categoryId }) => ({ path: { idOrSlug: categoryId } }),
	"POST /api/v1/products": ({ categoryId }) => ({
		body: {
			sku: name(),
			name: "Thing",
			price: { amount: 1, currency: "EUR" },
			categoryId
		}
	}),
	"PATCH /api/v1/products/:idOrSlug": ({ productId }) => ({
		path: { idOrSlug: productId },
		headers: { "If-Match": "*" },
		body: { description: "Changed." }
	}),
	"DELETE /api/v1/products/:idOrSlug": ({ archivedId }) => ({ path: { idOrSlug: archivedId } }),
	"GET /api/v1/products/:id/prices": ({ productId }) => ({ path: { id: productId } }),
	"POST /api/v1/categories": () => ({ body: { name: "Things" } }),
	"PATCH /api/v1/categories/:idOrSlug": ({ categoryId }) => ({
		path: { idOrSlug: categoryId },
		body: { name: "Renamed" }
	}),
	"DELETE /api/v1/categories/:idOrSlug": ({ categoryId }) => ({ path: { idOrSlug: categoryId } }),
	"GET /api/v1/inventory/:productId": ({ productId }) => ({ path: { productId } }),
	"GET /api/v1/inventory/:productId/movements": ({ productId }) => ({ path: { productId } }),
	"POST /api/v1/inventory/:productId/adjustments": ({ productId }) => ({
		...key(),
		path: { productId },
		body: { delta: 1, reason: "found" }
	}),
	"GET /api/v1/cart": nothing,
	"DELETE /api/v1/cart": nothing,
	"PUT /api/v1/cart/items/:productId": ({ productId }) => ({
		path: { productId },
		body: { quantity: 1 }
	}),
	"DELETE /api/v1/cart/items/:productId": ({ productId }) => ({ path: { productId } }),
	"POST /api/v1/cart/merge": async ({ api }) => {
		const cart = await api.request("GET", "/cart");
		return { body: { cartToken: cart.headers.get("x-cart-token") } };
	},
	"POST /api/v1/checkout": (world, caller) => checkout(world, caller),
	"GET /api/v1/orders": nothing,
	"GET /api/v1/orders/:id": ofOrder,
	"GET /api/v1/orders/:id/timeline": ofOrder,
	"GET /api/v1/orders/:id/events": ofOrder,
	"POST /api/v1/orders/:id/cancel": world => ({ ...ofOrder(world), ...key() }),
	"GET /api/v1/admin/events/topics": nothing,
	"GET /api/v1/admin/events/dead-letters": nothing,
	"POST /api/v1/admin/events/dead-letters/replay": () => ({
		...key(),
		body: { filter: {}, dryRun: true }
	}),
	"GET /api/v1/admin/routes": nothing
};

const key = (): Ask => ({ headers: { "Idempotency-Key": randomUUID() } });

/** A checkout of what the caller has just put into the cart. */
async function checkout({ api, productId }: World, caller?: Person): Promise<Ask> {
	const token = caller?.token;
	const { body: cart } = await api.request("PUT", `/cart/items/${productId}`, {
		token,
		body: { quantity: 1 }
	});
	const body = {
		shippingAddress: ADDRESS,
		paymentMethod: "tok_ok",
		expectedTotal: cart.total ?? { amount: 0, currency: "EUR" }
	};
	return { ...key(), body };
}

/** The status that a route answers to the bearer of a token, or to nobody. */
async function statusOf(
	{ url }: World,
	route: (typeof routes)[number],
	{ path = {}, query = "", body, headers = {} }: Ask,
	token: string | undefined
): Promise<number> {
	const filled = route.path.replaceAll(/:(\w+)/g, (_, parameter: string) => path[parameter]!);
	// What streams is not read to its end.
	const response = await fetch(`${url}${filled}${query}`, {
		method: route.method,
		redirect: "manual",
		headers: {
			...(body === undefined ? {} : { "Content-Type": "application/json" }),
			...(token ? { Authorization: `Bearer ${token}` } : {}),
			...headers
		},
		...(body === undefined ? {} : { body: JSON.stringify(body) })
	});
	await response.body?.cancel();
	return response.status;
}

const signedBy = (keys: SigningKeys, identity: Identity, audience: string): Promise<string> => {
	const now = Math.floor(Date.now() / 1_000);
	return new SignJWT({ sid: identity.sessionId, roles: [...identity.roles] })
		.setProtectedHeader({ alg: ALGORITHM, typ: "at+jwt", kid: keys.kid })
		.setIssuer(ISSUER)
		.setAudience(audience)
		.setSubject(identity.id)
		.setIssuedAt(now)
		.setNotBefore(now)
		.setExpirationTime(now + ACCESS_TOKEN_SECONDS)
		.setJti(randomUUID())
		.sign(keys.privateKey);
};

async function createWorld(node: TestNode): Promise<World> {
	const url = `http://127.0.0.1:${node.broker.metadata["gatewayPort"] as number}`;
	const api = new Api([url]);
	await until(async () => (await fetch(`${url}/ready`)).ok, "readiness");
	const keys = readSigningKeys(node.config.AUTH_KEYS);
	const users = node.runtime.database("users");
	const register = async (...roles: Role[]): Promise<Person & { identity: Identity }> => {
		const { registered, email } = await api.newCustomer();
		const id = registered.body.id;
		await users.query("UPDATE users SET roles = $2 WHERE id = $1", [id, roles]);
		// Of no session that a request could end.
		const identity = { id, roles, sessionId: randomUUID() };
		return { id, email, identity, token: await signAccessToken(identity, keys, new Date()) };
	};
	const [ada, bob] = [await register("customer"), await register("customer")];
	const [staff, admin] = [await register("staff"), await register("admin")];
	const products = await api.get("/products?inStock=true&limit=2");
	const [{ id: productId, categoryId }, { id: archivedId }] = products.body.items;
	await api.request("PUT", `/cart/items/${productId}`, { token: ada.token, body: { quantity: 1 } });
	const order = await api.checkOut(ada.token);

	const ended = await api.newCustomer();
	await api.request("POST", "/auth/logout", { token: ended.token });
	const disabled = await api.newCustomer();
	await api.request("PATCH", `/users/${disabled.registered.body.id}`, {
		token: admin.token,
		body: { status: "disabled" }
	});
	const longAgo = new Date(Date.now() - (ACCESS_TOKEN_SECONDS + 60) * 1_000);
	return {
		api,
		url,
		keys,
		ada,
		bob,
		staff,
		admin,
		orderId: order.body.id,
		productId,
		archivedId,
		categoryId,
		async newPasskey() {
			const id = randomUUID();
			await users.query(
				`INSERT INTO passkey (id, user_id, name, credential_id, public_key, counter, transports, backed_up)
				 VALUES ($1, $2, 'Phone', gen_random_uuid()::text, '', 0, '{}', false)`,
				[id, ada.id]
			);
			return id;
		},
		bad: {
			"of a user who was disabled": disabled.token,
			"of a session that has ended": ended.token,
			"that has expired": await signAccessToken(ada.identity, keys, longAgo),
			"for another audience": await signedBy(keys, ada.identity, "another-api")
		}
	};
}

describe("who may do what", () => {
	let node: TestNode;
	let world: World;
	beforeAll(async () => {
		node = await startTestNode(UNITS, { env: { RATE_LIMIT_FACTOR: "0" } });
		await loadDemoData(node.config, () => {});
		world = await createWorld(node);
	}, 60_000);
	afterAll(() => node?.stop());

	it("is written down for every route, and for no other", () => {
		expect([...table.keys()].sort()).toEqual(routes.map(nameOf).sort());
		expect(Object.keys(asks).sort()).toEqual(routes.map(nameOf).sort());
	});

	it.each(routes.map(route => [nameOf(route), route] as const))(
		"%s answers as the table says",
		async (routeName, route) => {
			const { ada, bob, staff, admin } = world;
			const callers: Record<Caller, Person | undefined> = {
				nobody: undefined,
				own: ada,
				"other's": bob,
				staff,
				admin
			};
			const { "bad token": _, ...expected } = table.get(routeName)!;
			const answers: Record<string, number | undefined> = {};
			for (const column of CALLERS) {
				const caller = callers[column];
				answers[column] =
					expected[column] === undefined
						? undefined
						: await statusOf(world, route, await asks[routeName]!(world, caller), caller?.token);
			}
			expect(answers).toEqual(expected);
		}
	);

	it.each(routes.map(route => [nameOf(route), route] as const))(
		"%s answers as the table says to tokens that are not good",
		async (routeName, route) => {
			const answers: Record<string, number> = {};
			for (const [flaw, token] of Object.entries(world.bad))
				answers[flaw] = await statusOf(
					world,
					route,
					await asks[routeName]!(world, world.ada),
					token
				);
			const expected = table.get(routeName)!["bad token"];
			expect(answers).toEqual(
				Object.fromEntries(Object.keys(world.bad).map(flaw => [flaw, expected]))
			);
		}
	);

	it("is asked with tokens that would do if they were good", async () => {
		// The same but for what makes each of them bad.
		const good = await signedBy(
			world.keys,
			{ ...world.ada, roles: ["customer"], sessionId: randomUUID() },
			AUDIENCE
		);
		const route = routes.find(({ action }) => action === "users.me")!;
		expect(await statusOf(world, route, {}, good)).toBe(200);
	});
});
