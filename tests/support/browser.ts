/** A Chromium with a profile of its own, for tests of what a person sees. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext } from "playwright-core";
import { findChromium } from "../../bin/chromium.ts";

export interface Browser {
	readonly context: BrowserContext;
	/** Ends it and removes the profile. */
	close(): Promise<void>;
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
