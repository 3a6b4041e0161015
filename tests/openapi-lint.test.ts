import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Json = Record<string, any>;
const root = join(import.meta.dirname, "..");

describe("npm run lint:openapi", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "valence-openapi-"));
		cpSync(join(root, "redocly.yaml"), join(folder, "redocly.yaml"));
	});
	afterEach(() => rmSync(folder, { recursive: true }));

	/** Lints the stored document with a mistake in it, with the repository's own rules. */
	function lint(spoil: (document: Json) => void) {
		const document = JSON.parse(readFileSync(join(root, "docs", "openapi.json"), "utf8")) as Json;
		spoil(document);
		writeFileSync(join(folder, "openapi.json"), JSON.stringify(document));
		const { status, stdout, stderr } = spawnSync(
			join(root, "node_modules/.bin/redocly"),
			["lint", "--format=json", "openapi.json"],
			{
				cwd: folder,
				encoding: "utf8",
				env: {
					PATH: process.env["PATH"],
					REDOCLY_TELEMETRY: "off",
					REDOCLY_SUPPRESS_UPDATE_NOTICE: "true"
				}
			}
		);
		if (!stdout.startsWith("{")) throw new Error(`The linter did not run: ${stdout}${stderr}`);
		const { problems } = JSON.parse(stdout) as { problems: { ruleId: string }[] };
		return { status, rules: [...new Set(problems.map(({ ruleId }) => ruleId))] };
	}

	it("finds nothing in the document", () => {
		expect(lint(() => {})).toEqual({ status: 0, rules: [] });
	}, 30_000);

	it.each<[rule: string, spoil: (document: Json) => void]>([
		["struct", document => delete document["info"].title],
		["no-unresolved-refs", ({ components }) => delete components.schemas.User],
		[
			"no-invalid-media-type-examples",
			({ components }) => {
				components.schemas.User.properties.version = { type: "string" };
			}
		],
		[
			"security-defined",
			({ paths }) => {
				paths["/api/v1/users/me"].get.security = [{ cookie: [] }];
			}
		],
		["tag-description", ({ tags }) => delete tags[0].description],
		[
			"operation-operationId-unique",
			({ paths }) => {
				paths["/ready"].get.operationId = "gateway.health";
			}
		],
		[
			"rule/operation-succeeds",
			({ paths }) => delete paths["/api/v1/auth/google"].get.responses[303]
		],
		["path-parameters-defined", ({ paths }) => delete paths["/errors/{code}"].get.parameters]
	])(
		"refuses what breaks the rule %s",
		(rule, spoil) => {
			const { status, rules } = lint(spoil);
			expect(rules).toContain(rule);
			expect(status).toBe(1);
		},
		30_000
	);
});
