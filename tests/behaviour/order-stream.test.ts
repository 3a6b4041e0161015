import { eventsOf, type ServerSentEvent } from "../support/event-source.ts";
import { api, urls } from "./shape.ts";

const someProduct = async (): Promise<{ id: string }> =>
	(await api.get("/products?inStock=true&sort=-price&limit=1")).body.items[0];

/** An order that takes its time; the token of who made it. */
async function slowOrder() {
	const { token } = await api.newCustomer();
	const { id } = await someProduct();
	await api.request("PUT", `/cart/items/${id}`, { token, body: { quantity: 1 } });
	const { body } = await api.checkOut(token, { method: "tok_slow", wait: 0 });
	return { token, id: body.id };
}
const streamOf = (base: string, id: string) => `${base}/api/v1/orders/${id}/events`;

describe("the stream of an order", () => {
	it("goes on at another gateway where it broke off, and ends with the order", async () => {
		const { token, id } = await slowOrder();
		const seen: ServerSentEvent[] = [];
		for await (const event of eventsOf(streamOf(urls[0]!, id), { token })) {
			seen.push(event);
			if (event.data.status === "awaiting_payment") break;
		}
		const after = seen.at(-1)!.id;
		for await (const event of eventsOf(streamOf(urls.at(-1)!, id), { token, after }))
			seen.push(event);
		expect(seen.map(event => event.id)).toEqual(seen.map((_, index) => String(index + 1)));
		expect(seen.at(-1)!.data.status).toBe("confirmed");
		const { body: timeline } = await api.get(`/orders/${id}/timeline`, token);
		expect(seen.map(({ data }) => data)).toEqual(timeline.items);
		// So that a browser does not come again.
		const { status } = await api.request("GET", `/orders/${id}/events`, {
			token,
			headers: { "Last-Event-ID": seen.at(-1)!.id }
		});
		expect(status).toBe(204);
	}, 30_000);

	it("tells of each step soon after it was taken", async () => {
		const { token, id } = await slowOrder();
		const late: number[] = [];
		for await (const { data } of eventsOf(streamOf(urls[0]!, id), { token }))
			late.push(Date.now() - Date.parse(data.at));
		// Without being woken it would look every three seconds only.
		expect(Math.max(...late.slice(1))).toBeLessThan(2_500);
	}, 30_000);

	it("is the customer's own", async () => {
		const { id } = await slowOrder();
		const { token } = await api.newCustomer();
		const { status, body } = await api.get(`/orders/${id}/events`, token);
		expect([status, body.code]).toEqual([404, "NOT_FOUND"]);
	});
});
