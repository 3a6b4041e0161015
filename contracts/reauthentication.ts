/** What those who change how they sign in have to prove once more. */
import { Type } from "typebox";
import { CurrentPassword } from "./passwords.ts";

export const reauthentication = { password: Type.Optional(CurrentPassword) };

/** How an action says what it needs. */
export const REAUTHENTICATION =
	"Needs the current password; of an account that has none, a session that began within the last ten minutes.";

/** In which ways it fails, with those of `passwordFailures`. */
export const REAUTHENTICATION_FAILURES = [
	"WRONG_PASSWORD",
	"REAUTHENTICATION_REQUIRED",
	"BUSY"
] as const;
