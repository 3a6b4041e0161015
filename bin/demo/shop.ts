/** The part of the REST interface that a customer uses, for a client that outlives a node being killed. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Tokens } from "../../contracts/auth.ts";
import type { Cart } from "../../contracts/carts.ts";
import type { Address, Money } from "../../contracts/common.ts";
import type { Actions } from "../../contracts/index.ts";
import type { Order } from "../../contracts/orders.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";

export type ProductPage = Actions["products.list"]["result"];
export type Timeline = Actions["orders.timeline"]["result"];

export interface Account {
	readonly email: string;
	readonly username: string;
	readonly name: string;
	readonly password: string;
}

export interface Checkout {
	readonly shippingAddress: Address;
	readonly paymentMethod: PaymentMethod;
	readonly expectedTotal: Money;
}

/** An answer of 400 or more that a repetition would not better. */
export class Refusal extends Error {
	readonly status: number;
	/** The problem document's stable code; empty where the answer was none. */
	readonly code: string;
	/** How often the request had been repeated by then. */
	readonly repeats: number;
	constructor(request: string, status: number, problem: Problem, repeats: number) {
		const { code = "", detail = "", requestId } = problem;
		const said = [code, detail].filter(Boolean).join(": ") || "no problem document";
		super(
			`${request} was answered ${status} (${said}${requestId ? `, request ${requestId}` : ""})`
		);
		this.name = "Refusal";
		this.status = status;
		this.code = code;
		this.repeats = repeats;
	}
}

/** Nobody gave a usable answer for as long as we were ready to wait. */
export class Unreachable extends Error {
	constructor(request: string, reason: string) {
		super(`${request} got no answer (${reason})`);
		this.name = "Unreachable";
	}
}

interface Problem {
	readonly code?: string;
	readonly detail?: string;
	readonly requestId?: string;
}

interface Request {
	readonly method?: "GET" | "PUT" | "POST" | "DELETE";
	readonly path: string;
	readonly body?: unknown;
	readonly headers?: Readonly<Record<string, string>>;
}

/** Answers that say "later". */
const LATER = new Set([429, 502, 503, 504]);
const ATTEMPT_MS = 15_000;
const MAX_PAUSE_MS = 2_000;

/**
 * One customer. Every request here may be repeated without a second effect (a checkout because of
 * its key, a registration because the name is taken then), so each is repeated while connections
 * break or the answer is "later".
 */
export class Shop {
	readonly #url: string;
	readonly #patienceMs: number;
	#account: Account | undefined;
	#tokens: Tokens | undefined;
	#repeated = 0;

	/** `url` is the origin; a request is given up `patienceMs` after it was first sent. */
	constructor(url: string, { patienceMs = 60_000 } = {}) {
		this.#url = url;
		this.#patienceMs = patienceMs;
	}

	/** Requests that were sent again so far. */
	get repeated(): number {
		return this.#repeated;
	}

	async register(account: Account): Promise<void> {
		try {
			await this.#send({ method: "POST", path: "/auth/register", body: account });
		} catch (error) {
			// The first attempt did it, and only its answer was lost.
			const wasUs = error instanceof Refusal && error.status === 409 && error.repeats > 0;
			if (!wasUs) throw error;
		}
	}

	async logIn(account: Account): Promise<void> {
		this.#account = account;
		const { email: login, password } = account;
		const body = { login, password };
		this.#tokens = await this.#send<Tokens>({ method: "POST", path: "/auth/login", body });
	}

	products(query: Readonly<Record<string, string>>): Promise<ProductPage> {
		return this.#send({ path: `/products?${new URLSearchParams(query).toString()}` });
	}

	clearCart(): Promise<Cart> {
		return this.#sendSignedIn({ method: "DELETE", path: "/cart" });
	}

	setItem(productId: string, quantity: number): Promise<Cart> {
		const path = `/cart/items/${productId}`;
		return this.#sendSignedIn({ method: "PUT", path, body: { quantity } });
	}

	/** Places an order of the cart. The same key gets the same order. */
	checkOut(key: string, checkout: Checkout): Promise<Order> {
		const headers = { "Idempotency-Key": key };
		return this.#sendSignedIn({ method: "POST", path: "/checkout", body: checkout, headers });
	}

	order(id: string): Promise<Order> {
		return this.#sendSignedIn({ path: `/orders/${id}` });
	}

	timeline(id: string): Promise<Timeline> {
		return this.#sendSignedIn({ path: `/orders/${id}/timeline` });
	}

	async #sendSignedIn<T>(request: Request): Promise<T> {
		const signed = () => ({
			...request,
			headers: { ...request.headers, Authorization: `Bearer ${this.#tokens?.accessToken}` }
		});
		try {
			return await this.#send(signed());
		} catch (error) {
			if (!(error instanceof Refusal) || error.status !== 401) throw error;
			await this.#renew();
			return this.#send(signed());
		}
	}

	async #renew(): Promise<void> {
		const body = { refreshToken: this.#tokens?.refreshToken };
		try {
			this.#tokens = await this.#send<Tokens>({ method: "POST", path: "/auth/refresh", body });
		} catch (error) {
			if (!(error instanceof Refusal) || error.status >= 500 || !this.#account) throw error;
			await this.logIn(this.#account);
		}
	}

	async #send<T>({ method = "GET", path, body, headers = {} }: Request): Promise<T> {
		const request = `${method} ${path}`;
		const until = performance.now() + this.#patienceMs;
		for (let repeats = 0; ; repeats++) {
			let trouble: Error;
			let pauseMs = Math.min(MAX_PAUSE_MS, 50 * 2 ** repeats) * (0.5 + Math.random() / 2);
			try {
				const response = await fetch(`${this.#url}/api/v1${path}`, {
					method,
					headers:
						body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
					...(body === undefined ? {} : { body: JSON.stringify(body) }),
					signal: AbortSignal.timeout(ATTEMPT_MS)
				});
				const answer = parse(await response.text());
				if (response.ok) return answer as T;
				trouble = new Refusal(request, response.status, answer as Problem, repeats);
				if (!LATER.has(response.status)) throw trouble;
				pauseMs = retryAfterMs(response) ?? pauseMs;
			} catch (error) {
				if (error instanceof Refusal) throw error;
				trouble = new Unreachable(request, reasonOf(error));
			}
			if (performance.now() + pauseMs > until) throw trouble;
			await sleep(pauseMs);
			this.#repeated++;
		}
	}
}

/** What `Retry-After` asks for (in seconds), as far as we are ready to wait. */
function retryAfterMs({ headers }: Response): number | undefined {
	const seconds = Number(headers.get("retry-after") ?? Number.NaN);
	return seconds >= 0 ? Math.min(MAX_PAUSE_MS, seconds * 1_000) : undefined;
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text) ?? {};
	} catch {
		return {};
	}
}

/** `ECONNREFUSED`, where fetch itself only says that it failed. */
export function reasonOf(error: unknown): string {
	const { cause, message, name } = error as Error & { cause?: { code?: string } };
	if (name === "TimeoutError") return "it took too long";
	return cause?.code ?? message;
}
