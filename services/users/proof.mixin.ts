/** What signs and proves, for all services of the group. A node without keys does not start. */
import type { Service, ServiceBroker } from "moleculer";
import { runtimeOf } from "../../lib/runtime.ts";
import { mixin } from "../../lib/service.ts";
import { readSigningKeys, type SigningKeys } from "../../lib/signing-keys.ts";
import { Passwords } from "./password.ts";
import { SUCCESSOR_SECRET } from "./session.ts";

export interface Proof {
	readonly keys: SigningKeys;
	readonly successorSecrets: readonly Buffer[];
	readonly passwords: Passwords;
}

// One for a process: each bulkhead would let as many hashes run as the others together.
const passwords = new Passwords();

const keysOf = new WeakMap<ServiceBroker, SigningKeys>();

/** The keys of this node. */
export function signingKeysOf(broker: ServiceBroker): SigningKeys {
	let keys = keysOf.get(broker);
	if (!keys) {
		keys = readSigningKeys(runtimeOf(broker).config.AUTH_KEYS);
		keysOf.set(broker, keys);
	}
	return keys;
}

export const proof = () =>
	mixin<Proof>({
		async started(this: Service) {
			const keys = signingKeysOf(this.broker);
			const successorSecrets = keys.secrets(SUCCESSOR_SECRET);
			Object.assign(this, { keys, successorSecrets, passwords } satisfies Proof);
		}
	});
