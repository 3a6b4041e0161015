/** The books of a whole system, read from all its databases once nothing moves any more. */
import pg from "pg";
import { DIFFERENCES } from "../../services/catalog/inventory.store.ts";

/** What checkout.md calls invariants: each names a query that must find nothing. */
const INVARIANTS: Record<"orders" | "catalog", Record<string, string>> = {
	orders: {
		"an order is neither confirmed nor cancelled":
			"SELECT id, status FROM orders WHERE status NOT IN ('confirmed', 'cancelled')",
		"a confirmed order without exactly its money": `SELECT o.id, p.status, p.amount, o.total_amount FROM orders o LEFT JOIN payment p ON p.order_id = o.id
			LEFT JOIN sandbox_charge c ON c.ref = p.provider_ref
			WHERE o.status = 'confirmed' AND (p.status IS DISTINCT FROM 'captured' OR p.amount <> o.total_amount
				OR c.status IS DISTINCT FROM 'captured' OR c.amount <> o.total_amount OR c.refunded <> 0)`,
		"a cancelled order whose money was kept": `SELECT o.id FROM orders o JOIN sandbox_charge c ON c.key LIKE 'pay:' || o.id || ':%'
			WHERE o.status = 'cancelled' AND c.status = 'captured' AND c.refunded <> c.amount`,
		"a charge without an order": `SELECT key FROM sandbox_charge c
			WHERE NOT EXISTS (SELECT FROM orders o WHERE c.key LIKE 'pay:' || o.id || ':%')`,
		"two charges for one order": `SELECT split_part(key, ':', 2) FROM sandbox_charge WHERE status = 'captured'
			GROUP BY 1 HAVING count(*) > 1`,
		"an event that is not published": "SELECT id, type FROM outbox WHERE published_at IS NULL",
		"a dead letter": "SELECT consumer, type, reason FROM dead_letter",
		"a gap in an aggregate's versions": `SELECT aggregate_type, aggregate_id FROM outbox GROUP BY 1, 2
			HAVING max(aggregate_version) <> count(*)`
	},
	catalog: {
		"stock that is not what the ledger and the orders add up to": DIFFERENCES,
		"a reservation still open": "SELECT order_id FROM reservation WHERE status = 'active'",
		"an event that is not published": "SELECT id, type FROM outbox WHERE published_at IS NULL",
		"a dead letter": "SELECT consumer, type, reason FROM dead_letter"
	}
};

/** Everything that does not add up, by name; empty where all does. `server` is the URL without a database. */
export async function violations(server: string): Promise<Record<string, unknown[]>> {
	const found: Record<string, unknown[]> = {};
	for (const [database, checks] of Object.entries(INVARIANTS)) {
		const client = new pg.Client({ connectionString: `${server}/${database}` });
		await client.connect();
		try {
			for (const [name, query] of Object.entries(checks)) {
				const { rows } = await client.query(query);
				if (rows.length > 0) found[`${database}: ${name}`] = rows;
			}
		} finally {
			await client.end();
		}
	}
	const differing = await soldDiffers(server);
	if (differing.length > 0) found["sold is not what was confirmed"] = differing;
	return found;
}

/** Units sold per product, as confirmed orders and as stock tell it. */
async function soldDiffers(server: string): Promise<unknown[]> {
	const read = async (database: string, query: string) => {
		const client = new pg.Client({ connectionString: `${server}/${database}` });
		await client.connect();
		try {
			const { rows } = await client.query<{ product: string; sold: number }>(query);
			return new Map(rows.map(({ product, sold }) => [product, sold]));
		} finally {
			await client.end();
		}
	};
	const confirmed = await read(
		"orders",
		`SELECT item->>'productId' AS product, sum((item->>'quantity')::int)::int AS sold
		 FROM orders, jsonb_array_elements(items) AS item WHERE status = 'confirmed' GROUP BY 1`
	);
	const stock = await read(
		"catalog",
		"SELECT product_id::text AS product, sold FROM stock WHERE sold > 0"
	);
	return [...new Set([...confirmed.keys(), ...stock.keys()])]
		.filter(product => confirmed.get(product) !== stock.get(product))
		.map(product => ({ product, confirmed: confirmed.get(product), stock: stock.get(product) }));
}
