import { Type, type Static } from "typebox";
import { contract } from "../lib/contract.ts";
import { Id, Nullable, Params, Timestamp } from "./common.ts";
import { passwordFailures } from "./passwords.ts";
import {
	reauthentication,
	REAUTHENTICATION,
	REAUTHENTICATION_FAILURES
} from "./reauthentication.ts";

/** Of an authenticator app, or one that was written down. */
export const SecondFactorCode = Type.String({
	pattern: "^(?:[0-9]{6}|[0-9A-Za-z]{4}(?:-?[0-9A-Za-z]{4}){3})$",
	writeOnly: true,
	description: "Six digits of the authenticator, or a recovery code; each works once",
	examples: ["492039"]
});

const RecoveryCodes = Type.Object(
	{
		recoveryCodes: Type.Array(Type.String({ examples: ["7K2M-Q0XW-9DTR-4H8B"] }), {
			description: "Ten, shown this once; each signs in once in place of an authenticator's code"
		})
	},
	{ title: "RecoveryCodes" }
);

export const TwoFactor = Type.Object(
	{
		enabled: Type.Boolean({ description: "Whether signing in by password needs a second factor" }),
		since: Nullable(Timestamp),
		recoveryCodesLeft: Type.Integer({ examples: [10] })
	},
	{ title: "TwoFactor" }
);
export type TwoFactor = Static<typeof TwoFactor>;

/** A second factor for those who sign in by password: codes of an authenticator app (TOTP, RFC 6238). */
export const twoFactor = contract({
	name: "two-factor",
	failures: {
		WRONG_PASSWORD: passwordFailures.WRONG_PASSWORD,
		REAUTHENTICATION_REQUIRED: passwordFailures.REAUTHENTICATION_REQUIRED,
		BUSY: passwordFailures.BUSY,
		NO_ENROLMENT: {
			status: 409,
			message: "No authenticator is being set up, or that was begun too long ago. Begin anew."
		},
		WRONG_CODE: {
			status: 422,
			message: "This is not the authenticator's code of now. Check the clock of the device."
		},
		TWO_FACTOR_OFF: {
			status: 409,
			message: "You have no second factor. Set up an authenticator first if you want one."
		}
	},
	actions: {
		get: {
			summary: "Tell whether signing in by password needs a second factor",
			access: "user",
			rest: { route: "GET /auth/two-factor", tag: "Identity" },
			idempotent: true,
			params: Params({}),
			result: TwoFactor
		},
		enrol: {
			summary: "Begin to set up an authenticator",
			description: `Changes nothing until a code of it is confirmed, within ten minutes; an authenticator that was set up before works until then. ${REAUTHENTICATION}`,
			access: "user",
			rest: {
				route: "POST /auth/two-factor",
				tag: "Identity",
				status: 201,
				idempotencyKey: "refused",
				limit: { attempt: "login" }
			},
			params: Params(reauthentication),
			result: Type.Object({
				secret: Type.String({
					description: "Base32, for who types it in",
					examples: ["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"]
				}),
				uri: Type.String({
					description: "The same for a QR code",
					examples: [
						"otpauth://totp/Valence:ada%40example.com?issuer=Valence&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&period=30"
					]
				})
			}),
			failures: [...REAUTHENTICATION_FAILURES]
		},
		confirm: {
			summary: "Turn the second factor on by a first code of the authenticator",
			description: "Earlier recovery codes do not work any more.",
			access: "user",
			rest: {
				route: "POST /auth/two-factor/confirm",
				tag: "Identity",
				idempotencyKey: "refused",
				limit: { attempt: "login" }
			},
			params: Params({
				code: Type.String({ pattern: "^[0-9]{6}$", writeOnly: true, examples: ["492039"] })
			}),
			result: RecoveryCodes,
			failures: ["NO_ENROLMENT", "WRONG_CODE"]
		},
		renewRecoveryCodes: {
			summary: "Get new recovery codes",
			description: `Earlier ones do not work any more. ${REAUTHENTICATION}`,
			access: "user",
			rest: {
				route: "POST /auth/two-factor/recovery-codes",
				tag: "Identity",
				idempotencyKey: "refused",
				limit: { attempt: "login" }
			},
			params: Params(reauthentication),
			result: RecoveryCodes,
			failures: [...REAUTHENTICATION_FAILURES, "TWO_FACTOR_OFF"]
		},
		disable: {
			summary: "Turn the second factor off",
			description: REAUTHENTICATION,
			access: "user",
			rest: {
				route: "DELETE /auth/two-factor",
				tag: "Identity",
				status: 204,
				body: ["password"],
				limit: { attempt: "login" }
			},
			params: Params(reauthentication),
			result: Type.Null(),
			failures: [...REAUTHENTICATION_FAILURES, "TWO_FACTOR_OFF"]
		}
	},
	events: {
		"user.two-factor-enabled.v1": {
			summary: "A user signs in with the codes of an authenticator, or of another one, from now on",
			data: Type.Object({ userId: Id })
		},
		"user.two-factor-disabled.v1": {
			summary: "A user signs in without a second factor from now on",
			data: Type.Object({ userId: Id })
		},
		"user.recovery-code-used.v1": {
			summary: "A user has signed in by a recovery code in place of the authenticator",
			data: Type.Object({
				userId: Id,
				left: Type.Integer({ minimum: 0, description: "How many recovery codes are left" })
			})
		}
	}
});
