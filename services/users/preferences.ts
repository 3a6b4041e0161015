/** What somebody may prefer: names that the standards know. */
import type { Preferences } from "../../contracts/users.ts";
import { commonFailure } from "../../lib/failure.ts";
import type { FieldError } from "../../lib/validator.ts";

type Wish = Partial<Omit<Preferences, "version">>;

/** Those of who has not said otherwise; the columns' own defaults. */
export const DEFAULT_PREFERENCES = { locale: "en", timeZone: "UTC", currency: "EUR" } as const;

const CURRENCIES = new Set(Intl.supportedValuesOf("currency"));

/** The canonical form of a language tag (BCP 47); undefined where it is none. */
function canonicalLocale(locale: string): string | undefined {
	try {
		return Intl.getCanonicalLocales(locale)[0];
	} catch {
		return undefined;
	}
}

/** The name as the time zone database spells it; undefined where it has none such. */
function canonicalTimeZone(timeZone: string): string | undefined {
	// Offsets as `+02:00` are no zones: they know nothing of summer.
	if (!/^[A-Za-z]/.test(timeZone)) return undefined;
	try {
		return new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone;
	} catch {
		return undefined;
	}
}

const unknown = (field: string, what: string): FieldError => ({
	field,
	code: "unknown",
	message: `must be ${what}`
});

/** What of a wish nobody could have. */
export const problemsOfWish = ({ locale, timeZone, currency }: Wish): FieldError[] => [
	...(locale === undefined || canonicalLocale(locale)
		? []
		: [unknown("locale", "a language tag, as in en-GB")]),
	...(timeZone === undefined || canonicalTimeZone(timeZone)
		? []
		: [unknown("timeZone", "a zone of the IANA database, as in Europe/London")]),
	...(currency === undefined || CURRENCIES.has(currency)
		? []
		: [unknown("currency", "a currency of ISO 4217, as in EUR")])
];

/** The preferences that somebody wishes, in canonical form. Throws VALIDATION_ERROR. */
export function preferencesOf(
	before: Omit<Preferences, "version">,
	{ locale = before.locale, timeZone = before.timeZone, currency = before.currency }: Wish
): Omit<Preferences, "version"> {
	const errors = problemsOfWish({ locale, timeZone, currency });
	if (errors.length > 0) throw commonFailure("VALIDATION_ERROR", { errors });
	return { locale: canonicalLocale(locale)!, timeZone: canonicalTimeZone(timeZone)!, currency };
}
