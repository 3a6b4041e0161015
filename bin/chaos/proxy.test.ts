import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Proxy } from "./proxy.ts";

let server: Server;
let proxy: Proxy;
/** What arrived at the server. */
let arrived: string;
const sockets: Socket[] = [];

beforeEach(async () => {
	arrived = "";
	// Says everything twice, so that an answer is told from what was asked.
	server = createServer(socket => {
		sockets.push(socket);
		socket.on("error", () => {});
		socket.on("data", chunk => {
			arrived += String(chunk);
			socket.write(`${String(chunk)}${String(chunk)}`);
		});
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	proxy = await Proxy.listen((server.address() as AddressInfo).port);
});
afterEach(async () => {
	for (const socket of sockets.splice(0)) socket.destroy();
	await proxy.close();
	server.close();
});

async function open() {
	const socket = connect(proxy.port, "127.0.0.1");
	sockets.push(socket);
	const client = { socket, heard: "", closed: false };
	socket.on("error", () => {});
	socket.on("data", chunk => (client.heard += String(chunk)));
	socket.on("close", () => (client.closed = true));
	await once(socket, "connect");
	return client;
}
const soon = () => sleep(60);

it("passes on what both sides say, and the end", async () => {
	const client = await open();
	client.socket.write("a");
	await soon();
	expect([arrived, client.heard]).toEqual(["a", "aa"]);
	sockets[1]!.destroy();
	await soon();
	expect(client.closed).toBe(true);
	expect(proxy.hits).toBe(0);
});

it("delays without changing the order", async () => {
	const client = await open();
	proxy.disturb("delay", 100);
	client.socket.write("a");
	await soon();
	proxy.heal();
	client.socket.write("b");
	expect(arrived).toBe("");
	await sleep(150);
	expect(arrived).toBe("ab");
	expect(client.heard).toHaveLength(4);
	expect(proxy.hits).toBeGreaterThan(0);
});

it("swallows everything, stays open, and ends what lost something when it heals", async () => {
	const [before, untouched] = [await open(), await open()];
	proxy.disturb("black-hole");
	const within = await open();
	before.socket.write("a");
	within.socket.write("b");
	await soon();
	expect([arrived, before.heard, before.closed, within.closed]).toEqual(["", "", false, false]);
	proxy.heal();
	await soon();
	expect([before.closed, within.closed, untouched.closed]).toEqual([true, true, false]);
	expect(proxy.hits).toBe(2);
});

it("swallows answers while requests arrive", async () => {
	const client = await open();
	proxy.disturb("lost-answers");
	client.socket.write("a");
	await soon();
	client.socket.write("b");
	await soon();
	expect([arrived, client.heard, client.closed]).toEqual(["ab", "", false]);
	proxy.heal();
	await soon();
	expect(client.closed).toBe(true);
});

it("cuts what stands and what comes", async () => {
	const before = await open();
	proxy.disturb("cut");
	await soon();
	expect(before.closed).toBe(true);
	const within = await open();
	await soon();
	expect(within.closed).toBe(true);
	proxy.heal();
	const after = await open();
	after.socket.write("c");
	await soon();
	expect(after.heard).toBe("cc");
});
