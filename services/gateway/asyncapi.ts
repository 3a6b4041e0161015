/** The events of the contracts as an AsyncAPI 3.0 document. */
import type { EventContract, ServiceContract } from "../../lib/contract.ts";
import {
	aggregateType,
	Attributes,
	natsSubject,
	natsSubjects,
	topicOf
} from "../../lib/events/envelope.ts";
import { Components, type Json } from "./openapi-schemas.ts";

const CONTENT_TYPE = "application/cloudevents+json";
const ref = (...path: string[]): Json => ({ $ref: `#/${path.join("/")}` });

/**
 * The document of all events: a channel for each topic, with a message for each event type. Pure:
 * the same contracts give the same document.
 */
export function asyncApiDocument(contracts: readonly ServiceContract[]): Json {
	const events = contracts.flatMap(contract => Object.entries(contract.events));
	const topics = [...Map.groupBy(events, ([type]) => topicOf(type))].map(
		([topic, those]) => [topic, those.map(([type]) => type)] as const
	);
	const components = new Components();
	const envelope = components.refer(Attributes);
	for (const [type, { data }] of events) components.schemas[type] = components.refer(data);
	return {
		asyncapi: "3.0.0",
		info: {
			title: "Valence",
			version: "1",
			license: { name: "MIT" },
			description:
				"Every fact of the system. It is recorded in the transaction of the change that it tells of, and handled effectively once by each service that is interested, in the order of its aggregate. The stream is for services, not for the public."
		},
		defaultContentType: CONTENT_TYPE,
		channels: Object.fromEntries(topics.map(([topic, types]) => [topic, channelOf(topic, types)])),
		operations: Object.fromEntries(
			topics.flatMap(([topic, types]) =>
				(["send", "receive"] as const).map(action => [
					`${topic}.${action}`,
					operationOf(action, topic, types)
				])
			)
		),
		components: {
			messages: Object.fromEntries(
				events.map(([type, contract]) => [type, messageOf(type, contract, envelope)])
			),
			schemas: components.schemas
		}
	};
}

const channelOf = (topic: string, types: readonly string[]): Json => ({
	address: natsSubjects(aggregateType(topic)),
	title: topic,
	messages: Object.fromEntries(types.map(type => [type, ref("components", "messages", type)]))
});

const operationOf = (
	action: "send" | "receive",
	topic: string,
	types: readonly string[]
): Json => ({
	action,
	channel: ref("channels", topic),
	summary:
		action === "send"
			? "Publish what was committed; again, where the stream lost it"
			: "Handle each event once, in the order of its aggregate",
	messages: types.map(type => ref("channels", topic, "messages", type))
});

const messageOf = (type: string, { summary }: EventContract, envelope: Json): Json => ({
	name: type,
	summary,
	contentType: CONTENT_TYPE,
	// A channel has one address, and each type a subject of its own below it.
	"x-nats-subject": natsSubject(type),
	payload: {
		allOf: [
			envelope,
			{
				type: "object",
				required: ["data"],
				properties: {
					type: { const: type },
					aggregatetype: { const: aggregateType(type) },
					data: ref("components", "schemas", type)
				}
			}
		]
	}
});
