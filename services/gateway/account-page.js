// The pages that links in mails lead to: one button each, so that a scanner that opens links uses none up.
const PAGES = {
	"verify-email": {
		title: "Confirm your e-mail address",
		text: "One click, and your address is confirmed.",
		button: "Confirm my e-mail address",
		path: "/api/v1/auth/email/verify",
		done: "Thank you, your e-mail address is confirmed. You can close this page."
	},
	"reset-password": {
		title: "Choose a new password",
		text: "You will be signed out everywhere.",
		button: "Save the new password",
		path: "/api/v1/auth/password/reset",
		done: "Your new password is saved. Sign in with it from now on.",
		asksPassword: true
	}
};

const page = PAGES[location.pathname.split("/").at(-1)];
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
// What is in the address stands in the history, and is seen by whoever looks over a shoulder.
history.replaceState(null, "", location.pathname);
// Another link to the same page, opened in this tab.
addEventListener("hashchange", () => location.reload());

const at = selector => document.querySelector(selector);
const use = at("#use");
const ask = at("#ask");
const password = at("#password");

document.title = page.title;
at("h1").textContent = page.title;
at("#text").textContent = page.text;
at("#use button").textContent = page.button;
for (const element of [password, at("#use label"), at("#hint")])
	element.hidden = !page.asksPassword;
password.required = page.asksPassword === true;

const INCOMPLETE =
	"This link is not complete. Open it from the mail once more, or copy all of its address.";

const finish = text => {
	use.hidden = true;
	ask.hidden = true;
	at("#text").textContent = text;
};

/** A link that leads nowhere: whoever may choose a new password by mail can have another one. */
const giveUp = text => {
	finish(text);
	ask.hidden = !page.asksPassword;
};

const complain = (form, text) => {
	form.querySelector(".trouble").textContent = text;
};

/** Sends what a form is about. Answers undefined where that was done, else the problem. */
const send = async (form, path, body) => {
	const button = form.querySelector("button");
	button.disabled = true;
	complain(form, "");
	try {
		const response = await fetch(path, {
			method: "POST",
			headers: { "Content-Type": "application/json" },
			body: JSON.stringify(body)
		});
		return response.ok ? undefined : await response.json();
	} catch {
		return { detail: "There is no connection. Try again in a moment." };
	} finally {
		button.disabled = false;
	}
};

if (!token) giveUp(INCOMPLETE);

use.addEventListener("submit", async event => {
	event.preventDefault();
	const body = { token, ...(page.asksPassword ? { password: password.value } : {}) };
	const problem = await send(use, page.path, body);
	if (!problem) return finish(page.done);
	const { code, detail, errors = [] } = problem;
	if (code === "INVALID_TOKEN") giveUp(detail);
	else if (errors.some(({ field }) => field === "token")) giveUp(INCOMPLETE);
	else complain(use, detail);
});

ask.addEventListener("submit", async event => {
	event.preventDefault();
	const problem = await send(ask, "/api/v1/auth/password/forgot", { email: at("#email").value });
	if (problem) complain(ask, problem.detail);
	else finish("If there is an account with this address, a mail is on its way.");
});
