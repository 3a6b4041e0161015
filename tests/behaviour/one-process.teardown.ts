import "./one-process.setup.ts";

export default async function tearDown(): Promise<void> {
	const code = await globalThis.oneProcessUnderTest!.stop();
	globalThis.oneProcessUnderTest!.cleanUp();
	if (code !== 0)
		throw new Error(`npm start ended with ${code}:\n${globalThis.oneProcessUnderTest!.output()}`);
}
