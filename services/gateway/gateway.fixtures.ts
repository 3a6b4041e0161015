/** For tests: a real gateway node whose neighbours are faked through their contracts. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { allContracts, type Actions } from "../../contracts/index.ts";
import type { Tokens } from "../../contracts/auth.ts";
import type { Cart } from "../../contracts/carts.ts";
import type { Order } from "../../contracts/orders.ts";
import type { Product } from "../../contracts/products.ts";
import type { User } from "../../contracts/users.ts";
import { signAccessToken } from "../../lib/access-token.ts";
import type { ServiceContract } from "../../lib/contract.ts";
import type { Identity, Meta } from "../../lib/identity.ts";
import { implement, type Ctx } from "../../lib/service.ts";
import { createSigningKeys, readSigningKeys, type SigningKeys } from "../../lib/signing-keys.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";

export type Handlers = {
	[K in keyof Actions]?: (ctx: Ctx<Actions[K]["params"]>) => Promise<Actions[K]["result"]>;
};

/** A call that a faked action has got. */
export interface Call {
	readonly action: string;
	readonly params: Record<string, unknown>;
	readonly meta: Meta;
	readonly requestID: string | null;
}

export interface TestGateway {
	readonly node: TestNode;
	readonly broker: ServiceBroker;
	readonly url: string;
	readonly port: number;
	readonly keys: SigningKeys;
	readonly calls: Call[];
	request(path: string, init?: RequestInit): Promise<Response>;
	/** Sends the text as it is and answers all that comes back until the connection ends. */
	raw(text: string): Promise<string>;
	rawBytes(text: string): Promise<Buffer>;
	/** The header by which somebody proves who they are. */
	as(identity: Identity): Promise<{ authorization: string }>;
}

const now = "2026-01-02T03:04:05.000Z";
export const userResult: User = {
	id: randomUUID(),
	email: "ada@example.com",
	emailVerified: false,
	username: "ada",
	name: null,
	phone: null,
	avatarUrl: null,
	roles: ["customer"],
	status: "active",
	version: 3,
	createdAt: now,
	updatedAt: now
};
export const productResult: Product = {
	id: randomUUID(),
	sku: "L-1",
	name: "Lamp",
	slug: "lamp",
	description: "",
	price: { amount: 1999, currency: "EUR" },
	categoryId: randomUUID(),
	attributes: {},
	images: [],
	availability: { inStock: true, available: 7 },
	status: "active",
	version: 4,
	createdAt: now,
	updatedAt: now
};
export const cartResult: Cart = {
	id: randomUUID(),
	items: [],
	total: { amount: 0, currency: "EUR" },
	version: 1,
	updatedAt: now,
	cartToken: "A".repeat(43)
};
export const orderResult: Order = {
	id: randomUUID(),
	number: "V-1",
	status: "placed",
	items: [],
	total: { amount: 1999, currency: "EUR" },
	shippingAddress: {
		name: "Ada",
		line1: "1 Road",
		city: "London",
		postalCode: "N1",
		country: "GB"
	},
	payment: { method: "tok_ok", status: "none" },
	version: 1,
	createdAt: now,
	updatedAt: now
};
export const tokensResult: Tokens = {
	accessToken: "a",
	refreshToken: "r",
	tokenType: "Bearer",
	expiresIn: 900,
	user: userResult
};
const up = {
	database: "up",
	stream: "up",
	unpublished: 0,
	oldestUnpublishedSeconds: 0,
	deadLetters: 0,
	leader: true
} as const;

const defaults: Handlers = {
	"auth.revocations": async () => [],
	"auth.register": async () => userResult,
	"auth.login": async () => tokensResult,
	"auth.logout": async () => null,
	"users.me": async () => userResult,
	"products.get": async () => productResult,
	"products.list": async () => ({ items: [], nextCursor: null }),
	"categories.list": async () => ({ items: [], nextCursor: null }),
	"carts.get": async () => cartResult,
	"carts.setItem": async () => cartResult,
	"orders.place": async () => orderResult,
	"orders.get": async () => orderResult,
	"users-events.status": async () => up,
	"catalog-events.status": async () => up,
	"orders-events.status": async () => up,
	"notifications-events.status": async () => up
};

/** Starts it with the given answers, and answers of its own for what most tests call. */
export async function startGateway(
	handlers: Handlers = {},
	env: Record<string, string> = {}
): Promise<TestGateway> {
	const keys = readSigningKeys(await createSigningKeys());
	const calls: Call[] = [];
	const all: Handlers = {
		"auth.keys": async () => ({ keys: keys.publicKeys }),
		...defaults,
		...handlers
	};
	const node = await startTestNode(["gateway"], {
		env,
		// These are the gateway's own.
		fakes: allContracts
			.filter(({ name }) => name !== "events" && name !== "routes")
			.map(contract => fake(contract, all, calls))
	});
	const port = node.broker.metadata["gatewayPort"] as number;
	const url = `http://127.0.0.1:${port}`;
	const rawBytes = async (sent: string) => {
		const socket = connect(port, "127.0.0.1");
		socket.write(sent);
		return buffer(socket);
	};
	return {
		node,
		broker: node.broker,
		url,
		port,
		keys,
		calls,
		request: (path, init) => fetch(url + path, init),
		raw: async sent => (await rawBytes(sent)).toString(),
		rawBytes,
		as: async identity => ({
			authorization: `Bearer ${await signAccessToken(identity, keys, new Date())}`
		})
	};
}

const fake = (contract: ServiceContract, handlers: Handlers, calls: Call[]): ServiceSchema =>
	implement(contract)({
		actions: Object.fromEntries(
			Object.keys(contract.actions).map(name => {
				const action = `${contract.name}.${name}`;
				return [
					action.slice(contract.name.length + 1),
					async (ctx: Ctx<any>) => {
						const { user, client } = ctx.meta;
						// The gateway asks for these by itself, all the time.
						if (action !== "auth.revocations")
							calls.push({
								action,
								params: ctx.params,
								meta: { user, client },
								requestID: ctx.requestID
							});
						const handler = handlers[action as keyof Handlers] as
							((ctx: Ctx<any>) => Promise<any>) | undefined;
						if (!handler) throw new Error(`${action} is not faked.`);
						return handler(ctx);
					}
				];
			})
		)
	});

/** The body of a problem. */
export const problem = async (response: Response): Promise<Record<string, any>> => {
	expect(response.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
	const body = (await response.json()) as Record<string, any>;
	expect(body["status"]).toBe(response.status);
	expect(body["requestId"]).toBe(response.headers.get("x-request-id"));
	expect(body["type"]).toBe(`/errors/${body["code"]}`);
	return body;
};
