import { Type } from "typebox";
import type { Change } from "../lib/compatibility.ts";
import { contract, type ServiceContract } from "../lib/contract.ts";
import {
	affectedBy,
	callersOf,
	handlersOf,
	recordersOf,
	watchersOf,
	type UnitCode
} from "./usage.ts";

const unit = (code: Partial<UnitCode>): UnitCode => ({
	unit: "orders",
	schemas: [],
	source: "",
	...code
});
const OPENED = "box.opened.v1";

describe("who uses an event", () => {
	it.each([
		["records it", `await tx.record("${OPENED}", box, {});`, ["orders"]],
		["decides on it", `return { type: "${OPENED}" };`, ["orders"]],
		["handles it", `events: { "${OPENED}": open }`, []],
		["handles it as a method", `events: { async "${OPENED}"(event) {} }`, []],
		["speaks of its type", `type Opened = Events["${OPENED}"];`, []],
		["records another version", `record("${OPENED}2")`, []],
		["records what looks alike", `record("box-opened.v1")`, []]
	])("tells recorders by their sources: one that %s", (_, source, expected) => {
		expect(recordersOf([unit({ source })], OPENED)).toEqual(expected);
	});

	it("tells handlers and watchers by their schemas", () => {
		const units = [
			unit({
				schemas: [{ name: "orders", durable: { [OPENED]: () => {} } }, { name: "payments" }]
			}),
			unit({ unit: "gateway", schemas: [{ name: "gateway", events: { [OPENED]: () => {} } }] })
		];
		expect(handlersOf(units, OPENED)).toEqual(["orders: orders"]);
		expect(watchersOf(units, OPENED)).toEqual(["gateway: gateway"]);
		expect(handlersOf(units, "box.closed.v1")).toEqual([]);
		expect(watchersOf(units, "toString")).toEqual([]);
	});
});

describe("who calls an action", () => {
	it.each([
		["calls it", `await ctx.call("boxes.get", { id })`, ["orders"]],
		["calls it over two lines", `await caller.call(\n\t"boxes.get",\n\t{}\n)`, ["orders"]],
		["makes up its name", "caller.call(`${kind}es.get`, {})", ["orders"]],
		["makes up any name", "return `${service}.${name}`", []],
		["makes up another", "caller.call(`${kind}es.put`, {})", []],
		["calls another", `ctx.call("boxes.getAll", {})`, []],
		["speaks of its type", `type Box = Actions["boxes.get"]["result"];`, []],
		["keeps its answers under its name", `once(tx, { action: "boxes.get", key })`, []]
	])("tells it by its source: one that %s", (_, source, expected) => {
		expect(callersOf([unit({ source })], "boxes.get")).toEqual(expected);
	});
});

describe("whom a broken promise concerns", () => {
	const EMPTY = { status: 409, message: "The box is empty." };
	const action = {
		summary: "",
		access: "public" as const,
		params: Type.Object({}),
		result: Type.Null()
	};
	const boxes = contract({
		name: "boxes",
		failures: { EMPTY },
		actions: {
			take: { ...action, failures: ["EMPTY"], rest: { route: "POST /boxes", tag: "Boxes" } },
			peek: { ...action, failures: ["EMPTY"] },
			count: action
		},
		events: { [OPENED]: { summary: "", data: Type.Object({}) } }
	}) as ServiceContract;
	const units = [
		unit({
			unit: "catalog",
			source: `record("${OPENED}"); call("boxes.count"); call("boxes.peek")`
		}),
		unit({ schemas: [{ name: "payments", durable: { [OPENED]: () => {} } }] }),
		unit({ unit: "gateway", schemas: [{ name: "gateway", events: { [OPENED]: () => {} } }] })
	];
	const affected = (kind: Change["kind"], subject: string) =>
		affectedBy({ kind, subject, text: "" }, [boxes], units).map(({ who, how }) => `${who} ${how}`);

	it("are those who handle, watch and record an event", () => {
		expect(affected("event", OPENED)).toEqual([
			"orders: payments handles it",
			"gateway: gateway watches it",
			"catalog records it"
		]);
	});

	it("are those who call an action, and clients where it has a route", () => {
		expect(affected("action", "boxes.take")).toEqual(["REST clients POST /api/v1/boxes"]);
		expect(affected("action", "boxes.count")).toEqual(["catalog calls boxes.count"]);
	});

	it("are those who call what may answer with a failure", () => {
		expect(affected("failure", "boxes.EMPTY")).toEqual([
			"REST clients POST /api/v1/boxes",
			"catalog calls boxes.peek"
		]);
	});

	it("may be nobody", () => {
		expect(affected("event", "box.closed.v1")).toEqual([]);
	});
});
