/**
 * `npm test`: format, lint, types, generated documents, then Jest with coverage. Finds the servers and
 * the browser that tests need, or installs them where it may. Arguments go to Jest. The very last
 * line counts tests, and a check that failed counts as a failed test.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { findChromium, isExecutable } from "./chromium.ts";

const root = join(import.meta.dirname, "..");
const coverage = join(root, "coverage");
const results = join(coverage, "results.json");
const installLog = join(root, "var", "install.log");

/** Debian's packages. */
const PROGRAMS = ["nats-server", "redis-server", "chromium"];
/** Where servers are that do not stand in the PATH of an ordinary user. */
const SERVER_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
/** The folders of coverage, as they are deployed. */
const PARTS = [
	"contracts",
	"lib",
	"mixins",
	"services/catalog",
	"services/gateway",
	"services/notifications",
	"services/orders",
	"services/users"
];

const searchPath = [
	// npm puts it first as well; this is for `node bin/test.ts`.
	join(root, "node_modules", ".bin"),
	...(process.env["PATH"] ?? "").split(delimiter),
	...SERVER_FOLDERS
];
process.env["PATH"] = [...new Set(searchPath.filter(Boolean))].join(delimiter);

const isInstalled = (command: string): boolean =>
	command === "chromium"
		? findChromium() !== undefined
		: searchPath.some(folder => folder !== "" && isExecutable(join(folder, command)));

const run = (command: string, args: readonly string[]): boolean =>
	spawnSync(command, args, { cwd: root, stdio: "inherit" }).status === 0;

/** Installs Debian's packages without letting them start their daemons, which would sit on the ports. */
function install(packages: readonly string[], asRoot: readonly string[]): void {
	console.log(`Installing ${packages.join(" and ")} for the tests (log: ${installLog}) …`);
	const script = `
		set -e
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			trap 'rm -f $policy' EXIT
			printf '#!/bin/sh\\nexit 101\\n' > $policy
			chmod 755 $policy
		fi
		export DEBIAN_FRONTEND=noninteractive
		apt-get update
		apt-get install -y --no-install-recommends "$@"
		if command -v systemctl; then for package; do systemctl disable --now "$package" || true; done; fi`;
	mkdirSync(join(root, "var"), { recursive: true });
	const log = openSync(installLog, "w");
	const [command, ...args] = [...asRoot, "sh", "-c", script, "install", ...packages];
	spawnSync(command!, args, { stdio: ["ignore", log, log], timeout: 600_000 });
}

/** How to become root without being asked for a password, if there is a way. */
function rootCommand(): string[] | undefined {
	if (process.getuid?.() === 0) return [];
	return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0
		? ["sudo", "-n"]
		: undefined;
}

/** Throws where a program is missing that cannot be installed. */
function requirePrograms(): void {
	const missing = () => PROGRAMS.filter(program => !isInstalled(program));
	if (missing().length === 0) return;
	const asRoot = isInstalled("apt-get") ? rootCommand() : undefined;
	if (asRoot) install(missing(), asRoot);
	if (missing().length > 0)
		throw new Error(
			`The tests need ${missing().join(" and ")}. Install with\n` +
				`  Debian, Ubuntu: sudo apt-get install --no-install-recommends ${PROGRAMS.join(" ")}\n` +
				`  macOS:          brew install nats-server redis chromium` +
				(asRoot ? `\nInstalling them did not work; see ${installLog}.` : "")
		);
}

interface JestResults {
	readonly numPassedTests: number;
	readonly numFailedTests: number;
	readonly numRuntimeErrorTestSuites: number;
	readonly numTotalTests: number;
}

interface Tally {
	passed: number;
	failed: number;
}

function readJson(file: string): unknown {
	try {
		return JSON.parse(readFileSync(file, "utf8"));
	} catch {
		return undefined;
	}
}

/** Runs Jest and counts; whatever makes it fail without a failed test counts as one. */
function runJest(args: readonly string[]): Tally {
	rmSync(coverage, { recursive: true, force: true });
	mkdirSync(coverage);
	const ok = run("jest", [
		"--coverage",
		// A part of the tests covers a part of the code.
		...(args.length > 0 ? ["--coverageThreshold={}"] : []),
		"--json",
		`--outputFile=${results}`,
		...args
	]);
	const counted = readJson(results) as JestResults | undefined;
	if (!counted || counted.numTotalTests === 0) {
		console.error("No test was run.");
		return { passed: 0, failed: 1 };
	}
	const failed = counted.numFailedTests + counted.numRuntimeErrorTestSuites;
	return { passed: counted.numPassedTests, failed: ok ? failed : Math.max(failed, 1) };
}

type Covered = Record<"lines" | "branches", { total: number; covered: number }>;

function printCoverage(): void {
	const files = readJson(join(coverage, "coverage-summary.json")) as
		Record<string, Covered> | undefined;
	if (!files) return;
	const percent = (part: string, kind: keyof Covered) => {
		const own = Object.entries(files).filter(([file]) => file.startsWith(join(root, part, "/")));
		const sum = (of: "total" | "covered") =>
			own.reduce((n, [, covered]) => n + covered[kind][of], 0);
		return sum("total") === 0 ? "–" : `${((100 * sum("covered")) / sum("total")).toFixed(1)} %`;
	};
	console.log(`\n${"Coverage".padEnd(24)}${"lines".padStart(9)}${"branches".padStart(11)}`);
	for (const part of PARTS)
		console.log(
			part.padEnd(24) + percent(part, "lines").padStart(9) + percent(part, "branches").padStart(11)
		);
}

function test(args: readonly string[]): Tally {
	try {
		requirePrograms();
	} catch (error) {
		console.error((error as Error).message);
		return { passed: 0, failed: 1 };
	}
	const failedChecks = [
		["run", "check"],
		["run", "generate", "--", "--check"]
	].filter(check => !run("npm", ["--silent", ...check]));
	const tally = runJest(args);
	printCoverage();
	for (const check of failedChecks) console.error(`\nFailed: npm ${check.join(" ")}`);
	return { ...tally, failed: tally.failed + failedChecks.length };
}

const { passed, failed } = test(process.argv.slice(2));
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
