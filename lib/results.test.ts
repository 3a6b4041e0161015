import { ServiceBroker, type Middleware } from "moleculer";
import { Type } from "typebox";
import { startTestNode } from "../tests/support/node.ts";
import { categories } from "../contracts/categories.ts";
import { brokerOptions } from "./broker.ts";
import { readConfig } from "./config.ts";
import { resultMiddleware } from "./results.ts";
import { implement } from "./service.ts";

describe("what an action answers", () => {
	const broker = new ServiceBroker({
		logger: false,
		middlewares: [resultMiddleware as unknown as Middleware]
	});
	let answer: unknown;
	const Answer = Type.Object({
		name: Type.String(),
		at: Type.Optional(Type.String({ format: "date-time", default: "2026-01-01T00:00:00Z" }))
	});
	beforeAll(() => {
		broker.createService({
			name: "box",
			actions: {
				promised: { result: Answer, handler: () => answer } as never,
				free: () => answer
			}
		});
		return broker.start();
	});
	afterAll(() => broker.stop());
	const given = (value: unknown) => {
		answer = value;
		return broker.call("box.promised");
	};

	it("passes as it is where it keeps the promise", async () => {
		const kept = { name: "x", more: 1 };
		expect(await given(kept)).toBe(kept);
		// Nothing is filled in that production would lack.
		expect(kept).toEqual({ name: "x", more: 1 });
	});

	it.each([
		["a missing field", {}],
		["another type", { name: 1 }],
		["a Date, which would travel as text", { name: "x", at: new Date() }],
		["nothing", undefined]
	])("is refused where it breaks it: %s", async (_, value) => {
		await expect(given(value)).rejects.toMatchObject({ code: 500, type: "CONTRACT_VIOLATION" });
	});

	it("is refused by field, without its values", async () => {
		await expect(given({ name: { secret: "hunter2" } })).rejects.toThrow(
			/'box\.promised' breaks its contract.*"field":"name"/
		);
		await expect(given({ name: { secret: "hunter2" } })).rejects.not.toThrow("hunter2");
	});

	it("is free where nothing was promised", async () => {
		answer = 42;
		expect(await broker.call("box.free")).toBe(42);
	});
});

describe("answers of our services", () => {
	it("are checked outside production", async () => {
		const node = await startTestNode([], {
			fakes: [
				implement(categories)({
					actions: {
						list: async () => ({ items: [], nextCursor: "not null" as never }),
						get: async () => ({}) as never,
						create: async () => ({}) as never,
						update: async () => ({}) as never,
						remove: async () => null
					}
				})
			]
		});
		await expect(node.call("categories.get", { idOrSlug: "desks" })).rejects.toMatchObject({
			type: "CONTRACT_VIOLATION"
		});
		await node.stop();
	});

	it("are not in production", () => {
		const names = (NODE_ENV: string) =>
			brokerOptions(readConfig({ NODE_ENV }), "n").middlewares!.map(
				middleware => (middleware as { name: string }).name
			);
		expect(names("development")).toEqual(expect.arrayContaining(["Access", "Results"]));
		expect(names("production")).not.toContain("Results");
	});
});
