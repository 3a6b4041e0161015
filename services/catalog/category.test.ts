import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_DEPTH } from "../../contracts/categories.ts";
import { isFailure } from "../../lib/failure.ts";
import { moveBranch, pathBelow, type Placed } from "./category.ts";

interface Node extends Placed {
	readonly parentId: string | null;
}

/** A tree as the store keeps it, changed by nothing but what the domain decides. */
class Tree {
	readonly nodes = new Map<string, Node>();
	#made = 0;

	/** One of the categories, or none. */
	at(index: number): Node | null {
		const all = [...this.nodes.values()];
		return all.length === 0 || index % (all.length + 1) === all.length
			? null
			: all[index % (all.length + 1)]!;
	}
	deepest(): Node | null {
		return [...this.nodes.values()].reduce<Node | null>(
			(deepest, node) => (node.path.length > (deepest?.path.length ?? 0) ? node : deepest),
			null
		);
	}
	add(parent: Node | null): void {
		const id = `c${this.#made++}`;
		this.nodes.set(id, { id, parentId: parent?.id ?? null, path: pathBelow(parent, id) });
	}
	move(top: Node, slug: string, parent: Node | null): void {
		const below = [...this.nodes.values()].filter(
			({ id, path }) => id !== top.id && path.includes(top.path.at(-1)!)
		);
		for (const { id, path } of moveBranch(top, below, slug, parent)) {
			const parentId = id === top.id ? (parent?.id ?? null) : this.nodes.get(id)!.parentId;
			this.nodes.set(id, { id, parentId, path });
		}
	}
}

/** The path that follows from the parents; throws where they lead in a circle. */
function fold(tree: Tree, node: Node, steps = 0): string[] {
	if (steps > tree.nodes.size) throw new Error(`${node.id} hangs below itself.`);
	const parent = node.parentId === null ? null : tree.nodes.get(node.parentId)!;
	return [...(parent ? fold(tree, parent, steps + 1) : []), node.path.at(-1)!];
}

const step = fc.oneof(
	{ weight: 2, arbitrary: fc.record({ kind: fc.constant("add" as const), to: fc.nat(60) }) },
	{ weight: 2, arbitrary: fc.record({ kind: fc.constant("grow" as const) }) },
	{
		weight: 3,
		arbitrary: fc.record({ kind: fc.constant("move" as const), of: fc.nat(60), to: fc.nat(60) })
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("rename" as const), of: fc.nat(60) }) }
);

describe("the tree of categories", () => {
	it("stays a tree whose paths follow from its parents, whatever is moved where", () => {
		const refused = { CATEGORY_LOOP: 0, CATEGORY_TOO_DEEP: 0 };
		fc.assert(
			fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), steps => {
				const tree = new Tree();
				for (const [index, next] of steps.entries()) {
					const before = new Map(tree.nodes);
					try {
						const top = "of" in next ? tree.at(next.of) : null;
						if (next.kind === "add") tree.add(tree.at(next.to));
						else if (next.kind === "grow") tree.add(tree.deepest());
						else if (top && next.kind === "move")
							tree.move(top, top.path.at(-1)!, tree.at(next.to));
						else if (top)
							tree.move(top, `r${index}`, top.parentId ? tree.nodes.get(top.parentId)! : null);
					} catch (error) {
						const code = (Object.keys(refused) as (keyof typeof refused)[]).find(known =>
							isFailure(error, known)
						);
						if (!code) throw error;
						refused[code]++;
						// What is refused has changed nothing.
						assert.deepEqual(tree.nodes, before);
					}
					const nodes = [...tree.nodes.values()];
					expect(nodes.map(({ path }) => path)).toEqual(nodes.map(node => fold(tree, node)));
					expect(Math.max(0, ...nodes.map(({ path }) => path.length))).toBeLessThanOrEqual(
						MAX_DEPTH
					);
				}
			}),
			{ numRuns: 100 }
		);
		// Else it would have shown nothing.
		expect(refused.CATEGORY_LOOP).toBeGreaterThan(0);
		expect(refused.CATEGORY_TOO_DEEP).toBeGreaterThan(0);
	});

	it("keeps what hangs below the moved at its depth", () => {
		const [top, leaf] = [
			{ id: "1", path: ["a", "b"] },
			{ id: "2", path: ["a", "b", "c", "d"] }
		];
		expect(moveBranch(top, [leaf], "x", { id: "3", path: ["y"] })).toEqual([
			{ id: "1", path: ["y", "x"] },
			{ id: "2", path: ["y", "x", "c", "d"] }
		]);
		expect(moveBranch(top, [leaf], "b", null)).toEqual([
			{ id: "1", path: ["b"] },
			{ id: "2", path: ["b", "c", "d"] }
		]);
	});
});
