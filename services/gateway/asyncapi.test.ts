import { randomUUID } from "node:crypto";
import { Parser } from "@asyncapi/parser";
import { allContracts } from "../../contracts/index.ts";
import { createAjv } from "../../lib/validator.ts";
import { envelope } from "../../tests/support/publisher.ts";
import { asyncApiDocument } from "./asyncapi.ts";

type Json = Record<string, any>;
const document: Json = asyncApiDocument(allContracts);
const events = allContracts.flatMap(contract => Object.entries(contract.events));

/** What the official parser has against a document. That there is a newer AsyncAPI is no mistake. */
async function mistakesIn(text: string): Promise<string[]> {
	const { diagnostics } = await new Parser().parse(text);
	return diagnostics
		.filter(({ code }) => code !== "asyncapi-latest-version")
		.map(({ message, path }) => `${path.join(" ")}: ${message}`);
}

describe("the AsyncAPI document", () => {
	it("is plain JSON of version 3.0", () => {
		expect(JSON.parse(JSON.stringify(document))).toEqual(document);
		expect(document["asyncapi"]).toBe("3.0.0");
	});

	it("is accepted by the official parser", async () => {
		expect(await mistakesIn(JSON.stringify(document))).toEqual([]);
	});

	it.each<[string, (broken: Json) => void, RegExp]>([
		[
			"an operation that is neither sent nor received",
			({ operations }) => (operations["order.events.send"].action = "shout"),
			/allowed values: "send", "receive"/
		],
		[
			"a message of another channel",
			({ operations }) =>
				(operations["order.events.send"].messages[0] = {
					$ref: "#/channels/user.events/messages/user.created.v1"
				}),
			/does not belong to the specified channel/
		],
		[
			"a schema that is not there",
			({ components }) => delete components.schemas["order.created.v1"],
			/does not exist/
		],
		[
			"a schema of no type that there is",
			({ components }) => (components.schemas["Money"].properties.amount.type = "cents"),
			/type.*allowed values/
		]
	])("would be refused with %s", async (_, spoil, mistake) => {
		const broken = structuredClone(document);
		spoil(broken);
		expect((await mistakesIn(JSON.stringify(broken))).join("\n")).toMatch(mistake);
	});

	it("has every event in the channel of its topic, with what it tells", () => {
		expect(Object.keys(document["components"].messages)).toEqual(events.map(([type]) => type));
		for (const [type, { summary }] of events) {
			const topic = `${type.split(".")[0]}.events`;
			expect(document["channels"][topic].messages[type]).toEqual({
				$ref: `#/components/messages/${type}`
			});
			expect(document["components"].messages[type]).toMatchObject({ name: type, summary });
		}
	});

	it("tells where an event is on NATS", () => {
		expect(document["channels"]["order.events"].address).toBe("events.order.>");
		expect(document["components"].messages["order.created.v1"]["x-nats-subject"]).toBe(
			"events.order.created.v1"
		);
	});

	it("lets each topic be sent and received, with all its events", () => {
		for (const [topic, { messages }] of Object.entries<Json>(document["channels"]))
			for (const action of ["send", "receive"])
				expect(document["operations"][`${topic}.${action}`]).toMatchObject({
					action,
					channel: { $ref: `#/channels/${topic}` },
					messages: Object.keys(messages).map(type => ({
						$ref: `#/channels/${topic}/messages/${type}`
					}))
				});
	});

	it("names once what events share", () => {
		expect(document["components"].schemas["payment.processed.v1"].properties.amount).toEqual({
			$ref: "#/components/schemas/Money"
		});
	});

	describe("describes what is really sent:", () => {
		const ajv = createAjv()
			.addKeyword("components")
			.addSchema({ $id: "document", components: document["components"] });
		const isValid = (message: object) =>
			ajv.validate("document#/components/messages/order.paid.v1/payload", message);
		const id = randomUUID();
		const paid = envelope("order.paid.v1", id, 3, {
			orderId: id,
			number: "1001",
			userId: randomUUID(),
			total: { amount: 1999, currency: "EUR" }
		});

		it("an event in its envelope", () => {
			expect(isValid(paid)).toBe(true);
		});

		it.each([
			["another type", { type: "order.created.v1" }],
			["no data", { data: undefined }],
			["data of another event", { data: { orderId: id } }],
			["no version", { aggregateversion: 0 }]
		])("not one with %s", (_, changed) => {
			expect(isValid(JSON.parse(JSON.stringify({ ...paid, ...changed })))).toBe(false);
		});
	});
});
