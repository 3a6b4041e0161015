import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { MUTANTS } from "../bin/chaos/mutants.ts";
import { CONTROLS } from "../bin/crash-matrix/controls.ts";
import { Ground } from "../bin/crash-matrix/ground.ts";

jest.setTimeout(120_000);

const root = join(import.meta.dirname, "..");

describe("a deliberately broken variant", () => {
	let ground: Ground;
	beforeAll(async () => {
		ground = await Ground.start();
	});
	afterAll(() => ground.stop());

	describe.each(CONTROLS.map(control => [control.mutant, control] as const))(
		"%s",
		(mutant, { scene, finds }) => {
			it("is caught", async () => {
				const { ok, verdict } = await scene.run(ground, { mutant, brief: true });
				expect(ok).toBe(false);
				expect(verdict[finds]).toBeGreaterThan(0);
			});

			it("is what makes the difference: without it the same scene is clean", async () => {
				const { ok, verdict } = await scene.run(ground, { brief: true });
				expect(verdict.details).toEqual([]);
				expect(ok).toBe(true);
			});
		}
	);

	it("is there for each mutant", () => {
		expect(CONTROLS.map(({ mutant }) => mutant)).toEqual(MUTANTS.map(({ name }) => name));
	});
});

describe("a mutant that no longer fits the code", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "valence-mutant-"));
		cpSync(join(root, "bin/chaos"), join(folder, "bin/chaos"), { recursive: true });
		writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
	});
	afterEach(() => rmSync(folder, { recursive: true }));

	/** Loads the mutant's file, which has this text, as a replica does. */
	const load = (mutant: (typeof MUTANTS)[number], text: string) => {
		const file = join(folder, mutant.file);
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(file, text);
		return spawnSync(process.execPath, ["--import", join(folder, "bin/chaos/mutate.ts"), file], {
			encoding: "utf8",
			env: { PATH: process.env["PATH"], MUTANT: mutant.name }
		});
	};

	/** A program that can be loaded, with every text that the mutant looks for so many times. */
	const fitting = ({ edits }: (typeof MUTANTS)[number], times: number): string =>
		edits.map(({ find }) => `/*${find}*/\n`.repeat(times)).join("");

	it.each(MUTANTS.map(mutant => [mutant.name, mutant] as const))(
		"%s does not load",
		(_, mutant) => {
			expect(load(mutant, fitting(mutant, 1))).toMatchObject({ status: 0 });
			for (const times of [0, 2]) {
				const { status, stderr } = load(mutant, fitting(mutant, times));
				expect(status).toBe(1);
				expect(stderr).toContain(`expects this once in ${mutant.file}`);
				expect(stderr).toContain(`${times} times`);
			}
		}
	);
});
