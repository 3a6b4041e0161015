import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { asyncApiDocument } from "./asyncapi.ts";
import { allContracts } from "../../contracts/index.ts";
import { accepts, codingOf, isCompressible, taggedFor, untagged } from "./compression.ts";
import { productResult, startGateway, type TestGateway } from "./gateway.fixtures.ts";

describe("a coding", () => {
	it.each([
		[undefined, undefined],
		["", undefined],
		["br", "br"],
		["gzip, deflate, br", "br"],
		["GZIP", "gzip"],
		["gzip;q=1, br;q=0.5", "gzip"],
		["br;q=0, *", "gzip"],
		["*", "br"],
		["deflate", undefined],
		["identity", undefined],
		["gzip;q=0.5, identity", undefined],
		["gzip;q=0", undefined],
		["gzip;q=nonsense", undefined]
	])("for Accept-Encoding %j is %s", (header, expected) => {
		expect(codingOf(header)).toBe(expected);
	});

	it("is accepted where it is named and not ruled out", () => {
		expect(accepts("gzip, br;q=0", "gzip")).toBe(true);
		expect(accepts("gzip, br;q=0", "br")).toBe(false);
		expect(accepts(undefined, "gzip")).toBe(false);
	});

	it("has a tag of its own, from which the plain one is found again", () => {
		expect(taggedFor('"3-5"', "br")).toBe('"3-5+br"');
		expect(untagged('"3-5+br"')).toEqual({ etag: '"3-5"', coding: "br" });
		for (const tag of ['"3-5"', '"3+zstd"', '"a+b+gzip"', "x"])
			expect(untagged(tag)).toEqual({ etag: tag });
	});

	it.each([
		["application/json; charset=utf-8", true],
		["application/problem+json; charset=utf-8", true],
		["text/html; charset=utf-8", true],
		["text/event-stream", false],
		["text/event-stream; charset=utf-8", false],
		["image/png", false],
		[undefined, false]
	])("is for answers of the type %s: %s", (type, expected) => {
		expect(isCompressible(type)).toBe(expected);
	});
});

describe("compressed answers", () => {
	let gateway: TestGateway;
	const long = { ...productResult, description: "a long story ".repeat(200) };
	beforeAll(async () => {
		gateway = await startGateway({
			"products.get": async ({ params }) => (params.idOrSlug === "long" ? long : productResult)
		});
	});
	afterAll(() => gateway.node.stop());

	/** What goes over the wire; fetch would unpack it. */
	const ask = async (path: string, headers: string[], method = "GET") => {
		const socket = await gateway.rawBytes(
			[`${method} ${path} HTTP/1.0`, "Host: x", ...headers, "", ""].join("\r\n")
		);
		const end = socket.indexOf("\r\n\r\n");
		const [status = "", ...lines] = socket.subarray(0, end).toString().split("\r\n");
		return {
			status: Number(status.split(" ")[1]),
			headers: new Headers(lines.map(line => line.split(": ", 2) as [string, string])),
			body: socket.subarray(end + 4)
		};
	};
	const LONG = "/api/v1/products/long";
	const plain = '"4-7"';

	it.each([
		["br", brotliDecompressSync],
		["gzip", gunzipSync]
	])("are read by who accepts %s", async (coding, unpack) => {
		const { headers, body } = await ask(LONG, [`Accept-Encoding: ${coding}`]);
		expect(headers.get("content-encoding")).toBe(coding);
		expect(headers.get("vary")).toBe("Accept-Encoding");
		expect(JSON.parse(unpack(body).toString())).toEqual(long);
		expect(body.length).toBeLessThan(1_000);
	});

	it("are only for who accepts them, only where they are long, and vary all the same", async () => {
		for (const [path, header] of [
			[LONG, "Accept-Encoding: identity"],
			[LONG, "X-None: 1"],
			["/api/v1/products/lamp", "Accept-Encoding: br"]
		] as const) {
			const { headers, body } = await ask(path, [header]);
			expect(headers.get("content-encoding")).toBeNull();
			expect(headers.get("vary")).toBe("Accept-Encoding");
			expect(headers.get("etag")).toBe(plain);
			expect(headers.get("content-length")).toBe(String(body.length));
		}
	});

	it("have a strong ETag of their own, since they are other bytes", async () => {
		const tags = await Promise.all(
			["br", "gzip", "identity"].map(async coding =>
				(await ask(LONG, [`Accept-Encoding: ${coding}`])).headers.get("etag")
			)
		);
		expect(tags).toEqual(['"4-7+br"', '"4-7+gzip"', plain]);
	});

	it("are 304 to who has them, under the name that they have there", async () => {
		for (const [accepted, known, status, etag] of [
			["br", '"4-7+br"', 304, '"4-7+br"'],
			["br", 'W/"4-7+br"', 304, '"4-7+br"'],
			["gzip, br", '"x", "4-7+gzip"', 304, '"4-7+gzip"'],
			["br", plain, 304, plain],
			["br", '"4-8+br"', 200, '"4-7+br"'],
			// What it has, it could not read any more.
			["gzip", '"4-7+br"', 200, '"4-7+gzip"'],
			["identity", '"4-7+br"', 200, plain]
		] as const) {
			const answer = await ask(LONG, [`Accept-Encoding: ${accepted}`, `If-None-Match: ${known}`]);
			expect([known, answer.status, answer.headers.get("etag")]).toEqual([known, status, etag]);
			expect(answer.headers.get("vary")).toBe("Accept-Encoding");
			expect(answer.body.length === 0).toBe(status === 304);
		}
	});

	it("have the same headers for HEAD, and no body", async () => {
		const [get, head] = [
			await ask(LONG, ["Accept-Encoding: br"]),
			await ask(LONG, ["Accept-Encoding: br"], "HEAD")
		];
		expect([head.status, head.body.length]).toEqual([200, 0]);
		for (const name of ["content-encoding", "content-type", "etag", "vary", "content-length"])
			expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)]);
	});

	it("are the documents too, with a tag that is known again", async () => {
		const { headers, body } = await ask("/asyncapi.json", ["Accept-Encoding: gzip"]);
		expect(JSON.parse(gunzipSync(body).toString())).toEqual(asyncApiDocument(allContracts));
		const again = await ask("/asyncapi.json", [
			"Accept-Encoding: gzip",
			`If-None-Match: ${headers.get("etag")}`
		]);
		expect(again.status).toBe(304);
	});
});
