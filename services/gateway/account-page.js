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
const form = at("form");
const password = at("#password");

document.title = page.title;
at("h1").textContent = page.title;
at("#text").textContent = page.text;
at("button").textContent = page.button;
for (const element of [password, at("label"), at("#hint")]) element.hidden = !page.asksPassword;
password.required = page.asksPassword === true;

const finish = text => {
	form.hidden = true;
	at("#text").textContent = text;
};

if (!token)
	finish("This link is not complete. Open it from the mail once more, or copy all of its address.");

form.addEventListener("submit", async event => {
	event.preventDefault();
	at("button").disabled = true;
	at("#trouble").textContent = "";
	try {
		const response = await fetch(page.path, {
			method: "POST",
			headers: { "Content-Type": "application/json" },
			body: JSON.stringify({ token, ...(page.asksPassword ? { password: password.value } : {}) })
		});
		if (response.ok) return finish(page.done);
		const { detail, errors = [] } = await response.json();
		at("#trouble").textContent = errors.some(({ field }) => field === "token")
			? "This link is not complete. Open it from the mail once more, or copy all of its address."
			: detail;
	} catch {
		at("#trouble").textContent = "There is no connection. Try again in a moment.";
	}
	at("button").disabled = false;
});
