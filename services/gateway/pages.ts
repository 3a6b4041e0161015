/** The pages for people: `/docs` (Swagger UI from the npm package below a bar of ours), and those that links in mails lead to. Nothing from other addresses. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fixed, type Answer } from "./answer.ts";

const policy = (...more: string[]): string =>
	[
		"default-src 'none'",
		"script-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		...more
	].join("; ");

// Swagger UI sets styles at run time and carries its icons as data.
const DOCS_POLICY = policy("style-src 'self' 'unsafe-inline'", "img-src 'self' data:");
const ACCOUNT_POLICY = policy("style-src 'self'", "img-src 'self'");

const own = (file: string) => () => readFileSync(join(import.meta.dirname, file));
const packaged = (file: string) => () =>
	readFileSync(createRequire(import.meta.url).resolve(`swagger-ui-dist/${file}`));

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const JAVASCRIPT = "text/javascript; charset=utf-8";

const FILES: Record<string, [type: string, read: () => Buffer]> = {
	"/docs": [HTML, own("docs-page.html")],
	"/docs/page.css": [CSS, own("docs-page.css")],
	"/docs/page.js": [JAVASCRIPT, own("docs-page.js")],
	"/docs/swagger-ui.css": [CSS, packaged("swagger-ui.css")],
	"/docs/swagger-ui-bundle.js": [JAVASCRIPT, packaged("swagger-ui-bundle.js")],
	"/docs/favicon.png": ["image/png", packaged("favicon-32x32.png")],
	"/account/verify-email": [HTML, own("account-page.html")],
	"/account/reset-password": [HTML, own("account-page.html")],
	"/account/page.css": [CSS, own("account-page.css")],
	"/account/page.js": [JAVASCRIPT, own("account-page.js")]
};

export const PAGE_PATHS: readonly string[] = Object.keys(FILES);

const read = new Map<string, Answer>();

/** The answer for one of PAGE_PATHS; its file is read at the first request. */
export function pageFile(path: string): Answer {
	let answer = read.get(path);
	if (!answer) {
		const [type, content] = FILES[path]!;
		answer = fixed(type, content(), {
			"Content-Security-Policy": path.startsWith("/account") ? ACCOUNT_POLICY : DOCS_POLICY,
			"Cache-Control": "public, max-age=3600"
		});
		read.set(path, answer);
	}
	return answer;
}
