/** Values that have broken somebody's server once. */
import fc from "fast-check";

/** In what is secret, so that it can be looked for where it must not be. No request id may look like it. */
export const SECRET = "hunter2 Zq9!";

/** JSON nested so deep. */
export const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

// prettier-ignore
const TEXTS = [
	"", " ", "\0", "a\0b", "\ud800", "x\udfff", "\u202Egnp.exe", "\ufeff", "\u200b", "e\u0301", "İ", "ﬀ", "١٢",
	"' OR '1'='1", "1; DROP TABLE orders--", "\\'; SELECT pg_sleep(20)--", "$1", "%s%n", "{$gt: ''}", "*)(uid=*", "%", "_",
	"__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "then", "$ref", "length",
	"../../etc/passwd", "..\\..", "file:///etc/passwd", "%00", "%2e%2e%2f", "a/b", "a?b#c", "a;b=c", "a,b", "a:b", "x & y | !z",
	"<script>alert(1)</script>", "{{7*7}}", "${7*7}", "\r\nSet-Cookie: a=b", "a\tb", "`id`", "|id",
	"null", "undefined", "NaN", "Infinity", "1e308", "-0", "0x10", "007", "9007199254740993", "1,5", "true", "[]", "{}",
	"00000000-0000-0000-0000-000000000000", "urn:uuid:00000000-0000-0000-0000-000000000000",
	"2026-02-30T00:00:00Z", "infinity", "epoch", "wait=1e9", "wait=-1", "wait=0", 'W/"1-2"', "*", `"${"1".repeat(300)}"`,
	"a".repeat(300), "a".repeat(5_000), "\u{1F937}\u200d\u2640\ufe0f".repeat(100), SECRET
];

export const text: fc.Arbitrary<string> = fc.oneof(
	{ weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
	fc.string({ unit: "binary", maxLength: 40 }),
	// Halves of surrogate pairs as well.
	fc.array(fc.nat(0xffff), { maxLength: 20 }).map(units => String.fromCharCode(...units))
);

// prettier-ignore
const VALUES: readonly unknown[] = [
	null, true, false, 0, -0, -1, 1, 1.5, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e21,
	[], {}, [[]], [null], ["a", "a"], { $gt: "" }, { $ne: null }, { toString: 1 }, { length: 1e9 },
	...['{"then":1}', '{"__proto__":{"isAdmin":true}}', '{"constructor":{"prototype":{"isAdmin":true}}}', deep(30), deep(100)].map(json => JSON.parse(json) as unknown),
	Array(2_000).fill(0), "a".repeat(90_000)
];

/** Anything that JSON can say. */
export const value: fc.Arbitrary<unknown> = fc.oneof(
	{ weight: 3, arbitrary: text },
	{ weight: 3, arbitrary: fc.constantFrom(...VALUES) },
	fc.jsonValue({ maxDepth: 4 })
);

/** Pieces of a URL that no encoder writes. */
// prettier-ignore
export const rawPiece = fc.constantFrom(
	"%", "%2", "%zz", "%C3%28", "%ED%A0%80", "%F8%88", "%00", "%u0041", "%25%30%30", "\xff", "\xc3(", "..", ".", "*", "~", "+", "a%0d%0ab", "|", "^", "{}", "\\"
);

/** Queries that no form sends. */
// prettier-ignore
export const oddQuery = fc.constantFrom(
	"&&&", "=", "?", "=&=", "a", "%", "a=%zz", ";", "__proto__=1", "constructor[prototype][x]=1", "a".repeat(3_000), "a".repeat(20_000)
);

/** What may stand in a header's value as Node sends it. */
export const headerText = text.map(given => given.replaceAll(/[^\t\x20-\x7e\x80-\xff]/gu, "?"));

// prettier-ignore
const HEADERS = [
	"X-Request-Id", "X-Correlation-Id", "If-None-Match", "If-Match", "Accept", "Accept-Encoding", "Origin", "Range", "Cookie",
	"traceparent", "baggage", "X-Forwarded-For", "Forwarded", "X-HTTP-Method-Override", "User-Agent", "Prefer",
	"Idempotency-Key", "X-Cart-Token", "Referer", "Via"
];

/** Names and values in turn. */
// prettier-ignore
const ODD_HEADERS = [
	["Authorization", "Bearer a.b.c"], ["Authorization", `Basic ${SECRET}`], ["Authorization", `Bearer ${SECRET}`], ["Authorization", ""],
	["Authorization", "Bearer a.b.c", "Authorization", "Bearer a.b.c"],
	["Accept", "text/html"], ["Accept", "application/json;q=0"], ["Accept", "*/*;q=x"], ["Accept", ",,;"],
	["X-Big", "a".repeat(12_000)], ["X-Big", "a".repeat(20_000)], ["Expect", "100-continue"], ["Expect", "201-created"],
	["If-None-Match", "*"], ["If-None-Match", '"x", W/"y", *'], ["X-Cart-Token", SECRET], ["Cookie", `session=${SECRET}`],
	["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]
];

export const oddHeaders: fc.Arbitrary<string[]> = fc.oneof(
	{ weight: 2, arbitrary: fc.tuple(fc.constantFrom(...HEADERS), headerText) },
	{ weight: 1, arbitrary: fc.constantFrom(...ODD_HEADERS) }
);

// prettier-ignore
const RAW_BODIES = [
	"{", "", "null", "[]", '"x"', "0", "{}", '{"a":1,"a":2}', "\ufeff{}", "NaN", "{'a':1}", '{"a":1}garbage', '{"\\u0000":1}', "{}\0",
	deep(33), deep(40_000), `{"a":${deep(500)}}`, '{"__proto__":{}}', '{"a":{"__proto__":null}}', '{"constructor":{"prototype":{}}}', `"${"a".repeat(200_000)}"`
];
const RAW_BYTES = [
	[0xc3, 0x28],
	[0x7b, 0xff, 0x7d],
	[0x1f, 0x8b, 8, 0],
	[0xff, 0xfe, 0x7b, 0, 0x7d, 0]
];

/** Bodies that are no JSON object, or none that one should have. */
export const rawBody: fc.Arbitrary<Buffer> = fc.oneof(
	{ weight: 3, arbitrary: fc.constantFrom(...RAW_BODIES).map(raw => Buffer.from(raw)) },
	fc.constantFrom(...RAW_BYTES).map(bytes => Buffer.from(bytes)),
	fc.uint8Array({ maxLength: 100 }).map(bytes => Buffer.from(bytes))
);

/** The header of a proper body. */
export const JSON_TYPE = ["Content-Type", "application/json"];
const TYPES = [
	[],
	["Content-Type", "text/plain"],
	["Content-Type", "application/json; charset=latin1"],
	["Content-Type", "application/json;charset=UTF-8"],
	["Content-Type", ";;"],
	[...JSON_TYPE, "Content-Encoding", "gzip"],
	[...JSON_TYPE, "Content-Encoding", "br"],
	["Content-Type", "multipart/form-data"],
	["Content-Type", "application/x-www-form-urlencoded"]
];

/** How a body is announced; mostly as it should be. */
export const contentType: fc.Arbitrary<string[]> = fc.oneof(
	{ weight: 12, arbitrary: fc.constant(JSON_TYPE) },
	{ weight: 1, arbitrary: fc.constantFrom(...TYPES) }
);

// prettier-ignore
const REQUEST_LINES = [
	"GET /health HTTP/1.1", "GET /health HTTP/1.0", "GET /health HTTP/9.9", "GET /health", "get /health HTTP/1.1", "GET  /health HTTP/1.1",
	"GET /\0 HTTP/1.1", "GET http://x/health HTTP/1.1", "GET //health HTTP/1.1", "GET ? HTTP/1.1", "\r\n\r\n", "BREW / HTTP/1.1",
	"CONNECT x:1 HTTP/1.1", "PRI * HTTP/2.0", "OPTIONS * HTTP/1.1", "TRACE / HTTP/1.1", "POST /api/v1/auth/login HTTP/1.1"
];
// prettier-ignore
const HEADER_LINES = [
	"Host: x", "Host: x\r\nHost: y", "Host:", "Host : x", ": x", "X", "X: \0", "X: a\r\n b", "Content-Type: application/json",
	"Content-Length: 5", "Content-Length: -1", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 99999999999999999999",
	"Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3", "Transfer-Encoding: gzip, chunked",
	"Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", `Authorization: Bearer ${SECRET}`
];
// prettier-ignore
const RAW_CONTENTS = ["", "{}", "0\r\n\r\n", "2\r\n{}\r\n0\r\n\r\n", "zz\r\n", "ffffffffffffffff\r\n", "GET / HTTP/1.1\r\n\r\n"];

/** What is written to a socket, HTTP or not. */
export const rawRequest: fc.Arbitrary<string> = fc
	.tuple(
		fc.constantFrom(...REQUEST_LINES),
		fc.array(fc.constantFrom(...HEADER_LINES), { maxLength: 5 }),
		fc.constantFrom(...RAW_CONTENTS)
	)
	.map(([line, headers, content]) =>
		[line, ...headers, "Connection: close", "", content].join("\r\n")
	);
