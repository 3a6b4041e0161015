/** A Chromium with a profile of its own, for tests of what a person sees. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";
import { findChromium } from "../../bin/chromium.ts";

export interface Browser {
	readonly context: BrowserContext;
	/** Ends it and removes the profile. */
	close(): Promise<void>;
}

/** A page, and what it has done that it should not. */
export interface WatchedPage {
	readonly page: Page;
	/** Errors and warnings of the page itself; and addresses of others that it has asked. */
	readonly faults: string[];
}

/** Opens a page of the system at `url`. */
export async function openPage({ context }: Browser, url: string): Promise<WatchedPage> {
	const page = await context.newPage();
	const faults: string[] = [];
	page.setDefaultTimeout(15_000);
	page.on("pageerror", error => faults.push(error.message));
	page.on("console", message => {
		// Browsers complain of every answer that is an error, wanted or not.
		const isAnswer = message.location().url.startsWith(`${url}/api/v1/`);
		if (["error", "warning"].includes(message.type()) && !isAnswer) faults.push(message.text());
	});
	page.on("request", request => {
		if (!request.url().startsWith(`${url}/`) && !request.url().startsWith("data:"))
			faults.push(`It asked ${request.url()}`);
	});
	return { page, faults };
}

export async function openBrowser(): Promise<Browser> {
	const executablePath = findChromium();
	if (!executablePath) throw new Error("There is no Chromium. `npm test` installs one.");
	const profile = mkdtempSync(join(tmpdir(), "valence-browser-"));
	const context = await chromium.launchPersistentContext(profile, {
		executablePath,
		headless: true,
		viewport: { width: 1280, height: 900 },
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync"
		]
	});
	return {
		context,
		async close() {
			await context.close();
			rmSync(profile, { recursive: true, force: true });
		}
	};
}
