import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { readPassword } from "./password.ts";

/** A terminal in which somebody types; what it shows is kept. */
function terminal(typed: string) {
	const output = new PassThrough().setEncoding("utf8");
	const input = Object.assign(new PassThrough(), { isTTY: true });
	const answers = typed.split(/(?<=\n)/).values();
	const shown: string[] = [];
	output.on("data", (text: string) => {
		shown.push(text);
		if (text.endsWith(": ")) input.write(answers.next().value ?? "\u0003");
	});
	return { read: () => readPassword(undefined, input, output), shown: () => shown.join("") };
}

describe("a password", () => {
	it("is asked for twice at a terminal, which shows nothing of it", async () => {
		const { read, shown } = terminal("correct hoe\u007frse\ncorrect horse\n");
		expect(await read()).toBe("correct horse");
		expect(shown()).toBe("Password: \nOnce more: \n");
	});

	it("is not taken where the two differ, or are nothing", async () => {
		await expect(terminal("correct horse\ncorrect hose\n").read()).rejects.toThrow(/two passwords/);
		await expect(terminal("\n\n").read()).rejects.toThrow(/no password/);
	});

	it("is not waited for after Ctrl-C", async () => {
		await expect(terminal("correct\u0003").read()).rejects.toThrow("Nothing was done.");
	});

	it("is the first line of standard input, or of a file", async () => {
		const input = new PassThrough();
		input.end("correct horse\r\nand more\n");
		expect(await readPassword(undefined, input)).toBe("correct horse");
		const folder = mkdtempSync(join(tmpdir(), "valence-password-"));
		const file = join(folder, "password");
		writeFileSync(file, " correct horse \n");
		expect(await readPassword(file)).toBe(" correct horse ");
		rmSync(folder, { recursive: true });
		await expect(readPassword(file)).rejects.toThrow(/cannot be read: ENOENT/);
	});
});
