import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeProtectedHeader } from "jose";
import type { Tokens } from "../contracts/auth.ts";
import type { KeyState } from "../lib/key-rotation.ts";
import { createSigningKeys, readKeySet } from "../lib/signing-keys.ts";
import { runCommand } from "./support/process.ts";
import { startTestNode, type TestNode } from "./support/node.ts";
import { until } from "./support/until.ts";

const PASSWORD = "correct horse battery";
const kidOf = ({ accessToken }: Tokens) => decodeProtectedHeader(accessToken).kid;

describe("npm run keys", () => {
	let folder: string, file: string;
	beforeEach(async () => {
		folder = mkdtempSync(join(tmpdir(), "valence-keys-"));
		file = join(folder, "auth-keys.json");
		writeFileSync(file, await createSigningKeys());
	});
	afterEach(() => rmSync(folder, { recursive: true }));
	const keys = (args: string[], env: Record<string, string> = { AUTH_KEYS_FILE: file }) =>
		runCommand("bin/keys.ts", args, env);
	const states = async (...args: string[]) => {
		const { code, output } = await keys([...args, "--json"]);
		expect(code).toBe(0);
		return JSON.parse(output) as KeyState[];
	};

	describe("with a system that runs", () => {
		let node: TestNode;
		beforeEach(async () => {
			node = await startTestNode(["users", "gateway"], {
				env: { AUTH_KEYS: "", AUTH_KEYS_FILE: file, RATE_LIMIT_FACTOR: "0" }
			});
		});
		afterEach(() => node.stop());

		const url = (path: string) =>
			`http://127.0.0.1:${String(node.broker.metadata["gatewayPort"])}/api/v1${path}`;
		const post = async (path: string, body: object) => {
			const response = await fetch(url(path), {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify(body)
			});
			return { status: response.status, body: (await response.json()) as Tokens };
		};
		const signIn = async () => {
			const who = { email: "ada@example.com", username: "ada", password: PASSWORD };
			expect((await post("/auth/register", who)).status).toBe(201);
			return (await post("/auth/login", { login: "ada", password: PASSWORD })).body;
		};
		const statusAs = async ({ accessToken }: Tokens) => {
			const headers = { authorization: `Bearer ${accessToken}` };
			return (await fetch(url("/users/me"), { headers })).status;
		};

		it("rotates them, and nobody is logged out", async () => {
			const first = await signIn();
			const seen: [string, number][] = [];
			let newest = first;
			let rotating = true;
			/** A client that goes on with its first access token, and one that refreshes all the time. */
			const patient = async () => {
				while (rotating) seen.push(["the first token", await statusAs(first)]);
			};
			const restless = async () => {
				while (rotating) {
					const { status, body } = await post("/auth/refresh", {
						refreshToken: newest.refreshToken
					});
					seen.push(["refresh", status]);
					if (status !== 200) return;
					newest = body;
					seen.push(["a new token", await statusAs(newest)]);
				}
			};
			const clients = Promise.all([patient(), restless()]);
			const rotate = async () => {
				// More than it takes until the node has read the file, and the gateway asks for a key again.
				const [waiting] = await states("rotate", "--overlap", "8");
				expect(waiting!.state).toBe("waiting");
				await until(
					() => seen.at(-1)?.[1] !== 200 || kidOf(newest) === waiting!.kid,
					"tokens that are signed with the new key",
					30_000
				);
				return waiting!.kid;
			};
			try {
				expect(await rotate()).not.toBe(kidOf(first));
			} finally {
				rotating = false;
				await clients;
			}
			expect(seen.filter(([, status]) => status !== 200)).toEqual([]);
			expect(new Set(seen.map(([what]) => what)).size).toBe(3);
			expect(await statusAs(first)).toBe(200);
			expect(kidOf(newest)).not.toBe(kidOf(first));
			expect(
				(await (await fetch(url("").replace("/api/v1", "/.well-known/jwks.json"))).json()) as object
			).toMatchObject({ keys: [{ kid: kidOf(newest) }, { kid: kidOf(first) }] });
		}, 60_000);
	});

	it("says what each key does, and nothing secret", async () => {
		const [old] = readKeySet(readFileSync(file, "utf8")).keys;
		await states("rotate", "--overlap", "600");
		expect(await states("list")).toMatchObject([
			{ state: "waiting", signsFrom: expect.any(String), until: null },
			{ kid: old!.kid, state: "signing", signsFrom: null, until: expect.any(String) }
		]);
		expect(statSync(file).mode & 0o777).toBe(0o600);
		const { output } = await keys(["list"]);
		expect(output).toMatch(/^KEY .*UNTIL\n.* waits .*\n.* signs .*\n$/);
		for (const { d } of readKeySet(readFileSync(file, "utf8")).keys) {
			expect(output).not.toContain(d);
			expect(JSON.stringify(await states("list"))).not.toContain(d);
		}
	});

	it("finds an instance's own keys in its data folder", async () => {
		const none = await keys(["list"], { DATA_DIR: folder });
		expect([none.code, none.output]).toEqual([
			1,
			expect.stringMatching(/There are no keys.*DATA_DIR/)
		]);
	});

	it("prints the new set where the variable holds the keys", async () => {
		const AUTH_KEYS = readFileSync(file, "utf8");
		const { code, output } = await keys(["rotate"], { AUTH_KEYS });
		expect(code).toBe(0);
		const [, old] = readKeySet(output).keys;
		expect(old).toMatchObject(readKeySet(AUTH_KEYS).keys[0]!);
		expect(readFileSync(file, "utf8")).toBe(AUTH_KEYS);
	});

	it("says what it cannot use, without a word of it, and changes nothing", async () => {
		writeFileSync(file, '{"keys":["hunter2"]}');
		const { code, output } = await keys(["rotate"]);
		expect(code).toBe(1);
		expect(output).toMatch(/^\nAUTH_KEYS is not a JWK set/);
		expect(output).not.toContain("hunter2");
		expect(readFileSync(file, "utf8")).toBe('{"keys":["hunter2"]}');
		expect((await keys(["rotate", "--overlap", "soon"])).output).toMatch(/whole number of seconds/);
	});
});
