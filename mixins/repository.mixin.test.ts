import { randomUUID } from "node:crypto";
import type { Service } from "moleculer";
import { DataTypes, Op } from "sequelize";
import { Type } from "typebox";
import { Id, Params } from "../contracts/common.ts";
import { contract } from "../lib/contract.ts";
import { implement } from "../lib/service.ts";
import { createSigningKeys } from "../lib/signing-keys.ts";
import { startTestNode, type TestNode } from "../tests/support/node.ts";
import { defineModel, repository, type RepositoryMethods } from "./repository.mixin.ts";

interface Item {
	readonly id: string;
	readonly name: string;
	readonly size: number;
	readonly secret: string;
	readonly createdAt: Date;
}

const itemModel = defineModel<Item>(
	"item",
	() => ({
		id: { type: DataTypes.UUID, primaryKey: true },
		name: DataTypes.TEXT,
		size: DataTypes.INTEGER,
		secret: DataTypes.TEXT,
		createdAt: DataTypes.DATE
	}),
	{ tableName: "items" }
);

const items = <const N extends string>(name: N) =>
	contract({
		name,
		failures: {},
		actions: {
			// Named like one of moleculer-db's own.
			get: {
				summary: "An item's name",
				access: "public",
				params: Params({ id: Id }),
				result: Type.Union([Type.String(), Type.Null()])
			}
		},
		events: {}
	});

const itemService = (name: string) =>
	implement(items(name))({
		mixins: [
			repository({
				group: "users",
				model: itemModel,
				fields: ["id", "name", "size", "createdAt"],
				// As careless as a schema can be: the mixin must hold all the same.
				filters: { name: Type.Any(), size: Type.Integer() },
				sorts: ["name", "-size"],
				maxLimit: 10
			})
		],
		actions: {
			get: async function ({ params }) {
				return (await this.findById(params.id))?.name ?? null;
			}
		}
	});

type Items = RepositoryMethods<Omit<Item, "secret">, object, string>;
/** As somebody would call it who has got round the types. */
type Untyped = {
	findMany(query: unknown): Promise<Item[]>;
	findById(id: unknown): Promise<unknown>;
};

describe("a repository", () => {
	let node: TestNode;
	let service: Service & Items & Untyped & { adapter: { db: unknown; model: unknown } };
	const known = randomUUID();
	const database = () => node.runtime.database("users");
	const local = (name: string) => node.broker.getLocalService(name) as unknown as typeof service;
	const tableOf = () => database().one("SELECT to_regclass('items') AS name");
	const refused = (query: unknown) =>
		expect(service.findMany(query)).rejects.toMatchObject({ type: "VALIDATION_ERROR", code: 422 });

	beforeAll(async () => {
		node = await startTestNode(["users"], {
			env: { AUTH_KEYS: await createSigningKeys() },
			fakes: [itemService("items"), itemService("more-items")]
		});
		service = local("items");
	});
	afterAll(() => node.stop());

	it("makes no table (D9)", async () => {
		expect(await tableOf()).toEqual({ name: null });
	});

	describe("of some rows", () => {
		beforeAll(async () => {
			await database().query(
				"CREATE TABLE items (id uuid, name text, size int, secret text, created_at timestamptz)"
			);
			await database().query(
				`INSERT INTO items SELECT CASE n WHEN 1 THEN $1 ELSE gen_random_uuid() END, 'item' || n, n,
				   'secret' || n, '2026-01-02T03:04:05.678Z' FROM generate_series(1, 30) AS n`,
				[known]
			);
		});

		it("finds one by id, and many by filter, sort and limit", async () => {
			const first = { id: known, name: "item1", size: 1, createdAt: "2026-01-02T03:04:05.678Z" };
			expect(await service.findById(known)).toEqual(first);
			expect(await service.findById(randomUUID())).toBeUndefined();
			expect(await service.findMany({ filter: { name: "item1", size: undefined } })).toEqual([
				first
			]);
			const largest = await service.findMany({ sort: "-size", limit: 3 });
			expect(largest.map(({ size }) => size)).toEqual([30, 29, 28]);
		});

		it("publishes none of moleculer-db's actions, and lends them nothing (D1, D2, D8)", async () => {
			const actions = node.broker.registry.actions
				.list({ onlyLocal: true })
				.filter(({ name }: { name: string }) => name.startsWith("items."));
			expect(actions.map(({ name }: { name: string }) => name)).toEqual(["items.get"]);
			const { action } = actions[0] as unknown as { action: Record<string, unknown> };
			expect(action["rest"]).toBeUndefined();
			expect(action["cache"]).toBeUndefined();
			expect(action["params"]).toEqual(items("items").actions.get.params);
			for (const name of ["create", "insert", "update", "remove", "list", "find", "count"])
				await expect(node.broker.call(`items.${name}`, { id: known })).rejects.toMatchObject({
					type: "SERVICE_NOT_FOUND"
				});
			expect(await node.broker.call("items.get", { id: known })).toBe("item1");
		});

		it("lets undeclared columns out of neither the service nor the database (D3)", async () => {
			const { sequelize } = database();
			const statements: string[] = [];
			sequelize.addHook("afterQuery", "listen", (_, query) => {
				statements.push((query as unknown as { sql: string }).sql);
			});
			try {
				const found = [await service.findById(known), ...(await service.findMany({}))];
				expect(found).toHaveLength(11);
				for (const row of found)
					expect(Object.keys(row as object).sort()).toEqual(["createdAt", "id", "name", "size"]);
			} finally {
				sequelize.removeHook("afterQuery", "listen");
			}
			expect(statements).toHaveLength(2);
			for (const statement of statements) expect(statement).not.toMatch(/secret|\*/);
		});

		it("is no oracle for them (D4)", async () => {
			await refused({ filter: { secret: "secret1" } });
			await refused({ sort: "secret" });
			await refused({ sort: "-secret" });
			await refused({ sort: "size" });
			await refused({ search: "secret1", searchFields: ["secret"] });
			await refused({ query: { secret: "secret1" } });
			await refused({ fields: ["secret"] });
		});

		it("takes scalars only: no lists, operators, paths or casts (D5)", async () => {
			for (const name of [
				["item1"],
				{ $ne: "item1" },
				{ [Op.ne]: "item1" },
				null,
				{ path: { to: 1 } }
			])
				await refused({ filter: { name } });
			for (const column of ["$items.secret$", "secret::text", "name.path", "nobody"])
				await refused({ filter: { [column]: "x" } });
			await refused({ filter: { size: "1" } });
			// Operators are symbols, which no schema sees.
			const filter = { size: 2, [Op.or]: [{ secret: "secret1" }] };
			expect(await service.findMany({ filter })).toMatchObject([{ size: 2 }]);
		});

		it("never returns more than its limit (D6)", async () => {
			expect(await service.findMany()).toHaveLength(10);
			expect(await service.findMany({ limit: 1_000 })).toHaveLength(10);
			expect(await service.findMany({ limit: 4 })).toHaveLength(4);
			for (const limit of [0, -1]) await refused({ limit });
		});

		it("meets odd numbers and ids without asking the database (D7)", async () => {
			expect(await service.findMany({ limit: 1e300 })).toHaveLength(10);
			for (const limit of [Number.NaN, Infinity, 1.5, "10", "0x10", [10]]) await refused({ limit });
			for (const id of [
				"abc",
				"1".repeat(20),
				"",
				`${known} `,
				`{${known}}`,
				7,
				[known],
				null,
				undefined
			])
				expect(await service.findById(id)).toBeUndefined();
		});

		it("refuses text that PostgreSQL cannot hold (D10)", async () => {
			for (const name of ["item1\u0000", "\u0000", "a\u0007b", "\ud800", "x\udfff"])
				await refused({ filter: { name } });
			expect(await service.findMany({ filter: { name: "snowman \u2603 and \u{1f600}" } })).toEqual(
				[]
			);
		});

		it("uses the group's own pool and one model, and leaves both behind when it stops", async () => {
			const { sequelize } = database();
			expect(service.adapter.db).toBe(sequelize);
			expect(local("more-items").adapter.db).toBe(sequelize);
			expect(itemModel(sequelize)).toBe(sequelize.model("item"));
			expect(itemModel(sequelize)).toBe(itemModel(sequelize));
			await node.broker.destroyService(local("more-items"));
			expect(await service.findById(known)).toMatchObject({ name: "item1" });
		});
	});
});
