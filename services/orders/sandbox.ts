/** The built-in payment provider: keeps books of its own and behaves as its tokens say. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Money } from "../../contracts/common.ts";
import type { PaymentMethod } from "../../contracts/payments.ts";
import type { Queries } from "../../lib/database.ts";

export interface ChargeRequest {
	/** The same key is charged once, however often it is asked for. */
	readonly key: string;
	readonly amount: Money;
	readonly method: PaymentMethod;
}

/** What the provider answers for certain. No answer (a throw) means *unknown*: ask again with the same key. */
export type ChargeOutcome =
	| { readonly status: "captured"; readonly ref: string }
	| { readonly status: "declined"; readonly code: string };

interface ChargeRow {
	readonly ref: string;
	readonly status: "captured" | "declined";
}

const SLOW_MS = 3_000;

/** Charges, or repeats its answer for a key that it knows. Throws like a provider that cannot be reached. */
export async function charge(
	books: Queries,
	{ key, amount, method }: ChargeRequest,
	attempt: number
): Promise<ChargeOutcome> {
	if (method === "tok_error" && attempt === 1) throw new Error("the provider answered 500");
	if (method === "tok_slow") await sleep(SLOW_MS);
	const status = method === "tok_declined" ? "declined" : "captured";
	await books.query(
		`INSERT INTO sandbox_charge (key, ref, amount, currency, status) VALUES ($1, $2, $3, $4, $5)
		 ON CONFLICT (key) DO NOTHING`,
		[key, `ch_${randomUUID()}`, amount.amount, amount.currency, status]
	);
	// The money is taken, but the answer is lost on its way.
	if (method === "tok_timeout" && attempt === 1)
		throw new Error("the provider did not answer in time");
	const row = await books.one<ChargeRow>("SELECT ref, status FROM sandbox_charge WHERE key = $1", [
		key
	]);
	return row!.status === "captured"
		? { status: "captured", ref: row!.ref }
		: { status: "declined", code: "card_declined" };
}

/** Gives back all of a charge, once for each key. Throws where there is no such charge. */
export async function refund(books: Queries, ref: string, key: string): Promise<void> {
	const row = await books.one(
		`UPDATE sandbox_charge SET refunded = amount, refund_key = $2
		 WHERE ref = $1 AND status = 'captured' AND (refund_key IS NULL OR refund_key = $2) RETURNING ref`,
		[ref, key]
	);
	if (!row) throw new Error(`The provider knows no charge ${ref} that could be refunded.`);
}
