import type { Page } from "playwright-core";
import { openBrowser, openPage, type Browser } from "../support/browser.ts";
import { answerOf, PASSWORD } from "../support/api.ts";
import { linksTo } from "../support/mail.ts";
import { eventually } from "../support/process.ts";
import { api, dataDir, shape, urls } from "./shape.ts";

const NEW_PASSWORD = "another horse battery";
const [url] = urls;

describe(`the pages that links in mails lead to, in a browser (${shape})`, () => {
	let browser: Browser;
	let page: Page;
	let faults: string[];

	beforeAll(async () => {
		browser = await openBrowser();
	}, 60_000);
	afterAll(() => browser.close());
	beforeEach(async () => {
		({ page, faults } = await openPage(browser, url!));
	});
	afterEach(async () => {
		await page.close();
		expect(faults).toEqual([]);
	});

	/** Opens the newest link of a mail to this address. */
	const open = async (name: string, address: string) => {
		await eventually(`a mail to ${name}`, () => linksTo(name, dataDir, address).length > 0);
		await page.goto(`${url}/account/${name}#token=${linksTo(name, dataDir, address).at(-1)!}`);
	};
	const login = async (email: string, password: string) =>
		answerOf(await api.as().POST("/api/v1/auth/login", { body: { login: email, password } }));

	it("confirm an address by one click, and keep the secret out of the address bar", async () => {
		const ada = await api.newCustomer();
		await open("verify-email", ada.email);
		expect(page.url()).toBe(`${url}/account/verify-email`);
		expect(await page.title()).toBe("Confirm your e-mail address");
		// Opening it alone does nothing: scanners of mail open links.
		expect((await api.as(ada.token).GET("/api/v1/users/me")).data!.emailVerified).toBe(false);
		await page.getByRole("button", { name: "Confirm my e-mail address" }).click();
		await page.getByText("your e-mail address is confirmed").waitFor();
		expect((await api.as(ada.token).GET("/api/v1/users/me")).data!.emailVerified).toBe(true);
	});

	it("take a new password, say what is wrong with one, and that a link works once", async () => {
		const ada = await api.newCustomer();
		await api.as().POST("/api/v1/auth/password/forgot", { body: { email: ada.email } });
		await open("reset-password", ada.email);
		const save = async (password: string) => {
			await page.getByLabel("New password").fill(password);
			await page.getByRole("button", { name: "Save the new password" }).click();
		};
		await save("password123");
		await page.getByText("among the most common").waitFor();
		await save(NEW_PASSWORD);
		await page.getByText("Your new password is saved").waitFor();
		expect(await page.getByLabel("New password").isVisible()).toBe(false);
		expect((await login(ada.email, NEW_PASSWORD)).status).toBe(200);
		expect((await login(ada.email, PASSWORD)).status).toBe(401);
		// Only what is behind the # is new: for the browser it is the same page.
		await open("reset-password", ada.email);
		await save(`${NEW_PASSWORD} 2`);
		await page.getByText("This link is not valid any more").waitFor();
	});

	it("mail another link to whoever has one that is no good any more", async () => {
		const ada = await api.newCustomer();
		await page.goto(`${url}/account/reset-password#token=${"A".repeat(43)}`);
		expect(await page.getByLabel("Your e-mail address").isVisible()).toBe(false);
		await page.getByLabel("New password").fill(NEW_PASSWORD);
		await page.getByRole("button", { name: "Save the new password" }).click();
		await page.getByText("This link is not valid any more").waitFor();
		expect(await page.getByLabel("New password").isVisible()).toBe(false);
		await page.getByLabel("Your e-mail address").fill(ada.email);
		await page.getByRole("button", { name: "Mail me a new link" }).click();
		await page
			.getByText("If there is an account with this address, a mail is on its way.")
			.waitFor();
		expect(await page.getByRole("button").isVisible()).toBe(false);
		await open("reset-password", ada.email);
		await page.getByLabel("New password").fill(NEW_PASSWORD);
		await page.getByRole("button", { name: "Save the new password" }).click();
		await page.getByText("Your new password is saved").waitFor();
		expect((await login(ada.email, NEW_PASSWORD)).status).toBe(200);
	});

	it("say the same of an address that nobody has", async () => {
		await page.goto(`${url}/account/reset-password`);
		await page.getByLabel("Your e-mail address").fill("nobody-at-all@example.com");
		await page.getByRole("button", { name: "Mail me a new link" }).click();
		await page
			.getByText("If there is an account with this address, a mail is on its way.")
			.waitFor();
		expect(linksTo("reset-password", dataDir, "nobody-at-all@example.com")).toEqual([]);
	});

	it("say so where a link is not complete", async () => {
		await page.goto(`${url}/account/verify-email`);
		await page.getByText("This link is not complete").waitFor();
		// Only whoever has signed in is mailed another one of these.
		expect(await page.getByRole("button").isVisible()).toBe(false);
		await page.goto(`${url}/account/reset-password`);
		await page.getByText("This link is not complete").waitFor();
		expect(await page.getByRole("button", { name: "Save the new password" }).isVisible()).toBe(
			false
		);
	});
});
