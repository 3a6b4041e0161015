import { addressOf, networkOf } from "./client-address.ts";

const from = (remoteAddress: string, forwarded: string | undefined, trusted: number) =>
	addressOf(
		{
			socket: { remoteAddress },
			headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded }
		} as never,
		trusted
	);

describe("a client's address", () => {
	it("is its socket's, whatever its headers say, where no proxy is trusted (H6)", () => {
		expect(from("::ffff:10.1.2.3", "6.6.6.6", 0)).toBe("10.1.2.3");
		expect(from("2001:db8::1", undefined, 0)).toBe("2001:db8::1");
	});

	it.each<[number, string | undefined, string]>([
		[1, "6.6.6.6, 192.0.2.1", "192.0.2.1"],
		[1, "192.0.2.1", "192.0.2.1"],
		[2, "6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"],
		[2, "192.0.2.1", "192.0.2.1"],
		[1, "6.6.6.6,192.0.2.1:4711", "192.0.2.1"],
		[1, "[2001:db8::7]:4711", "2001:db8::7"],
		[1, "::ffff:c000:201", "192.0.2.1"],
		[1, undefined, "10.0.0.1"],
		[1, "192.0.2.1, unknown", "10.0.0.1"],
		[1, "", "10.0.0.1"]
	])("behind %i proxies that say %j is %s", (trusted, forwarded, expected) => {
		expect(from("10.0.0.1", forwarded, trusted)).toBe(expected);
	});
});

describe("a client's network", () => {
	it.each([
		["192.0.2.1", "192.0.2.1"],
		["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
		["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
		["2001:db8::1", "2001:db8:0:0::/64"],
		["::1", "0:0:0:0::/64"],
		["fe80::1%eth0", "fe80:0:0:0::/64"],
		["", ""]
	])("of %s is %s", (address, expected) => {
		expect(networkOf(address)).toBe(expected);
	});
});
