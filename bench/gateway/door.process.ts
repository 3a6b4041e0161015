/** The real door, or what stands behind it and costs next to nothing, or both: `door.process.ts [door] [behind]`. */
import { randomUUID } from "node:crypto";
import type { ServiceSchema } from "moleculer";
import { allContracts } from "../../contracts/index.ts";
import { signAccessToken } from "../../lib/access-token.ts";
import { readConfig } from "../../lib/config.ts";
import { startNode } from "../../lib/node.ts";
import { implement } from "../../lib/service.ts";
import { createSigningKeys, readSigningKeys } from "../../lib/signing-keys.ts";
import { PRODUCT } from "../product.ts";

/** What the parent is told once it runs. */
export interface Started {
	readonly url?: string;
	/** Headers of somebody who has signed in. */
	readonly signedIn?: Record<string, string>;
}

const parts = process.argv.slice(2);
const keys = readSigningKeys(await createSigningKeys());
const answers: Record<string, unknown> = {
	"products.get": PRODUCT,
	"auth.keys": { keys: keys.publicKeys },
	"auth.revocations": []
};
const behind = allContracts.map((contract): ServiceSchema =>
	implement(contract)({
		actions: Object.fromEntries(
			Object.keys(contract.actions).map(name => [
				name,
				async () => answers[`${contract.name}.${name}`] as never
			])
		)
	})
);
const isDoor = parts.includes("door");
const node = await startNode(readConfig(), {
	units: isDoor ? ["gateway"] : [],
	extra: parts.includes("behind") ? behind : []
});
const customer = { id: randomUUID(), roles: ["customer"], sessionId: randomUUID() } as const;
process.send?.({
	...(isDoor ? { url: `http://127.0.0.1:${String(node.broker.metadata["gatewayPort"])}` } : {}),
	signedIn: { authorization: `Bearer ${await signAccessToken(customer, keys, new Date())}` }
} satisfies Started);
process.once("disconnect", () => process.exit());
