import { createIdempotencyTable, dropIdempotencyTable } from "../../../lib/idempotency.ts";
import type { Migration } from "../../../lib/migrations.ts";
import { createJobTable, dropJobTable } from "../../../mixins/jobs.mixin.ts";
import { createTimerTable, dropTimerTable } from "../../../mixins/timers.mixin.ts";

export const up: Migration = async context => {
	const { query } = context;
	await createTimerTable(context);
	await createJobTable(context);
	await createIdempotencyTable(context);
	await query(`CREATE TABLE cart (
		id uuid PRIMARY KEY,
		version int NOT NULL DEFAULT 1,
		updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	await query(`CREATE TABLE cart_item (
		cart_id uuid NOT NULL REFERENCES cart ON DELETE CASCADE,
		product_id uuid NOT NULL,
		quantity int NOT NULL CHECK (quantity BETWEEN 1 AND 999),
		added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (cart_id, product_id))`);
	await query("CREATE SEQUENCE order_number START 100001");
	await query(`CREATE TABLE orders (
		id uuid PRIMARY KEY,
		number text NOT NULL UNIQUE DEFAULT 'V-' || nextval('order_number'),
		user_id uuid NOT NULL,
		status text NOT NULL CHECK (status IN
			('placed', 'awaiting_payment', 'paid', 'confirmed', 'cancelling', 'cancelled', 'refund_failed')),
		reason text CHECK ((reason IS NOT NULL) = (status IN ('cancelling', 'cancelled', 'refund_failed'))),
		stock_undo text NOT NULL DEFAULT 'none' CHECK (stock_undo IN ('none', 'pending', 'done')),
		money_undo text NOT NULL DEFAULT 'none'
			CHECK (money_undo IN ('none', 'pending', 'voided', 'refunded', 'failed')),
		items jsonb NOT NULL,
		total_amount bigint NOT NULL CHECK (total_amount >= 0),
		total_currency text NOT NULL,
		shipping_address jsonb NOT NULL,
		payment_method text NOT NULL,
		payment_status text NOT NULL DEFAULT 'none',
		version int NOT NULL DEFAULT 1,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	await query("CREATE INDEX orders_of_user ON orders (user_id, id DESC)");
	await query(
		"CREATE INDEX orders_open ON orders (updated_at) WHERE status IN ('placed', 'awaiting_payment', 'paid', 'cancelling')"
	);
	await query(`CREATE TABLE order_step (
		order_id uuid NOT NULL REFERENCES orders,
		seq int GENERATED ALWAYS AS IDENTITY,
		at timestamptz NOT NULL DEFAULT clock_timestamp(),
		step text NOT NULL,
		status text NOT NULL,
		by text NOT NULL,
		detail text,
		PRIMARY KEY (order_id, seq))`);
	await query(`CREATE TABLE payment (
		id uuid PRIMARY KEY,
		order_id uuid NOT NULL UNIQUE,
		status text NOT NULL CHECK (status IN
			('requested', 'cancelling', 'captured', 'declined', 'voided', 'refunding', 'refunded', 'refund_failed')),
		method text,
		amount bigint,
		currency text,
		provider_ref text UNIQUE,
		version int NOT NULL DEFAULT 0,
		created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		updated_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
	// The built-in provider's own books. Nothing but the provider's adapter reads or writes them.
	await query(`CREATE TABLE sandbox_charge (
		key text PRIMARY KEY,
		ref text NOT NULL UNIQUE,
		amount bigint NOT NULL,
		currency text NOT NULL,
		status text NOT NULL CHECK (status IN ('captured', 'declined')),
		refund_key text UNIQUE,
		refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
		created_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
};

export const down: Migration = async context => {
	const { query } = context;
	await query("DROP TABLE sandbox_charge, payment, order_step, orders, cart_item, cart");
	await query("DROP SEQUENCE order_number");
	await dropIdempotencyTable(context);
	await dropJobTable(context);
	await dropTimerTable(context);
};
