/* global document, SwaggerUIBundle */
// The bar above Swagger UI: whoever logs in there is who "Execute" speaks for. Tokens stay in memory.

const logIn = document.querySelector("#log-in");
const logOut = document.querySelector("#log-out");
const who = document.querySelector("#who");
const trouble = document.querySelector("#trouble");

/** So long before its end an access token is exchanged, in milliseconds. */
const EARLY_MS = 60_000;

let session;

const ui = SwaggerUIBundle({
	url: "/openapi.json",
	dom_id: "#swagger-ui",
	deepLinking: true,
	tryItOutEnabled: true,
	displayRequestDuration: true,
	persistAuthorization: false,
	validatorUrl: null,
	onComplete() {
		logIn.querySelector("button").disabled = false;
	}
});

/** A problem document that was answered, or why nothing was. */
class Refusal extends Error {
	constructor({ detail, title, code, type }) {
		super(detail ?? title ?? "Something went wrong.");
		Object.assign(this, { code, type });
	}
}

/** The answer's body. Throws a Refusal. */
async function post(path, { body, token } = {}) {
	const response = await fetch(`/api/v1${path}`, {
		method: "POST",
		headers: {
			...(body ? { "Content-Type": "application/json" } : {}),
			...(token ? { Authorization: `Bearer ${token}` } : {})
		},
		...(body ? { body: JSON.stringify(body) } : {})
	}).catch(() => {
		throw new Refusal({ detail: "The server cannot be reached." });
	});
	if (response.status === 204) return undefined;
	const answer = await response.json();
	if (!response.ok) throw new Refusal(answer);
	return answer;
}

function show(refusal) {
	trouble.replaceChildren();
	if (!refusal) return;
	trouble.append(refusal.message);
	if (!refusal.code) return;
	const link = document.createElement("a");
	link.href = refusal.type;
	link.textContent = refusal.code;
	trouble.append(" (", link, ")");
}

function begin(tokens) {
	ui.preauthorizeApiKey("bearer", tokens.accessToken);
	const renewal = setTimeout(() => void renew(), tokens.expiresIn * 1_000 - EARLY_MS);
	session = { ...tokens, renewal };
	who.textContent = `${tokens.user.username} (${tokens.user.roles.join(", ")})`;
	logIn.hidden = true;
	logOut.hidden = false;
}

function end(refusal) {
	clearTimeout(session?.renewal);
	session = undefined;
	ui.authActions.logout(["bearer"]);
	who.textContent = "";
	logIn.hidden = false;
	logOut.hidden = true;
	show(refusal);
	logIn.elements.login.focus();
}

async function renew() {
	try {
		begin(await post("/auth/refresh", { body: { refreshToken: session.refreshToken } }));
	} catch (refusal) {
		end(refusal);
	}
}

/** A code is asked for once the password was right, of those who have a second factor. */
function askForCode(isAsked) {
	const { code } = logIn.elements;
	code.hidden = !isAsked;
	code.disabled = !isAsked;
	code.required = isAsked;
}

async function signIn() {
	const button = logIn.querySelector("button");
	button.disabled = true;
	show();
	try {
		begin(await post("/auth/login", { body: Object.fromEntries(new FormData(logIn)) }));
		logIn.reset();
		askForCode(false);
		logOut.querySelector("button").focus();
	} catch (refusal) {
		show(refusal);
		if (refusal.code === "SECOND_FACTOR_REQUIRED") askForCode(true);
		if (refusal.code === "INVALID_CREDENTIALS") askForCode(false);
		const { code, password } = logIn.elements;
		(code.hidden ? password : code).select();
	} finally {
		button.disabled = false;
	}
}

async function signOut() {
	try {
		await post("/auth/logout", { token: session.accessToken });
		end();
	} catch (refusal) {
		end(refusal);
	}
}

for (const [form, action] of [
	[logIn, signIn],
	[logOut, signOut]
])
	form.addEventListener("submit", event => {
		event.preventDefault();
		void action();
	});
