/** What signs and proves, for all services of the group. A node without keys does not start. */
import type { Service, ServiceBroker } from "moleculer";
import { readEncryptionKeys, type Encryption } from "../../lib/encryption.ts";
import { KeyRing } from "../../lib/key-ring.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { mixin } from "../../lib/service.ts";
import type { SigningKeys } from "../../lib/signing-keys.ts";
import { Passwords } from "./password.ts";
import { SUCCESSOR_SECRET } from "./session.ts";

export interface Proof {
	readonly keys: SigningKeys;
	readonly successorSecrets: readonly Buffer[];
	readonly passwords: Passwords;
	readonly encryption: Encryption;
}

// One for a process: each bulkhead would let as many hashes run as the others together.
const passwords = new Passwords();

const rings = new WeakMap<ServiceBroker, KeyRing>();

function ringOf(broker: ServiceBroker): KeyRing {
	let ring = rings.get(broker);
	if (!ring) {
		ring = new KeyRing(runtimeOf(broker).config, {
			onError: ({ message }) => broker.logger.error(`AUTH_KEYS_FILE is not taken over: ${message}`)
		});
		rings.set(broker, ring);
	}
	return ring;
}

/** The keys of this node, as they are now. */
export const signingKeysOf = (broker: ServiceBroker): SigningKeys => ringOf(broker).now;

export const proof = () =>
	mixin<Proof>({
		async started(this: Service) {
			const ring = ringOf(this.broker);
			const encryption = readEncryptionKeys(runtimeOf(this.broker).config.ENCRYPTION_KEYS);
			// Keys change while the node runs, so they are looked at anew each time.
			Object.defineProperties(this, {
				keys: { get: () => ring.now },
				successorSecrets: { get: () => ring.now.secrets(SUCCESSOR_SECRET) },
				passwords: { value: passwords },
				encryption: { value: encryption }
			} satisfies Record<keyof Proof, PropertyDescriptor>);
		},
		async stopped(this: Service) {
			await rings.get(this.broker)?.close();
		}
	});
