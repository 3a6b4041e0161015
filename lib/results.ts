import { Errors } from "moleculer";
import { createAjv, fieldErrors } from "./validator.ts";

// An answer is judged as it is: nothing is filled in that production would lack.
const ajv = createAjv({ defaults: false });

/**
 * Checks what actions answer against their contract, outside production: a wrong answer is a
 * programmer's mistake and is better met in a test than by a client.
 */
export const resultMiddleware = {
	name: "Results",
	localAction(next: (ctx: any) => Promise<unknown>, definition: { name: string; result?: object }) {
		const { name, result } = definition;
		if (!result) return next;
		const check = ajv.compile(result);
		return async (ctx: unknown) => {
			const answer = await next(ctx);
			if (check(answer)) return answer;
			throw new Errors.MoleculerServerError(
				`The answer of '${name}' breaks its contract: ${JSON.stringify(fieldErrors(check.errors))}`,
				500,
				"CONTRACT_VIOLATION"
			);
		};
	}
};
