/** The event that is measured: it stands in no registry, so that no service of the system can hear it. */
import { Type } from "typebox";
import { contract } from "../../lib/contract.ts";
import { declareEvents } from "../../lib/events/catalog.ts";

export const samples = contract({
	name: "samples",
	failures: {},
	actions: {},
	events: {
		"sample.taken.v1": {
			summary: "A sample was taken",
			data: Type.Object({ number: Type.Integer(), text: Type.String() })
		}
	}
});

export const SAMPLE = "sample.taken.v1";
/** The size of the data of a small order. */
export const TEXT = "x".repeat(200);

declareEvents(samples);
