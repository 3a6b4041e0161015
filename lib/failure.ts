import { Errors } from "moleculer";
import {
	commonFailures,
	type CommonFailure,
	type FailureContract,
	type ServiceContract
} from "./contract.ts";

/** What a failure may tell beside its code. `detail` replaces the general sentence; nothing here may be secret. */
export interface FailureDetail {
	readonly detail?: string;
	/** Fields that are to blame, for 422. Never their values. */
	readonly errors?: readonly { field: string; code: string; message: string }[];
}

/**
 * A declared failure, ready to be thrown. It is a plain `MoleculerClientError` because a subclass
 * would arrive at a remote caller as a bare `Error`.
 */
export function failure<C extends ServiceContract>(
	{ failures }: C,
	code: (keyof C["failures"] & string) | CommonFailure,
	data: FailureDetail = {}
): Errors.MoleculerClientError {
	const table: Record<string, FailureContract> = { ...commonFailures, ...failures };
	const { status, message } = table[code]!;
	return new Errors.MoleculerClientError(data.detail ?? message, status, code, data);
}

/** A common failure, for code that belongs to no contract. */
export const commonFailure = (
	code: CommonFailure,
	data: FailureDetail = {}
): Errors.MoleculerClientError =>
	failure({ name: "", actions: {}, events: {}, failures: {} }, code, data);

/**
 * Throws VERSION_MISMATCH where `If-Match` names versions, and the object has none of them (RFC 9110,
 * 13.1.1). To be asked in the transaction that changes the object, once that is locked.
 */
export function requireVersion(ifMatch: readonly number[] | undefined, version: number): void {
	if (ifMatch && !ifMatch.includes(version)) throw commonFailure("VERSION_MISMATCH");
}

/** Whether an error is the declared failure with this code, thrown here or by a remote service. */
export const isFailure = (error: unknown, code: string): boolean =>
	error instanceof Error && (error as { type?: unknown }).type === code;
