import { createServer as createSocketServer, connect, type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { until } from "../../tests/support/until.ts";
import { readBody } from "./body.ts";
import { HttpServer, LIMITS, LINGER_MS } from "./http-server.ts";

describe("the HTTP server", () => {
	let http: HttpServer;
	let port: number;
	const start = async (limits: object = {}, idleMs?: number) => {
		http = new HttpServer(
			(req, res) => {
				if (req.url === "/large") res.end(Buffer.alloc(50_000_000));
				else if (req.url === "/slow") setTimeout(() => res.end("done"), 400);
				else
					readBody(req).then(
						() => res.end("done"),
						() => res.destroy()
					);
			},
			{ ...LIMITS, ...limits },
			idleMs
		);
		port = await http.listen(0, "127.0.0.1");
	};
	const raw = (sent: string) => {
		const socket = connect(port, "127.0.0.1");
		socket.write(sent);
		return text(socket);
	};
	afterEach(() => http.close(0));

	it("has the limits that it should have (H13)", async () => {
		await start();
		expect(http.server).toMatchObject({
			requestTimeout: 15_000,
			headersTimeout: 10_000,
			keepAliveTimeout: 5_000,
			maxRequestsPerSocket: 10_000,
			maxConnections: 10_000,
			timeout: 60_000
		});
	});

	it("does not wait for ever for headers, a body, or anything at all (H13)", async () => {
		// With the real interval at which they are looked at: Node's own is 30 s.
		await start({ headersTimeout: 200, requestTimeout: 300 });
		const started = Date.now();
		const answers = await Promise.all([
			raw("GET / HTTP/1.1\r\nHost: x\r\n"),
			raw(
				"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
			),
			raw("")
		]);
		for (const answer of answers) {
			expect(answer).toMatch(
				/^HTTP\/1.1 408 Request Timeout\r\nContent-Type: application\/problem\+json/
			);
			expect(JSON.parse(answer.slice(answer.indexOf("{")))).toMatchObject({
				status: 408,
				code: "REQUEST_TIMEOUT"
			});
		}
		expect(Date.now() - started).toBeLessThan(5_000);
	});

	it("lets nobody go on without reading the answer", async () => {
		await start({}, 300);
		const socket = connect(port, "127.0.0.1");
		socket.on("error", () => {});
		socket.pause();
		socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
		const connections = () =>
			new Promise<number>(done => http.server.getConnections((_, count) => done(count)));
		await until(async () => (await connections()) === 1, "the connection");
		await until(async () => (await connections()) === 0, "the end of the connection");
		expect(socket.bytesRead).toBeLessThan(50_000_000);
		socket.destroy();
	});

	it("serves others while many are idle, or send slowly", async () => {
		await start();
		const sockets = Array.from({ length: 300 }, (_, i) => {
			const socket = connect(port, "127.0.0.1");
			socket.on("error", () => {});
			// An idle one, a slow head, a slow body.
			if (i % 3 === 1) socket.write("GET / HTTP/1.1\r\nX-Slow: ");
			if (i % 3 === 2)
				socket.write(
					"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
				);
			return socket;
		});
		await Promise.all(sockets.map(socket => new Promise(done => socket.once("connect", done))));
		for (let i = 0; i < 20; i++)
			expect(await raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toContain("done");
		for (const socket of sockets) socket.destroy();
	});

	it("says which port is taken and how to choose another", async () => {
		const other = createSocketServer().listen(0, "127.0.0.1");
		await new Promise(resolve => other.once("listening", resolve));
		const { port: taken } = other.address() as AddressInfo;
		http = new HttpServer(() => {});
		await expect(http.listen(taken, "127.0.0.1")).rejects.toMatchObject({
			name: "StartupError",
			message: `Port ${taken} is taken. Set PORT to another one, or to 0 for any free one.`
		});
		await expect(http.listen(0, "203.0.113.1")).rejects.toMatchObject({
			name: "StartupError",
			message: /HOST/
		});
		await new Promise(resolve => other.close(resolve));
	});

	it("ends with the last request under way, whatever connections are idle", async () => {
		await start();
		const unused = connect(port, "127.0.0.1");
		unused.on("error", () => {});
		const keptAlive = connect(port, "127.0.0.1");
		keptAlive.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
		await new Promise(resolve => keptAlive.once("data", resolve));
		const slow = raw("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
		await new Promise(resolve => setTimeout(resolve, 100));
		const started = Date.now();
		await http.close(5_000);
		expect(await slow).toContain("done");
		expect(Date.now() - started).toBeGreaterThan(200);
		expect(Date.now() - started).toBeLessThan(LINGER_MS + 1_500);
		unused.destroy();
	});

	it("does not wait longer than it was told", async () => {
		await start();
		const slow = raw("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
		await new Promise(resolve => setTimeout(resolve, 100));
		await http.close(50);
		expect(await slow.catch(() => "")).toBe("");
	});
});
