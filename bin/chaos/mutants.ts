/**
 * Negative controls: deliberately broken variants of the real code, each of which a chaos run has to
 * catch. They are changes to the sources as these are loaded, so that the code itself has no switch
 * by which it could be broken.
 */

interface Edit {
	/** Occurs exactly once in the file; a mutant that no longer fits the code is an error. */
	readonly find: string;
	readonly replace: string;
}

export interface Mutant {
	readonly name: string;
	/** What is broken, for people. */
	readonly what: string;
	/** From the repository's root. */
	readonly file: string;
	readonly edits: readonly Edit[];
}

export const MUTANTS: readonly Mutant[] = [
	{
		name: "ack-before-commit",
		what: "the consumer acknowledges before its transaction commits",
		file: "lib/events/jetstream.ts",
		edits: [
			{
				find: "\t\tconst verdict = event\n",
				replace: "\t\tmessage.ack();\n\t\tconst verdict = event\n"
			}
		]
	},
	{
		name: "no-inbox",
		what: "what was handled before is handled again",
		file: "lib/events/inbox.ts",
		edits: [
			{
				find: "duplicates.inc({ consumer: this.consumer });\n\t\treturn DONE;",
				replace: "duplicates.inc({ consumer: this.consumer });\n\t\treturn undefined as never;"
			}
		]
	},
	{
		name: "relay-by-cursor",
		what: "the relay selects what comes after the last that it selected",
		file: "lib/events/relay.ts",
		edits: [
			{
				find: "WHERE o.published_at IS NULL\n\t\t\tAND o.aggregate_type",
				replace: "WHERE o.published_at IS NULL AND o.id > $4\n\t\t\tAND o.aggregate_type"
			},
			{
				find: "values: [[...this.#active], ...from]\n\t\t});",
				replace:
					"values: [[...this.#active], ...from, (this as any).last ?? 0]\n\t\t});\n\t\tfor (const { id } of rows)\n\t\t\tif (Number(id) > ((this as any).last ?? 0)) (this as any).last = Number(id);"
			}
		]
	},
	{
		name: "no-cursor-lock",
		what: "events of one aggregate are handled as they come",
		file: "lib/events/inbox.ts",
		edits: [
			{
				find: "if (!this.ordered) {\n\t\t\tconst entered",
				replace: "{\n\t\t\tconst entered"
			}
		]
	},
	{
		name: "mark-before-publish",
		what: "the outbox says that an event is published before the stream has it",
		file: "lib/events/relay.ts",
		edits: [
			{
				find: "\t\t\t\tconst receipt = await this.#publish(row, event);\n",
				replace:
					'\t\t\t\tawait database.query("UPDATE outbox SET published_at = clock_timestamp() WHERE id = $1", [row.id]);\n\t\t\t\tconst receipt = await this.#publish(row, event);\n'
			}
		]
	}
];

/** The mutant of this name; throws where there is none. */
export function mutantNamed(name: string): Mutant {
	const mutant = MUTANTS.find(each => each.name === name);
	if (mutant) return mutant;
	throw new Error(
		`There is no mutant '${name}'. There are: ${MUTANTS.map(each => each.name).join(", ")}.`
	);
}

/** The broken source. Throws where the code has moved on and the mutant would no longer break it. */
export function mutate({ name, file, edits }: Mutant, source: string): string {
	return edits.reduce((text, { find, replace }) => {
		const parts = text.split(find);
		if (parts.length !== 2)
			throw new Error(
				`The mutant ${name} expects this once in ${file}, and it is there ${parts.length - 1} times:\n${find}`
			);
		return parts.join(replace);
	}, source);
}
