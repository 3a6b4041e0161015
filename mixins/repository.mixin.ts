/**
 * The repository layer: moleculer-db and its Sequelize adapter behind two typed methods. What they
 * would do by default (public actions, free queries, every column, no limit, `sync()`, a pool of
 * their own) is closed here by construction.
 */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import DbService from "moleculer-db";
import SequelizeDbAdapter from "moleculer-db-adapter-sequelize";
import type { Model, ModelAttributes, ModelOptions, ModelStatic, Sequelize } from "sequelize";
import { Type, type Static, type TSchema } from "typebox";
import { Id } from "../contracts/common.ts";
import type { Group } from "../lib/config.ts";
import { commonFailure } from "../lib/failure.ts";
import { runtimeOf } from "../lib/runtime.ts";
import { mixin, type Mixin } from "../lib/service.ts";
import { createAjv, fieldErrors, type FieldError } from "../lib/validator.ts";

/** Gives the model of a Sequelize instance. */
export type ModelOf<Row extends object> = (sequelize: Sequelize) => ModelStatic<Model<Row>>;

/**
 * A model over columns in snake_case, defined once per Sequelize instance, whoever asks for it.
 * `attributes` is a function because Sequelize writes into what it is given.
 */
export const defineModel =
	<Row extends object>(
		name: string,
		attributes: () => ModelAttributes<Model<Row>>,
		options: ModelOptions<Model<Row>>
	): ModelOf<Row> =>
	sequelize =>
		sequelize.isDefined(name)
			? sequelize.model(name)
			: sequelize.define<Model<Row>>(name, attributes(), {
					...options,
					underscored: true,
					timestamps: false
				});

/** A row as it travels: times are RFC 3339 strings. */
export type Travelling<Row> = { [K in keyof Row]: Row[K] extends Date ? string : Row[K] };

export interface RepositoryOptions<
	Row extends object,
	Field extends keyof Row & string,
	Filters extends { readonly [K in keyof Row]?: TSchema },
	Sort extends string
> {
	readonly group: Group;
	/** Has a column `id` of type uuid. */
	readonly model: ModelOf<Row>;
	/** The columns that leave the database at all. */
	readonly fields: readonly Field[];
	/** The columns that can be filtered by, each with the schema of its value: a scalar. */
	readonly filters: Filters;
	/** Columns to sort by; `-` in front means downwards. */
	readonly sorts: readonly Sort[];
	/** How many rows `findMany` returns at most, whatever it is asked for. */
	readonly maxLimit: number;
}

export interface FindMany<Filters, Sort> {
	readonly filter?: {
		[K in keyof Filters]?: Filters[K] extends TSchema ? Static<Filters[K]> : never;
	};
	readonly sort?: Sort;
	readonly limit?: number;
}

export interface RepositoryMethods<Found, Filters, Sort> {
	/** The row, reduced to the declared fields; undefined where there is none, or where this is no UUID. */
	findById(id: string): Promise<Found | undefined>;
	/** Rows, reduced likewise. Throws VALIDATION_ERROR for filters, sorts and values that are not declared. */
	findMany(query?: FindMany<Filters, Sort>): Promise<Found[]>;
}

/** Reads of one table, by `this.findById` and `this.findMany`. There are no writes: those belong in transactions. */
export function repository<
	Row extends object,
	const Field extends keyof Row & string,
	Filters extends { readonly [K in keyof Row]?: TSchema },
	const Sort extends (keyof Row & string) | `-${keyof Row & string}`
>(
	options: RepositoryOptions<Row, Field, Filters, Sort>
): Mixin<RepositoryMethods<Travelling<Pick<Row, Field>>, Filters, Sort>> {
	const { filters, sorts, maxLimit } = options;
	const isId = ajv.compile(Id);
	const isQuery = ajv.compile<FindMany<Record<string, unknown>, string>>(
		querySchema(filters, sorts)
	);
	return mixin({
		mixins: [dbService],
		// Not only those of today's version: none of moleculer-db's actions is ours.
		actions: Object.fromEntries(Object.keys(dbService.actions!).map(name => [name, false])),
		settings: { idField: "id" },
		adapter: sharedAdapter(options),
		methods: {
			async findById(this: DbMethods, id: string) {
				if (!isId(id)) return undefined;
				return (await this.transformDocuments(null, {}, await this.getById(id))) ?? undefined;
			},
			async findMany(this: DbMethods, query: unknown = {}) {
				if (!isQuery(query)) throw invalid(fieldErrors(isQuery.errors));
				const { filter = {}, sort, limit = maxLimit } = query;
				return this._find(null, {
					query: where(filter),
					sort: [...(sort ? [sort] : []), "id"],
					limit: Math.min(limit, maxLimit)
				});
			}
		}
	} as Partial<ServiceSchema>);
}

// Its types call it a class; it is a schema.
const dbService = DbService as unknown as ServiceSchema;
const ajv = createAjv();

const querySchema = (filters: Readonly<Record<string, unknown>>, sorts: readonly string[]) =>
	Type.Object(
		{
			filter: Type.Optional(
				Type.Object(
					Object.fromEntries(
						Object.entries(filters).map(([name, schema]) => [
							name,
							Type.Optional(schema as TSchema)
						])
					),
					{ additionalProperties: false }
				)
			),
			// JSON Schema has no empty list of choices.
			...(sorts.length > 0 ? { sort: Type.Optional(Type.Enum([...sorts])) } : {}),
			limit: Type.Optional(Type.Integer({ minimum: 1 }))
		},
		{ additionalProperties: false }
	);

// What a declared schema may have forgotten to exclude: an object or a list would be read as an
// operator, and such text would be stored and searched as something else than it is.
const isScalar = (value: unknown): boolean =>
	typeof value === "string"
		? !/[\p{Cc}\p{Cs}]/u.test(value)
		: ["number", "boolean"].includes(typeof value);

/** The condition in SQL. Made of names and scalars alone: operators are symbols and do not pass. */
function where(filter: Readonly<Record<string, unknown>>): Record<string, unknown> {
	const conditions = Object.entries(filter).filter(([, value]) => value !== undefined);
	const odd = conditions.filter(([, value]) => !isScalar(value));
	if (odd.length > 0)
		throw invalid(
			odd.map(([name]) => ({
				field: `filter.${name}`,
				code: "type",
				message: "must be plain text or a number"
			}))
		);
	return Object.fromEntries(conditions);
}

const invalid = (errors: readonly FieldError[]) => commonFailure("VALIDATION_ERROR", { errors });

/** What we use of moleculer-db. */
interface DbMethods {
	getById(id: string): Promise<object | null>;
	transformDocuments(ctx: null, params: object, found: object | null): Promise<object | null>;
	_find(ctx: null, params: object): Promise<object[]>;
}

/** An adapter on the group's own pool. It opens nothing, so it closes nothing, and never changes a table. */
function sharedAdapter<Row extends object>({
	group,
	model,
	fields
}: Pick<RepositoryOptions<Row, keyof Row & string, object, string>, "group" | "model" | "fields">) {
	class SharedAdapter extends SequelizeDbAdapter {
		declare broker: ServiceBroker;
		declare service: unknown;
		declare db: Sequelize;
		declare model: ModelStatic<Model<Row>>;

		// The instance comes from a closure: one in the schema would be cloned, pool and all.
		override init(broker: ServiceBroker, service: unknown): void {
			this.broker = broker;
			this.service = service;
			this.db = runtimeOf(broker).database(group).sequelize;
			// The scope names the columns in SQL; moleculer-db would fetch all and drop some. (Sequelize's
			// types forget that a scope may be made of find options.)
			this.model = model(this.db).scope({ attributes: [...fields] } as never);
		}
		override async connect(): Promise<void> {}
		override async disconnect(): Promise<void> {}
		override entityToObject(entity: { get(options: object): object }): object {
			return JSON.parse(JSON.stringify(entity.get({ plain: true }))) as object;
		}
	}
	return new SharedAdapter({});
}
