import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { Environment, readConfig, UNITS } from "../lib/config.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const known = Object.keys(Environment.properties);
const { DRAIN_MS } = readConfig({});

interface Compose {
	readonly services: Record<string, Service>;
	readonly networks: Record<string, { internal?: boolean }>;
}
interface Service {
	readonly image: string;
	readonly command?: readonly string[];
	readonly entrypoint?: readonly string[];
	readonly user: string;
	readonly read_only: boolean;
	readonly cap_drop: readonly string[];
	readonly networks: readonly string[];
	readonly ports?: readonly string[];
	readonly environment?: Record<string, string>;
	readonly healthcheck?: { readonly test?: readonly string[]; readonly interval?: string };
	readonly depends_on: Record<string, { readonly condition: string }>;
	readonly stop_grace_period?: string;
}

describe("docker-compose.yml", () => {
	const compose = parse(read("docker-compose.yml"), { merge: true }) as Compose;
	const all = Object.entries(compose.services);
	const units = UNITS.map(unit => [unit, compose.services[unit]!] as const);

	it("is readable for docker-compose 1.29", () => {
		expect(compose).not.toHaveProperty("name");
	});

	it.each(units)("runs %s as a node of its own, after the migration", (unit, service) => {
		expect(service).toMatchObject({
			command: [unit],
			image: "valence",
			healthcheck: { interval: expect.any(String) },
			depends_on: {
				migrate: { condition: "service_completed_successfully" },
				nats: { condition: "service_healthy" },
				redis: { condition: "service_healthy" }
			}
		});
		expect(1_000 * Number.parseInt(service.stop_grace_period!, 10)).toBeGreaterThan(DRAIN_MS);
	});

	it("migrates before any node starts", () => {
		expect(compose.services["migrate"]).toMatchObject({
			entrypoint: ["node", "bin/db.ts"],
			command: ["migrate"],
			depends_on: { postgres: { condition: "service_healthy" } }
		});
	});

	it.each(all)("gives %s nothing that it does not need", (name, service) => {
		expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
		// This one only gives the volume away, and ends.
		const user = name === "nats-volume" ? /^0:0$/ : /^[1-9]\d*:[1-9]\d*$/;
		expect(service.user).toMatch(user);
	});

	it("opens the gateway, and nothing else", () => {
		expect(all.filter(([, { ports }]) => ports).map(([name]) => name)).toEqual(["gateway"]);
		expect(compose.networks["inside"]).toEqual({ internal: true });
		expect(all.filter(([, { networks }]) => !networks.includes("inside"))).toEqual([]);
	});

	it("asks every server how it is", () => {
		for (const server of ["postgres", "nats", "redis"])
			expect(compose.services[server]!.healthcheck!.test!.length).toBeGreaterThan(1);
	});

	it.each(units)(
		"configures %s by variables that there are, and by the secrets that it needs",
		(unit, service) => {
			expect(Object.keys(service.environment!).filter(name => !known.includes(name))).toEqual([]);
			const needs: Record<string, boolean> = {
				DATABASE_URL: unit !== "gateway",
				AUTH_KEYS: unit === "users",
				ENCRYPTION_KEYS: unit === "users"
			};
			for (const [name, needed] of Object.entries(needs)) {
				// From outside, and refused where it is missing.
				const value = service.environment![name] ?? "not given";
				expect(value).toMatch(needed ? /\$\{\w+:\?.+\}/ : /^not given$/);
			}
		}
	);
});

describe("the image", () => {
	const dockerfile = read("Dockerfile");
	const stages = dockerfile.split(/^FROM /m).slice(1);

	it("is built in stages, of which the last has no development dependency", () => {
		expect(stages.length).toBeGreaterThan(1);
		expect(dockerfile).toMatch(/npm ci --omit=dev --ignore-scripts/);
		expect(dockerfile).not.toMatch(/npm (?:i|ci|install)(?!.*--omit=dev)/);
		expect(stages.at(-1)).not.toMatch(/\bnpm\b/);
		expect(stages.at(-1)).toMatch(/^node:24-/);
	});

	it("runs a node as an ordinary user and can be asked for its health", () => {
		expect(stages.at(-1)).toMatch(/^USER node$/m);
		expect(stages.at(-1)).toMatch(/^HEALTHCHECK .*\n.*OPS_PORT.*\/health/m);
		expect(stages.at(-1)).toMatch(/^ENTRYPOINT \["node", "bin\/node\.ts"\]$/m);
	});

	it("lets files in by name only", () => {
		const [first, ...rest] = read(".dockerignore")
			.split("\n")
			.filter(line => line && !line.startsWith("#"));
		expect(first).toBe("*");
		const inside = rest.filter(line => line.startsWith("!")).map(line => line.slice(1));
		expect(inside).toEqual(
			expect.arrayContaining(["bin", "contracts", "lib", "mixins", "services"])
		);
		expect(inside.filter(name => /\.env|var|node_modules|tests/.test(name))).toEqual([]);
		expect(rest).toContain("**/*.test.ts");
	});

	it("has all that its sources import", () => {
		const { dependencies } = JSON.parse(read("package.json")) as { dependencies: object };
		const entries = ["bin/node.ts", "bin/db.ts", ...globSync("services/*/**/*.ts", { cwd: root })];
		const imported = importedPackages(
			entries.filter(file => !/\.(?:test|fixtures)\.ts$/.test(file))
		);
		expect(imported).toContain("moleculer");
		expect(imported.filter(name => !Object.hasOwn(dependencies, name))).toEqual([]);
	});
});

/** Packages that these files need at run time, themselves or through what they import. */
function importedPackages(entries: readonly string[]): string[] {
	const packages = new Set<string>();
	const seen = new Set<string>();
	const visit = (file: string) => {
		if (seen.has(file)) return;
		seen.add(file);
		const imports = read(file).matchAll(
			/^(?:import|export)\s(?!type\b)(?:[^"';]*?\sfrom\s)?"([^"]+)"|\bimport\("([^"]+)"\)/gm
		);
		for (const [, fixed, dynamic] of imports) {
			const name = (fixed ?? dynamic)!;
			if (name.startsWith(".")) visit(relative(root, join(root, dirname(file), name)));
			else if (!name.startsWith("node:") && !builtinModules.includes(name))
				packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(name)![0]);
		}
	};
	for (const entry of entries) visit(entry);
	return [...packages].sort();
}

interface Manifest {
	readonly kind: string;
	readonly metadata: { readonly name: string };
	readonly spec: { readonly template: { readonly spec: PodSpec } };
}
interface PodSpec {
	readonly securityContext: object;
	readonly terminationGracePeriodSeconds?: number;
	readonly containers: readonly (Record<"args" | "command", string[] | undefined> & {
		readonly name: string;
		readonly livenessProbe?: object;
		readonly readinessProbe?: object;
	})[];
}
interface Kustomization {
	readonly resources: readonly string[];
	readonly patches?: readonly { readonly patch: string }[];
}

describe("k8s/", () => {
	const manifests = globSync("k8s/**/*.yaml", { cwd: root })
		.filter(file => !file.endsWith("kustomization.yaml"))
		.flatMap(file => parseAllDocuments(read(file)).map(document => document.toJS() as Manifest));
	const workloads = manifests
		.filter(({ kind }) => ["Deployment", "StatefulSet", "Job"].includes(kind))
		.map(({ metadata, spec }) => [metadata.name, spec.template.spec] as const);
	const kustomization = (folder: string) =>
		parse(read(join("k8s", folder, "kustomization.yaml"))) as Kustomization;

	it("names only resources that are there, and leaves none out", () => {
		const found = (folder: string): string[] =>
			kustomization(folder).resources.flatMap(resource => {
				const path = join(folder, resource);
				return path.endsWith(".yaml") ? [path] : found(path);
			});
		const named = found("");
		expect(named.filter(path => !existsSync(join(root, "k8s", path)))).toEqual([]);
		const written = readdirSync(join(root, "k8s"), { recursive: true, encoding: "utf8" }).filter(
			path => path.endsWith(".yaml") && !path.endsWith("kustomization.yaml")
		);
		expect([...new Set(named)].sort()).toEqual(written.sort());
	});

	it.each(UNITS)("makes the generic node the unit %s", unit => {
		expect(kustomization("").resources).toContain(unit);
		const { resources, patches } = kustomization(unit);
		expect(resources).toContain("../node");
		const operations = patches!.flatMap(
			({ patch }) => parse(patch) as { path: string; value: unknown }[]
		);
		expect(operations).toContainEqual({
			op: "replace",
			path: "/spec/template/spec/containers/0/args",
			value: [unit]
		});
	});

	it.each(workloads)("lets %s do nothing that it need not", (_, pod) => {
		expect(pod.securityContext).toMatchObject({
			runAsNonRoot: true,
			seccompProfile: { type: "RuntimeDefault" }
		});
		for (const container of pod.containers)
			expect(container).toMatchObject({
				securityContext: {
					allowPrivilegeEscalation: false,
					readOnlyRootFilesystem: true,
					capabilities: { drop: ["ALL"] }
				},
				resources: { requests: expect.anything(), limits: { memory: expect.anything() } }
			});
	});

	it("asks the node for its health, and lets it end in order", () => {
		const [, pod] = workloads.find(([name]) => name === "node")!;
		expect(pod.containers[0]).toMatchObject({
			livenessProbe: { httpGet: { path: "/health", port: "ops" } },
			readinessProbe: { httpGet: { path: "/ready", port: "ops" } }
		});
		expect(1_000 * pod.terminationGracePeriodSeconds!).toBeGreaterThan(DRAIN_MS + 5_000);
	});

	it("migrates", () => {
		const [, pod] = workloads.find(([name]) => name === "migrate")!;
		expect(pod.containers[0]!.command).toEqual(["node", "bin/db.ts", "migrate"]);
	});

	it("configures by variables that there are", () => {
		const names = [...read("k8s/config.env").matchAll(/^(\w+)=/gm)].map(([, name]) => name!);
		expect(names.length).toBeGreaterThan(0);
		expect(names.filter(name => !known.includes(name))).toEqual([]);
	});

	it("holds no secret", () => {
		const lines = read("k8s/secret.env").split("\n");
		const secrets = lines.filter(line => line && !line.startsWith("#"));
		expect(secrets.length).toBeGreaterThan(0);
		expect(secrets.filter(line => !/^\w+=$/.test(line))).toEqual([]);
	});
});
