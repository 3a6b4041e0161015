import { createHash } from "node:crypto";
import fc from "fast-check";
import {
	commitmentTo,
	flawOf,
	GENESIS,
	hashOfEntry,
	toAuditEntry,
	toSecurityEvent,
	type SecurityEntry
} from "./security-log.ts";

type Content = Pick<SecurityEntry, "id" | "type" | "userId" | "byId" | "at" | "detail" | "salt">;

/** A record as `logSecurity` makes it. */
function chainOf(contents: readonly Content[]): SecurityEntry[] {
	let previous = GENESIS;
	return contents.map((content, index) => {
		const { detail, salt, ...rest } = content;
		const commitment =
			detail === null
				? createHash("sha256").update(String(index)).digest("hex")
				: commitmentTo(detail, Buffer.from(salt!, "hex"));
		const entry = { ...rest, position: index + 1, commitment, previous };
		const hash = hashOfEntry(entry);
		previous = hash;
		return { ...entry, detail, salt, hash };
	});
}

function flawsOf(entries: readonly SecurityEntry[]): string[] {
	let before = { position: 0, hash: GENESIS };
	const flaws: string[] = [];
	for (const entry of entries) {
		const flaw = flawOf(entry, before);
		if (flaw) flaws.push(flaw);
		before = entry;
	}
	return flaws;
}

const hex = (bytes: number) =>
	fc
		.uint8Array({ minLength: bytes, maxLength: bytes })
		.map(array => Buffer.from(array).toString("hex"));
const time = fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true });
const detail = fc
	.record({ address: fc.string(), note: fc.string() })
	.map(value => JSON.stringify(value));
const person = fc.option(fc.uuid(), { nil: null });
const content: fc.Arbitrary<Content> = fc
	.record({
		id: fc.uuid(),
		type: fc.string(),
		userId: person,
		byId: person,
		at: time,
		secret: fc.option(fc.record({ detail, salt: hex(16) }), { nil: null })
	})
	.map(({ secret, ...rest }) => ({ ...rest, ...(secret ?? { detail: null, salt: null }) }));
const chain = fc.array(content, { minLength: 2, maxLength: 8 }).map(chainOf);

/** Another value of each field that is kept. */
const changes = {
	position: fc.integer({ min: -5, max: 20 }),
	id: fc.uuid(),
	type: fc.string(),
	userId: person,
	byId: person,
	at: time,
	detail,
	salt: hex(16),
	commitment: hex(32),
	previous: hex(32),
	hash: hex(32)
} satisfies { [K in keyof SecurityEntry]: fc.Arbitrary<SecurityEntry[K]> };
const change = fc.oneof(
	...Object.entries(changes).map(([field, value]) =>
		(value as fc.Arbitrary<unknown>).map(other => ({ field: field as keyof SecurityEntry, other }))
	)
);

describe("a chain of entries", () => {
	it("has no flaw as it was written, nor with details erased", () => {
		fc.assert(
			fc.property(chain, fc.nat(), (entries, at) => {
				expect(flawsOf(entries)).toEqual([]);
				const erased = { ...entries[at % entries.length]!, detail: null, salt: null };
				expect(flawsOf(entries.with(at % entries.length, erased))).toEqual([]);
			})
		);
	});

	it("has one after any change of any entry", () => {
		fc.assert(
			fc.property(chain, fc.nat(), change, (entries, at, { field, other }) => {
				const index = at % entries.length;
				const entry = entries[index]!;
				// What was erased has neither, and the database takes no half of it.
				fc.pre(!(entry.detail === null && (field === "detail" || field === "salt")));
				const changed = { ...entry, [field]: other };
				fc.pre(JSON.stringify(changed) !== JSON.stringify(entry));
				expect(flawsOf(entries.with(index, changed))).not.toEqual([]);
			}),
			{ numRuns: 1_000 }
		);
	});

	it("has one after any is taken out but the last, moved, or repeated", () => {
		fc.assert(
			fc.property(chain, fc.nat(), fc.nat(), (entries, a, b) => {
				const [one, two] = [a % entries.length, b % entries.length];
				expect(flawsOf(entries.toSpliced(a % (entries.length - 1), 1))).not.toEqual([]);
				expect(flawsOf(entries.toSpliced(one, 0, entries[two]!))).not.toEqual([]);
				fc.pre(one !== two);
				const swapped = entries.with(one, entries[two]!).with(two, entries[one]!);
				expect(flawsOf(swapped)).not.toEqual([]);
			})
		);
	});

	it("has one after an entry is changed with its hash, unless all that follow are made anew", () => {
		fc.assert(
			fc.property(chain, fc.nat(), fc.string(), (entries, at, type) => {
				const index = at % (entries.length - 1);
				fc.pre(entries[index]!.type !== type);
				const changed = { ...entries[index]!, type };
				const rehashed = { ...changed, hash: hashOfEntry(changed) };
				expect(flawsOf(entries.with(index, rehashed))).not.toEqual([]);
				// Which is why a head is written down elsewhere.
				expect(flawsOf(chainOf(entries.with(index, rehashed)))).toEqual([]);
			})
		);
	});
});

describe("an entry that an admin caused", () => {
	const entry = chainOf([
		{
			id: "01",
			type: "disabled",
			userId: "a",
			byId: "b",
			at: new Date(0),
			detail: JSON.stringify({ address: "192.0.2.7", device: "Firefox", note: "why" }),
			salt: "00"
		}
	])[0]!;

	it("tells its user that it was one, and the operator from where", () => {
		const where = { address: "192.0.2.7", device: "Firefox" };
		expect(toSecurityEvent(entry)).toMatchObject({
			by: "admin",
			note: "why",
			address: null,
			device: null
		});
		expect(toSecurityEvent({ ...entry, byId: null })).toMatchObject({ by: "self", ...where });
		expect(toAuditEntry(entry)).toMatchObject({ byId: "b", erased: false, ...where });
		expect(toAuditEntry({ ...entry, detail: null, salt: null })).toMatchObject({
			erased: true,
			address: null
		});
	});
});
