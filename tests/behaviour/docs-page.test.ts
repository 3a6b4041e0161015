import { Secret } from "otpauth";
import type { Page } from "playwright-core";
import { codeOfStep, stepAt } from "../../services/users/totp.ts";
import { openBrowser, openPage, type Browser } from "../support/browser.ts";
import { api, shape, urls } from "./shape.ts";

const CUSTOMER = "customer@valence.test";
const PASSWORD = "valence-demo-2026";
const [url] = urls;

describe(`the page at /docs, in a browser (${shape})`, () => {
	let browser: Browser;
	let page: Page;
	let faults: string[];

	beforeAll(async () => {
		browser = await openBrowser();
	}, 60_000);
	afterAll(async () => {
		await browser.close();
	});
	beforeEach(async () => {
		({ page, faults } = await openPage(browser, url!));
		await page.goto(`${url}/docs`);
	});
	afterEach(async () => {
		await page.close();
		expect(faults).toEqual([]);
	});

	const logIn = async (login: string, password: string) => {
		await page.getByLabel("E-mail or username").fill(login);
		await page.getByLabel("Password", { exact: true }).fill(password);
		await page.getByRole("button", { name: "Log in" }).click();
	};
	/** Opens the operation, executes it and answers what is shown as its answer. */
	const execute = async () => {
		const operation = page.locator(".opblock", { hasText: "Read one's own account" });
		const button = operation.getByRole("button", { name: "Execute" });
		if (!(await button.isVisible())) await operation.locator(".opblock-summary-control").click();
		await button.click();
		const answer = operation.locator(".live-responses-table");
		await answer.waitFor();
		return answer;
	};

	it("lets a person log in, try a route, and log out", async () => {
		await logIn(CUSTOMER, PASSWORD);
		await page.getByText("customer (customer)").waitFor();
		const answer = await execute();
		expect(await answer.locator(".response .response-col_status").textContent()).toContain("200");
		expect(await answer.textContent()).toContain(CUSTOMER);

		await page.getByRole("button", { name: "Log out" }).click();
		await page.getByRole("button", { name: "Log in" }).waitFor();
		await page.locator(".btn-clear").click();
		const refused = await execute();
		expect(await refused.locator(".response .response-col_status").textContent()).toContain("401");
	}, 60_000);

	it("says why a log-in is refused, and where that is explained", async () => {
		await logIn(CUSTOMER, "not the password");
		const alert = page.getByRole("alert").filter({ hasText: "password" });
		await alert.waitFor();
		expect(await alert.textContent()).toBe(
			"The login or the password is wrong. Check both, or reset your password. (INVALID_CREDENTIALS)"
		);
		expect(await page.getByRole("button", { name: "Log out" }).isVisible()).toBe(false);
		await alert.getByRole("link").click();
		await page.getByRole("heading", { name: "INVALID_CREDENTIALS (401)" }).waitFor();
		expect(await page.textContent("body")).toContain("POST /api/v1/auth/login");
	}, 60_000);

	it("asks for a code once the password was right, of those who have a second factor", async () => {
		const { username, token } = await api.newCustomer();
		const password = "correct horse battery";
		const { body } = await api.request("POST", "/auth/two-factor", { token, body: { password } });
		const key = Buffer.from(Secret.fromBase32(body.secret).bytes);
		const codeIn = (steps: number) => codeOfStep(key, stepAt(new Date()) + steps);
		const confirmed = { token, body: { code: codeIn(0) } };
		expect((await api.request("POST", "/auth/two-factor/confirm", confirmed)).status).toBe(200);
		await logIn(username, password);
		const code = page.getByLabel("Code of your authenticator");
		await code.waitFor();
		await code.fill(codeIn(1));
		await page.getByRole("button", { name: "Log in" }).click();
		await page.getByText(`${username} (customer)`).waitFor();
		expect(await code.isVisible()).toBe(false);
	}, 60_000);

	it("can be used with the keyboard alone", async () => {
		const { username } = await api.newCustomer();
		await page.getByRole("button", { name: "Log in" }).and(page.locator(":enabled")).waitFor();
		await page.getByLabel("E-mail or username").focus();
		await page.keyboard.type(username);
		await page.keyboard.press("Tab");
		await page.keyboard.type("correct horse battery");
		await page.keyboard.press("Enter");
		await page.getByText(`${username} (customer)`).waitFor();
		const focused = page.locator(":focus");
		expect(await focused.textContent()).toBe("Log out");
		await page.keyboard.press("Enter");
		await page.getByRole("button", { name: "Log in" }).waitFor();
	}, 60_000);
});
