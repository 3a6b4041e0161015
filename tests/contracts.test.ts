import { readFileSync } from "node:fs";
import { join } from "node:path";
import { allContracts } from "../contracts/index.ts";
import { breakingChanges } from "../lib/compatibility.ts";
import { commonFailures, type ServiceContract } from "../lib/contract.ts";

const actions = allContracts.flatMap(contract =>
	Object.entries(contract.actions).map(([name, action]) => ({
		name: `${contract.name}.${name}`,
		contract,
		action
	}))
);
const events = allContracts.flatMap(contract => Object.entries(contract.events));
const isClosed = (schema: object) =>
	(schema as { additionalProperties?: unknown }).additionalProperties === false;
const repeated = (names: readonly string[]) =>
	names.filter((name, index) => names.indexOf(name) !== index);

describe("the contracts", () => {
	it("keep what they promised when docs/contracts.json was written", () => {
		const file = join(import.meta.dirname, "..", "docs", "contracts.json");
		const promised = JSON.parse(readFileSync(file, "utf8")) as ServiceContract[];
		expect(promised.length).toBeGreaterThan(0);
		expect(breakingChanges(promised, allContracts)).toEqual([]);
	});

	it("are of services with names of their own", () => {
		expect(repeated(allContracts.map(({ name }) => name))).toEqual([]);
	});

	it("give no two actions the same route, whatever its parameters are called", () => {
		const routes = actions.flatMap(({ action }) => action.rest?.route ?? []);
		expect(routes.length).toBeGreaterThan(0);
		expect(repeated(routes.map(route => route.replaceAll(/:\w+/g, ":")))).toEqual([]);
	});

	it("give a failure the same status everywhere", () => {
		const statuses = new Map<string, Set<number>>();
		for (const failures of [commonFailures, ...allContracts.map(({ failures: own }) => own)])
			for (const [code, { status }] of Object.entries(failures))
				statuses.set(code, (statuses.get(code) ?? new Set()).add(status));
		expect([...statuses].filter(([, { size }]) => size > 1)).toEqual([]);
	});
});

describe.each(actions)("the action $name", ({ contract, action }) => {
	it("says what it does and who may call it", () => {
		expect(action.summary).toMatch(/\S/);
		expect(["public", "user", "staff", "admin", "internal"]).toContain(action.access);
	});

	it("has a route only where it is not internal", () => {
		expect(action.access === "internal" && action.rest !== undefined).toBe(false);
	});

	it("takes no parameter that nobody declared", () => {
		expect(isClosed(action.params)).toBe(true);
	});

	it("declares the failures that it names", () => {
		const declared = [...Object.keys(contract.failures), ...Object.keys(commonFailures)];
		expect((action.failures ?? []).filter(code => !declared.includes(code))).toEqual([]);
	});

	it("may be repeated where it has an Idempotency-Key", () => {
		const hasKey = Object.hasOwn(action.rest?.headers ?? {}, "idempotency-key");
		expect(!hasKey || action.idempotent === true).toBe(true);
	});
});

describe("the events", () => {
	it("have names of their own", () => {
		expect(repeated(events.map(([type]) => type))).toEqual([]);
	});

	it.each(events)("%s is named as events are and may get more fields", (type, event) => {
		expect(type).toMatch(/^[a-z-]+\.[a-z-]+\.v\d+$/);
		expect(event.summary).toMatch(/\S/);
		expect(isClosed(event.data)).toBe(false);
	});
});
