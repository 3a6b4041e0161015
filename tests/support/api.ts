/** The REST interface as a client sees it, for whole-system tests. */
import { randomBytes, randomUUID } from "node:crypto";
import createClient, { type Client } from "openapi-fetch";
import type { operations, paths } from "./api-schema.d.ts";

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

type PaymentMethod = NonNullable<
	operations["orders.place"]["requestBody"]
>["content"]["application/json"]["paymentMethod"];

export const ADDRESS = {
	name: "Ada Lovelace",
	line1: "12 Analytical Row",
	city: "London",
	postalCode: "N1 9GU",
	country: "GB"
};
export const PASSWORD = "correct horse battery";

/** An answer that the typed client has taken apart; `body` is typed as that of success. */
export const answerOf = <T>({
	data,
	error,
	response
}: {
	data?: T;
	error?: unknown;
	response: Response;
}): Answer<NonNullable<T>> => ({
	status: response.status,
	headers: response.headers,
	body: (data ?? error) as NonNullable<T>
});

/** One client of one gateway, or of several in turn. */
export class Api {
	protected readonly urls: readonly string[];
	#turn = 0;

	constructor(urls: readonly string[]) {
		this.urls = urls;
	}

	#next(): string {
		return this.urls[this.#turn++ % this.urls.length]!;
	}

	/** The client that the document describes, of the next gateway, for nobody or for the bearer of a token. */
	as(token?: string): Client<paths> {
		return createClient<paths>({
			baseUrl: this.#next(),
			...(token ? { headers: { Authorization: `Bearer ${token}` } } : {})
		});
	}

	/** Sends what the document may not allow; `path` is below `/api/v1` unless it begins with `//`. */
	async request<T = any>(
		method: string,
		path: string,
		options: RequestOptions = {}
	): Promise<Answer<T>> {
		const base = this.#next();
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
		const registered = answerOf(
			await this.as().POST("/api/v1/auth/register", {
				body: { email, username, password: PASSWORD, name: "Ada Lovelace" }
			})
		);
		const login = answerOf(
			await this.as().POST("/api/v1/auth/login", { body: { login: email, password: PASSWORD } })
		);
		const { accessToken: token, refreshToken } = login.body;
		return { email, username, registered, login, token, refreshToken };
	}

	async login(login: string, password = "valence-demo-2026"): Promise<string> {
		const { data } = await this.as().POST("/api/v1/auth/login", { body: { login, password } });
		return data!.accessToken;
	}

	/** Checks out what is in the cart; waits so many seconds for the outcome. */
	async checkOut(
		token: string,
		{
			method = "tok_ok",
			key = randomUUID(),
			wait = 8
		}: { method?: PaymentMethod; key?: string; wait?: number } = {}
	) {
		const client = this.as(token);
		const cart = await client.GET("/api/v1/cart");
		return answerOf(
			await client.POST("/api/v1/checkout", {
				params: {
					header: { "Idempotency-Key": key, ...(wait ? { Prefer: `wait=${wait}` } : {}) }
				},
				body: {
					shippingAddress: ADDRESS,
					paymentMethod: method,
					expectedTotal: cart.data!.total
				}
			})
		);
	}
}
