/** The page at `/docs`: Swagger UI from the npm package, nothing from other addresses. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fixed, type Answer } from "./answer.ts";

const PAGE = `<!doctype html>
<html lang="en">
	<head>
		<meta charset="utf-8" />
		<meta name="viewport" content="width=device-width, initial-scale=1" />
		<title>Valence API</title>
		<link rel="icon" href="/docs/favicon.png" />
		<link rel="stylesheet" href="/docs/swagger-ui.css" />
	</head>
	<body>
		<div id="swagger-ui"></div>
		<script src="/docs/swagger-ui-bundle.js"></script>
		<script src="/docs/init.js"></script>
	</body>
</html>
`;

const INIT = `SwaggerUIBundle({
	url: "/openapi.json",
	dom_id: "#swagger-ui",
	deepLinking: true,
	persistAuthorization: false,
	validatorUrl: null
});
`;

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

const packaged = (file: string) => () =>
	readFileSync(createRequire(import.meta.url).resolve(`swagger-ui-dist/${file}`));

const FILES: Record<string, [type: string, read: () => string | Buffer]> = {
	"/docs": ["text/html; charset=utf-8", () => PAGE],
	"/docs/init.js": ["text/javascript; charset=utf-8", () => INIT],
	"/docs/swagger-ui.css": ["text/css; charset=utf-8", packaged("swagger-ui.css")],
	"/docs/swagger-ui-bundle.js": [
		"text/javascript; charset=utf-8",
		packaged("swagger-ui-bundle.js")
	],
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
