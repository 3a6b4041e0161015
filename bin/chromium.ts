/** Where a Chromium is installed, for the tests of what a person sees. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const APPLICATIONS = [
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	"/Applications/Chromium.app/Contents/MacOS/Chromium"
];

/** Whether there is a program of this path that we may start. */
export const isExecutable = (file: string): boolean => {
	try {
		accessSync(file, constants.X_OK);
		return true;
	} catch {
		return false;
	}
};

/** The program's path; undefined where there is none. */
export function findChromium(): string | undefined {
	const folders = (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
	const commands = COMMANDS.flatMap(command => folders.map(folder => join(folder, command)));
	return [...commands, ...APPLICATIONS].find(isExecutable);
}
