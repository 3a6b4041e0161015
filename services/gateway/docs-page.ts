/** The page at `/docs`: Swagger UI from the npm package below a bar of ours, nothing from other addresses. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fixed, type Answer } from "./answer.ts";

// Swagger UI sets styles at run time and carries its icons as data.
const CONTENT_SECURITY_POLICY = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self' 'unsafe-inline'",
	"img-src 'self' data:",
	"connect-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'"
].join("; ");

const own = (file: string) => () => readFileSync(join(import.meta.dirname, file));
const packaged = (file: string) => () =>
	readFileSync(createRequire(import.meta.url).resolve(`swagger-ui-dist/${file}`));

const CSS = "text/css; charset=utf-8";
const JAVASCRIPT = "text/javascript; charset=utf-8";

const FILES: Record<string, [type: string, read: () => Buffer]> = {
	"/docs": ["text/html; charset=utf-8", own("docs-page.html")],
	"/docs/page.css": [CSS, own("docs-page.css")],
	"/docs/page.js": [JAVASCRIPT, own("docs-page.js")],
	"/docs/swagger-ui.css": [CSS, packaged("swagger-ui.css")],
	"/docs/swagger-ui-bundle.js": [JAVASCRIPT, packaged("swagger-ui-bundle.js")],
	"/docs/favicon.png": ["image/png", packaged("favicon-32x32.png")]
};

export const DOCS_PATHS: readonly string[] = Object.keys(FILES);

const read = new Map<string, Answer>();

/** The answer for one of DOCS_PATHS; its file is read at the first request. */
export function docsFile(path: string): Answer {
	let answer = read.get(path);
	if (!answer) {
		const [type, content] = FILES[path]!;
		answer = fixed(type, content(), {
			"Content-Security-Policy": CONTENT_SECURITY_POLICY,
			"Cache-Control": "public, max-age=3600"
		});
		read.set(path, answer);
	}
	return answer;
}
