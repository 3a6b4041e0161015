/** What somebody may prefer: names that the standards know. */
import type { Preferences } from "../../contracts/users.ts";
import { commonFailure } from "../../lib/failure.ts";
import type { FieldError } from "../../lib/validator.ts";

type Wish = Partial<Omit<Preferences, "version">>;

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

/** The preferences that somebody wishes, in canonical form. Throws VALIDATION_ERROR. */
export function preferencesOf(
	before: Omit<Preferences, "version">,
	{ locale, timeZone, currency }: Wish
): Omit<Preferences, "version"> {
	const after = {
		locale: locale === undefined ? before.locale : canonicalLocale(locale),
		timeZone: timeZone === undefined ? before.timeZone : canonicalTimeZone(timeZone),
		currency:
			currency === undefined || CURRENCIES.has(currency) ? (currency ?? before.currency) : undefined
	};
	const errors = [
		...(after.locale ? [] : [unknown("locale", "a language tag, as in en-GB")]),
		...(after.timeZone
			? []
			: [unknown("timeZone", "a zone of the IANA database, as in Europe/London")]),
		...(after.currency ? [] : [unknown("currency", "a currency of ISO 4217, as in EUR")])
	];
	if (errors.length > 0) throw commonFailure("VALIDATION_ERROR", { errors });
	return after as Omit<Preferences, "version">;
}
