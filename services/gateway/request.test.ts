import { accepts, prefersHtml, requestIdOf, targetOf } from "./request.ts";

describe("a request", () => {
	it.each([
		[undefined, true],
		["", true],
		["*/*", true],
		["application/json", true],
		["text/html, application/*;q=0.5", true],
		["APPLICATION/JSON; charset=utf-8", true],
		["text/html", false],
		["application/json;q=0, */*", false],
		["application/json;q=nonsense", false],
		["application/problem+json", false]
	])("that accepts %s accepts JSON: %s", (accept, expected) => {
		expect(accepts("application/json", accept)).toBe(expected);
	});

	it.each([
		["/a/b?c=d?e", "/a/b", "c=d?e"],
		["/a/", "/a", ""],
		["/", "/", ""],
		["//a//", "//a/", ""],
		["http://host:1/a?b", "/a", "b"],
		["https://host", "/", ""],
		["*", "*", ""],
		["?a", "", "a"]
	])("for %s has the path %s and the query %s", (url, path, query) => {
		expect(targetOf(url)).toEqual({ path, query });
	});

	it.each([
		[undefined, false],
		["*/*", false],
		["application/json", false],
		["application/json, text/html;q=0.5", false],
		["text/html", true],
		["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true],
		["text/html;q=0", false]
	])("with Accept: %s comes from a browser: %s", (accept, isBrowser) => {
		expect(prefersHtml(accept)).toBe(isBrowser);
	});

	it("keeps its id where that is harmless", () => {
		expect(requestIdOf("a.B_c-1")).toBe("a.B_c-1");
		for (const id of [undefined, "", "a b", "a\n", "a".repeat(65), ["a", "b"]])
			expect(requestIdOf(id)).toMatch(/^[0-9a-f-]{36}$/);
	});
});
