/** `/errors` and `/errors/CODE`: what `type` of a problem document leads to. */
import type { ServiceContract } from "../../lib/contract.ts";
import { commonFailure } from "../../lib/failure.ts";
import { fixed, type Answer } from "./answer.ts";
import { errorCatalogue, type ExplainedCode } from "./error-catalogue.ts";
import { prefersHtml } from "./request.ts";

export interface ErrorPages {
	/** All codes, as JSON or as a page for a browser. */
	list(accept: string | undefined): Answer;
	/** One code. Throws NOT_FOUND. */
	explain(code: string, accept: string | undefined): Answer;
}

/** The pages about the codes of these contracts, and of the gateway. */
export function errorPages(contracts: readonly ServiceContract[]): ErrorPages {
	const catalogue = errorCatalogue(contracts);
	const byCode = new Map(catalogue.map(explained => [explained.code, explained]));
	return {
		list: accept =>
			answerAs(accept, "Errors", { items: catalogue }, () =>
				list(
					catalogue.map(
						({ code, status, messages }) =>
							`<a href="/errors/${code}">${code}</a> (${status}): ${escape(messages[0]!)}`
					)
				)
			),
		explain(code, accept) {
			const explained = byCode.get(code);
			if (!explained) throw commonFailure("NOT_FOUND");
			return answerAs(accept, `${code} (${explained.status})`, explained, () =>
				contentOf(explained)
			);
		}
	};
}

const contentOf = ({ messages, routes }: ExplainedCode): string =>
	[
		...messages.map(message => `<p>${escape(message)}</p>`),
		...(routes.length > 0
			? ["<h2>Where</h2>", list(routes.map(route => `<code>${escape(route)}</code>`))]
			: [])
	].join("\n\t\t");

const list = (items: readonly string[]): string =>
	`<ul>\n${items.map(item => `\t\t\t<li>${item}</li>\n`).join("")}\t\t</ul>`;

const answerAs = (
	accept: string | undefined,
	heading: string,
	value: object,
	content: () => string
): Answer =>
	prefersHtml(accept)
		? fixed("text/html; charset=utf-8", page(heading, content()), {
				...HEADERS,
				"Content-Security-Policy":
					"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
			})
		: fixed("application/json; charset=utf-8", JSON.stringify(value), HEADERS);

const HEADERS = { "Cache-Control": "no-cache", Vary: "Accept" };

const page = (heading: string, content: string): string => `<!doctype html>
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
		${content}
	</body>
</html>
`;

const escape = (text: string): string =>
	text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
