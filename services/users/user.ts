/** A user: how logins are compared, and which passwords are too common to be one. */
import { COMMON_PASSWORDS } from "./common-passwords.ts";

/**
 * The form in which e-mail addresses and usernames are compared, and unique: NFKC, trimmed,
 * lower case. Dots and `+tags` stay: what they mean is the mail server's business, and two people
 * may well have both forms.
 */
export const normalizeLogin = (login: string): string =>
	login.normalize("NFKC").trim().toLowerCase();

/** Whether a password is among those that are tried first. */
export const isCommonPassword = (password: string): boolean =>
	COMMON_PASSWORDS.has(password.normalize("NFKC").trim().toLowerCase());
