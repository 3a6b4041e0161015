/** `/errors` and `/errors/CODE`: what `type` of a problem document leads to. */
import { allContracts } from "../../contracts/index.ts";
import { commonFailure } from "../../lib/failure.ts";
import { fixed, type Answer } from "./answer.ts";
import { errorCatalogue, type ExplainedCode } from "./error-catalogue.ts";
import { prefersHtml } from "./request.ts";

const catalogue = errorCatalogue(allContracts);
const byCode = new Map(catalogue.map(explained => [explained.code, explained]));

/** All codes, as JSON or as a page for a browser. */
export const listErrors = (accept: string | undefined): Answer =>
	answerAs(accept, "Errors", { items: catalogue }, () =>
		catalogue.map(
			({ code, status, title }) =>
				`<li><a href="/errors/${code}">${code}</a> (${status}) ${escape(title)}</li>`
		)
	);

/** One code. Throws NOT_FOUND. */
export function explainError(code: string, accept: string | undefined): Answer {
	const explained = byCode.get(code);
	if (!explained) throw commonFailure("NOT_FOUND");
	return answerAs(accept, `${code} (${explained.status})`, explained, () => linesOf(explained));
}

const linesOf = ({ messages, routes }: ExplainedCode): string[] => [
	...messages.map(message => `<li>${escape(message)}</li>`),
	...routes.map(route => `<li><code>${escape(route)}</code></li>`)
];

const answerAs = (
	accept: string | undefined,
	heading: string,
	value: object,
	lines: () => readonly string[]
): Answer =>
	prefersHtml(accept)
		? fixed("text/html; charset=utf-8", page(heading, lines()), {
				...HEADERS,
				"Content-Security-Policy":
					"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
			})
		: fixed("application/json; charset=utf-8", JSON.stringify(value), HEADERS);

const HEADERS = { "Cache-Control": "no-cache", Vary: "Accept" };

const page = (heading: string, lines: readonly string[]): string => `<!doctype html>
<html lang="en">
	<head>
		<meta charset="utf-8" />
		<meta name="viewport" content="width=device-width, initial-scale=1" />
		<title>${heading} – Valence API</title>
		<link rel="icon" href="/docs/favicon.png" />
		<link rel="stylesheet" href="/docs/page.css" />
	</head>
	<body class="text">
		<p><a href="/docs">API</a> · <a href="/errors">Errors</a></p>
		<h1>${heading}</h1>
		<ul>
			${lines.join("\n\t\t\t")}
		</ul>
	</body>
</html>
`;

const escape = (text: string): string =>
	text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
