/**
 * One replica of the crash matrix: `node bin/crash-matrix/node.ts writer|reader`, configured by its
 * environment. MENDED=1 gives a reader without the fault that springs traps. `none` only loads the code.
 */
import { die } from "../console.ts";
import { runReplica } from "../chaos/replica-process.ts";
import { post } from "../chaos/services.ts";
import { alsoAsk, Fault, PARTS, servicesOf, WORKER, type Part } from "./services.ts";

/** What a replica is told over IPC. */
export type Order =
	{ readonly mend: true } | { readonly replay: string; readonly consumer: string };

const fault = new Fault();
fault.isMended = process.env["MENDED"] === "1";

try {
	const [part] = process.argv.slice(2);
	if (part !== "none") {
		if (!PARTS.some(known => known === part))
			throw new Error(`There is no part '${part}'; name one of ${PARTS.join(", ")}.`);
		await runReplica({
			services: servicesOf(part as Part, fault),
			post:
				part === "writer"
					? ({ broker, runtime }, command) =>
							post(runtime.database("orders"), command, (asked, tx) =>
								alsoAsk(broker.getLocalService(WORKER), asked, tx)
							)
					: undefined,
			async hear({ runtime }, message) {
				const order = message as Order;
				if ("mend" in order) fault.isMended = true;
				else await runtime.inboxes.get(order.consumer)!.replay(order.replay, "crash-matrix");
			}
		});
	}
} catch (error) {
	die(error);
}
