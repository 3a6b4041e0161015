/** The REST interface as a client sees it, for whole-system tests. */
import { randomBytes, randomUUID } from "node:crypto";

export interface Answer<T = any> {
	readonly status: number;
	readonly headers: Headers;
	readonly body: T;
}

export interface RequestOptions {
	readonly body?: unknown;
	readonly token?: string | undefined;
	readonly headers?: Record<string, string>;
}

export const ADDRESS = {
	name: "Ada Lovelace",
	line1: "12 Analytical Row",
	city: "London",
	postalCode: "N1 9GU",
	country: "GB"
};
export const PASSWORD = "correct horse battery";

/** One client of one gateway, or of several in turn. */
export class Api {
	protected readonly urls: readonly string[];
	#turn = 0;

	constructor(urls: readonly string[]) {
		this.urls = urls;
	}

	/** Sends a request to the next gateway; `path` is below `/api/v1` unless it begins with `//`. */
	async request<T = any>(
		method: string,
		path: string,
		options: RequestOptions = {}
	): Promise<Answer<T>> {
		const base = this.urls[this.#turn++ % this.urls.length]!;
		const url = path.startsWith("//") ? base + path.slice(1) : `${base}/api/v1${path}`;
		const response = await fetch(url, {
			method,
			headers: {
				...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
				...(options.token ? { Authorization: `Bearer ${options.token}` } : {}),
				...options.headers
			},
			...(options.body === undefined ? {} : { body: JSON.stringify(options.body) })
		});
		const text = await response.text();
		const isJson = /json/.test(response.headers.get("content-type") ?? "");
		return {
			status: response.status,
			headers: response.headers,
			body: (isJson ? JSON.parse(text) : text) as T
		};
	}

	get<T = any>(path: string, token?: string): Promise<Answer<T>> {
		return this.request<T>("GET", path, { token });
	}

	/** Registers somebody new and logs in. */
	async newCustomer() {
		const username = `u${randomBytes(6).toString("hex")}`;
		const email = `${username}@example.com`;
		const registered = await this.request("POST", "/auth/register", {
			body: { email, username, password: PASSWORD, name: "Ada Lovelace" }
		});
		const login = await this.request("POST", "/auth/login", {
			body: { login: email, password: PASSWORD }
		});
		return {
			email,
			username,
			registered,
			login,
			token: login.body.accessToken as string,
			refreshToken: login.body.refreshToken as string
		};
	}

	async login(login: string, password = "valence-demo-2026"): Promise<string> {
		const { body } = await this.request("POST", "/auth/login", { body: { login, password } });
		return body.accessToken as string;
	}

	/** Checks out what is in the cart; waits so many seconds for the outcome. */
	async checkOut(
		token: string,
		{
			method = "tok_ok",
			key = randomUUID(),
			wait = 8
		}: { method?: string; key?: string; wait?: number } = {}
	): Promise<Answer> {
		const cart = await this.get("/cart", token);
		return this.request("POST", "/checkout", {
			token,
			headers: { "Idempotency-Key": key, ...(wait ? { Prefer: `wait=${wait}` } : {}) },
			body: { shippingAddress: ADDRESS, paymentMethod: method, expectedTotal: cart.body.total }
		});
	}
}
