import { OPERATOR, type Identity } from "../../lib/identity.ts";
import { verifyAccessToken } from "../../lib/access-token.ts";
import { createSigningKeys } from "../../lib/signing-keys.ts";
import { startTestNode, type TestNode } from "../../tests/support/node.ts";
import { until } from "../../tests/support/until.ts";
import { eraseDetails, KEPT_DAYS, purgeDetails } from "./security-details.ts";
import { GENESIS, hashOfEntry, logSecurity, readEntries, verifyChain } from "./security-log.ts";

const PASSWORD = "correct horse battery";
type Head = { position: number; hash: string };

describe("the record of security events", () => {
	let node: TestNode;
	let keys: string;
	let count = 0;
	beforeAll(async () => {
		keys = await createSigningKeys();
		node = await startTestNode(["users"], { env: { AUTH_KEYS: keys } });
	});
	afterAll(() => node.stop());

	const db = () => node.runtime.database("users");
	const verify = (head?: Head) => node.call("audit.verify", head ? { head } : {});
	const newcomer = async () => {
		const username = `ada${++count}`;
		const who = { email: `${username}@example.com`, username, password: PASSWORD };
		return { login: username, user: await node.call("auth.register", who) };
	};
	const signedIn = async (login: string): Promise<Identity> => {
		const { accessToken } = await node.call("auth.login", { login, password: PASSWORD });
		return verifyAccessToken(accessToken, await node.call("auth.keys", {}));
	};

	it("verifies after all that accounts do, and tells each user the own part", async () => {
		const { login, user } = await newcomer();
		const wrong = node.call("auth.login", { login, password: "wrong password" });
		await expect(wrong).rejects.toMatchObject({ code: 401 });
		const identity = await signedIn(login);
		const change = { currentPassword: PASSWORD, newPassword: `${PASSWORD}!` };
		await node.call("passwords.change", change, identity);
		await node.call("users.manage", { id: user.id, roles: ["customer", "staff"] }, OPERATOR);
		await node.call("auth.logoutAll", {}, identity);
		const types = [
			"signed-out",
			"roles-changed",
			"password-changed",
			"signed-in",
			"sign-in-failed",
			"registered"
		];
		const { items } = await node.call("audit.list", { userId: user.id });
		expect(items.map(({ type }) => type)).toEqual(types);
		expect(items.find(({ type }) => type === "roles-changed")).toMatchObject({
			byId: OPERATOR.id,
			note: "customer, staff",
			erased: false
		});
		const mine = await node.call("audit.mine", {}, identity);
		expect(mine.items.map(({ type }) => type)).toEqual(types);
		const verdict = await verify();
		expect(verdict).toMatchObject({ flaws: [], erased: 0 });
		expect(await node.call("audit.head", {})).toEqual(verdict.head);
		expect(verdict.entries).toBe(verdict.head.position);
	});

	it("lists all, page by page, the newest first", async () => {
		for (let n = 0; n < 3; n++) await newcomer();
		const first = await node.call("audit.list", { limit: 2 });
		const second = await node.call("audit.list", { limit: 2, cursor: first.nextCursor! });
		const { position } = await node.call("audit.head", {});
		expect([...first.items, ...second.items].map(entry => entry.position)).toEqual(
			[0, 1, 2, 3].map(back => position - back)
		);
		const userId = OPERATOR.id;
		const foreign = node.call("audit.list", { cursor: first.nextCursor!, userId });
		await expect(foreign).rejects.toMatchObject({ type: "INVALID_CURSOR" });
	});

	it("is one chain without a gap, however many sign in at once at two nodes", async () => {
		const people = await Promise.all(Array.from({ length: 20 }, newcomer));
		const other = await startTestNode(["users"], {
			env: { AUTH_KEYS: keys, USERS_DATABASE_URL: db().url }
		});
		try {
			const before = await node.call("audit.head", {});
			await Promise.all(
				people.map(({ login }, index) =>
					(index % 2 ? node : other).call("auth.login", { login, password: PASSWORD })
				)
			);
			const { flaws, head } = await verify(before);
			expect(flaws).toEqual([]);
			expect(head.position).toBe(before.position + 20);
			const added = await readEntries(db(), before.position, 100);
			expect(new Set(added.map(({ userId }) => userId))).toEqual(
				new Set(people.map(({ user }) => user.id))
			);
		} finally {
			await other.stop();
		}
	});

	it("has no entry of what did not happen", async () => {
		const before = await node.call("audit.head", {});
		const undone = db().transaction(async tx => {
			await logSecurity(tx, { type: "disabled", userId: null });
			throw new Error("undone");
		});
		await expect(undone).rejects.toThrow("undone");
		expect(await node.call("audit.head", {})).toEqual(before);
	});

	describe("that somebody has changed in the database", () => {
		const HALFWAY = 3;
		const LAST = 6;
		let noted: Head;
		beforeEach(async () => {
			await db().query("DELETE FROM security_event");
			await db().query(
				"UPDATE security_chain SET position = 0, previous = decode($1, 'hex'), hash = decode($1, 'hex')",
				[GENESIS]
			);
			for (let n = 0; n < LAST; n++) {
				const client = { address: `192.0.2.${n}`, device: "Firefox" };
				const userId = crypto.randomUUID();
				await db().transaction(tx => logSecurity(tx, { type: "signed-in", userId, client }));
			}
			noted = await node.call("audit.head", {});
		});

		it("is good before", async () => {
			expect(await verify(noted)).toMatchObject({ entries: LAST, flaws: [] });
		});

		const flawsAfter = async (sql: string, head?: Head) => {
			await db().query(sql);
			return (await verify(head)).flaws;
		};
		/** As whoever knows how it works, and can write to all of it. */
		const remake = async (from: number) => {
			const entries = await readEntries(db(), 0, 100);
			let previous = entries.findLast(({ position }) => position < from)?.hash ?? GENESIS;
			let position = from - 1;
			for (const entry of entries.filter(each => each.position >= from)) {
				position++;
				const hash = hashOfEntry({ ...entry, position, previous });
				await db().query(
					`UPDATE security_event SET position = $1, previous = decode($2, 'hex'), hash = decode($3, 'hex')
					 WHERE id = $4`,
					[position, previous, hash, entry.id]
				);
				previous = hash;
			}
			await db().query("UPDATE security_chain SET position = $1, hash = decode($2, 'hex')", [
				position,
				previous
			]);
		};

		it.each([
			["type", "type = 'enabled'"],
			["user", "user_id = gen_random_uuid()"],
			["user, who is nobody now", "user_id = NULL"],
			["one who did it", "by_id = gen_random_uuid()"],
			["time", "at = at - interval '1 ms'"],
			["id", "id = gen_random_uuid()"],
			["commitment", "commitment = sha256('x')"],
			["hash", "hash = sha256('x')"]
		])("shows it by the entry whose %s is another", async (_, change) => {
			const flaws = await flawsAfter(
				`UPDATE security_event SET ${change} WHERE position = ${HALFWAY}`
			);
			expect(flaws[0]).toBe(`entry ${HALFWAY} was changed`);
		});

		it.each([
			["detail", `detail = '{"address":"192.0.2.99","device":"Firefox"}'`],
			["detail, by a space", "detail = (detail::text || ' ')::json"],
			["salt", "salt = sha256('x')"]
		])("shows it by the entry whose %s is another", async (_, change) => {
			expect(
				await flawsAfter(`UPDATE security_event SET ${change} WHERE position = ${HALFWAY}`)
			).toEqual([`the detail of entry ${HALFWAY} was changed`]);
		});

		it("shows it by the entry that follows another", async () => {
			expect(
				await flawsAfter(
					`UPDATE security_event SET previous = sha256('x') WHERE position = ${HALFWAY}`
				)
			).toEqual([`entry ${HALFWAY} does not follow the one before it`]);
		});

		it("shows which entries are missing, at the beginning, in the middle and at the end", async () => {
			const take = (condition: string) =>
				flawsAfter(`DELETE FROM security_event WHERE position ${condition}`);
			expect(await take(`= ${LAST}`)).toEqual([`entries ${LAST} to ${LAST} are missing`]);
			expect((await take("IN (3, 4)"))[0]).toBe("entries 3 to 4 are missing");
			expect((await take("= 1"))[0]).toBe("entries 1 to 1 are missing");
			expect(await take("> 0")).toEqual([`entries 1 to ${LAST} are missing`]);
		});

		it("shows that the others do not follow where one was taken out and they were moved up", async () => {
			expect(
				await flawsAfter(
					`WITH gone AS (DELETE FROM security_event WHERE position = ${LAST - 1})
					 UPDATE security_chain SET position = position - 1`
				)
			).not.toEqual([]);
			expect(
				await flawsAfter(
					`UPDATE security_event SET position = ${LAST - 1} WHERE position = ${LAST}`
				)
			).toContain(`entry ${LAST - 1} does not follow the one before it`);
		});

		it("shows one that was put in", async () => {
			const copy = (position: number) =>
				flawsAfter(
					`INSERT INTO security_event
					   (position, id, type, user_id, at, detail, salt, commitment, previous, hash)
					 SELECT ${position}, gen_random_uuid(), type, user_id, at, detail, salt, commitment, previous, hash
					 FROM security_event WHERE position = ${HALFWAY}`
				);
			await db().query("UPDATE security_event SET position = position + 100 WHERE position > 3");
			await copy(4);
			await db().query("UPDATE security_event SET position = position - 99 WHERE position > 100");
			await db().query("UPDATE security_chain SET position = position + 1");
			expect((await verify()).flaws).toEqual(
				expect.arrayContaining(["entry 4 does not follow the one before it", "entry 5 was changed"])
			);
			expect((await copy(-5))[0]).toBe("entry -5 stands where none can");
		});

		it("shows one that was added behind the end, though its hash is right", async () => {
			const end = await node.call("audit.head", {});
			await db().transaction(tx => logSecurity(tx, { type: "signed-in", userId: null }));
			await db().query("UPDATE security_chain SET position = $1, hash = decode($2, 'hex')", [
				end.position,
				end.hash
			]);
			expect((await verify()).flaws).toEqual([
				`entries ${LAST + 1} to ${LAST + 1} are behind the head of the chain`
			]);
		});

		it("shows two that have changed places", async () => {
			const flaws = await flawsAfter(
				`UPDATE security_event a SET id = CASE WHEN a.position = 2 THEN gen_random_uuid() ELSE a.id END,
				   user_id = b.user_id, at = b.at, detail = b.detail, salt = b.salt, commitment = b.commitment
				 FROM security_event b WHERE a.position IN (2, 4) AND b.position = 6 - a.position`
			);
			expect(flaws).toEqual(expect.arrayContaining(["entry 2 was changed", "entry 4 was changed"]));
		});

		it("shows a head that is another", async () => {
			expect(await flawsAfter("UPDATE security_chain SET hash = sha256('x')")).toEqual([
				"the head of the chain has another hash than the last entry"
			]);
		});

		it("and made anew from there on, shows it to whoever has a head written down, and to nobody else", async () => {
			await db().query(`UPDATE security_event SET type = 'enabled' WHERE position = ${HALFWAY}`);
			await remake(HALFWAY);
			expect((await verify()).flaws).toEqual([]);
			expect((await verify(noted)).flaws).toEqual([
				`entry ${LAST} has another hash than you wrote down`
			]);
		});

		it("and cut at its end, shows it to whoever has a head written down, and to nobody else", async () => {
			await db().query("DELETE FROM security_event WHERE position > 4");
			await remake(5);
			expect((await verify()).flaws).toEqual([]);
			expect((await verify(noted)).flaws).toEqual([`entry ${LAST} is missing`]);
			// Nor does it help that it grows again.
			for (let n = 0; n < 4; n++)
				await db().transaction(tx => logSecurity(tx, { type: "signed-in", userId: null }));
			expect((await verify(noted)).flaws).toEqual([
				`entry ${LAST} has another hash than you wrote down`
			]);
		});

		it("is told of in at most a hundred lines", async () => {
			for (let n = 0; n < 110; n++)
				await db().transaction(tx => logSecurity(tx, { type: "signed-in", userId: null }));
			expect(await flawsAfter("UPDATE security_event SET type = 'enabled'")).toHaveLength(100);
			expect(await verifyChain(db())).toMatchObject({ entries: 116 });
		});

		/** Writes down what happened so long ago. */
		const written = async (
			...events: readonly (Parameters<typeof logSecurity>[1] & { readonly ageMs?: number })[]
		) => {
			for (const { ageMs = 0, ...event } of events)
				await db().transaction(tx =>
					logSecurity(tx, { client: { address: "192.0.2.9", device: "" }, ...event }, ago(ageMs))
				);
		};
		const ago = (ms: number) => new Date(Date.now() - ms);
		const wipe = (condition: string) =>
			flawsAfter(`UPDATE security_event SET detail = NULL, salt = NULL WHERE ${condition}`);
		const unexplained = (position: number) =>
			`the detail of entry ${position} was erased, and nothing explains it`;
		/** A deletion as the service leaves it, or as somebody makes one up. */
		const deletionOf = (userId: string, status = "finished") =>
			db().query(
				`INSERT INTO deletion (id, user_id, status, finished_at)
				 VALUES (gen_random_uuid(), $1, $2, CASE $2 WHEN 'finished' THEN now() END)`,
				[userId, status]
			);
		const FROM_HERE = `position > ${LAST}`;

		it("by wiping what tells from where, shows it by each entry whose user is not gone", async () => {
			const { user } = await newcomer();
			const flaws = await wipe(`user_id = '${user.id}'`);
			expect(flaws).toEqual([unexplained(LAST + 1)]);
			await deletionOf(user.id, "requested");
			expect((await verify()).flaws).toEqual(flaws);
			// Nor does it help to make up that it is finished.
			await db().query("UPDATE deletion SET status = 'finished', finished_at = now()");
			expect((await verify()).flaws).toEqual(flaws);
			await db().query("DELETE FROM users WHERE id = $1", [user.id]);
			expect(await verify()).toMatchObject({ flaws: [], erased: 1 });
		});

		it("by wiping what an unknown name came from, or an operator did, shows it", async () => {
			await written(
				{ type: "sign-in-failed", userId: null },
				{ type: "imported", userId: null, by: OPERATOR.id },
				{ type: "signed-in", userId: crypto.randomUUID() }
			);
			expect(await wipe(FROM_HERE)).toEqual([7, 8, 9].map(unexplained));
		});

		it("only by an erasure, has no flaw, and says how many were erased", async () => {
			const [admin, user] = [crypto.randomUUID(), crypto.randomUUID()];
			await written(
				{ type: "signed-in", userId: admin },
				{ type: "signed-in", userId: user },
				{ type: "disabled", userId: user, by: admin }
			);
			expect(await db().transaction(tx => eraseDetails(tx, admin))).toBe(2);
			await deletionOf(admin);
			expect(await verify(noted)).toMatchObject({ flaws: [], erased: 2 });
			const { items } = await node.call("audit.list", { userId: user });
			expect(items).toMatchObject([
				{ type: "disabled", byId: admin, address: null, erased: true },
				{ type: "signed-in", address: "192.0.2.9", erased: false }
			]);
		});

		it("only by the purge, which takes what is old enough and nothing younger, has no flaw", async () => {
			const { nobody, somebody } = KEPT_DAYS;
			const [DAY_MS, MINUTE_MS] = [86_400_000, 60_000];
			const entries = [
				[null, undefined, nobody],
				[null, OPERATOR.id, somebody],
				[crypto.randomUUID(), undefined, somebody],
				[crypto.randomUUID(), OPERATOR.id, somebody]
			] as const;
			for (const [userId, by, days] of entries)
				await written(
					{ type: "sign-in-failed", userId, by, ageMs: days * DAY_MS },
					{ type: "sign-in-failed", userId, by, ageMs: days * DAY_MS - MINUTE_MS }
				);
			expect(await purgeDetails(db())).toBe(entries.length);
			expect(await purgeDetails(db())).toBe(0);
			expect(await verify(noted)).toMatchObject({ flaws: [], erased: entries.length });
			// The others are not old enough, whoever wipes them.
			expect(await wipe(FROM_HERE)).toEqual([8, 10, 12, 14].map(unexplained));
		});

		it("is purged by a node that starts", async () => {
			await written({ type: "sign-in-failed", userId: null, ageMs: 100 * 86_400_000 });
			const other = await startTestNode(["users"], {
				env: { AUTH_KEYS: keys, USERS_DATABASE_URL: db().url }
			});
			try {
				await until(async () => (await verify()).erased === 1, "the details are purged");
				expect((await verify(noted)).flaws).toEqual([]);
			} finally {
				await other.stop();
			}
		});
	});
});
