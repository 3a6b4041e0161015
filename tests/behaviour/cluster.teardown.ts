import "./cluster.setup.ts";

export default async function tearDown(): Promise<void> {
	const code = await globalThis.clusterUnderTest!.stop();
	globalThis.clusterUnderTest!.cleanUp();
	if (code !== 0)
		throw new Error(
			`npm run cluster ended with ${code}:\n${globalThis.clusterUnderTest!.output()}`
		);
}
