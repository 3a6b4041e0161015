/** `Idempotency-Key` of a request, on routes whose actions have no parameter for it. */
import { IdempotencyKey } from "../../contracts/common.ts";
import { commonFailure, failure } from "../../lib/failure.ts";
import { keepsKeys } from "../../lib/idempotency.ts";
import { createAjv, fieldErrors } from "../../lib/validator.ts";
import { onlyHeader, type RequestParts } from "./parameters.ts";
import { gateway } from "./problem.ts";
import type { Route } from "./routes.ts";

export const KEY = "idempotency-key";
const isKey = createAjv().compile(IdempotencyKey);

/** Whether the key is taken although no parameter of the action stands for it. */
export const takesKey = ({ contract, rest }: Route): boolean =>
	keepsKeys(contract) && rest.headers?.[KEY] === undefined;

/**
 * The key that is handed to the action beside its parameters. Throws IDEMPOTENCY_KEY_REFUSED where it
 * would be ignored, VALIDATION_ERROR and REPEATED_HEADER.
 */
export function keyOf(route: Route, headers: RequestParts["headers"]): string | undefined {
	// To read twice does no harm.
	if (route.method === "GET" || route.rest.headers?.[KEY] !== undefined) return undefined;
	const key = onlyHeader(KEY, headers);
	if (key === undefined) return undefined;
	if (!takesKey(route)) throw failure(gateway, "IDEMPOTENCY_KEY_REFUSED");
	if (isKey(key)) return key;
	const errors = fieldErrors(isKey.errors).map(error => ({ ...error, field: KEY }));
	throw commonFailure("VALIDATION_ERROR", { errors });
}
