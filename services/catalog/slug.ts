/** Names as they stand in paths. Pure. */
import { idOrSlug } from "./id-or-slug.ts";

/** Shorter than a slug may be, so that a number fits behind it. */
const MAX_LENGTH = 100;

/**
 * A name in lower-case letters, digits and single hyphens, at most 100 characters; `otherwise` where nothing is
 * left of it, or just what looks like an id.
 */
export function slugOf(name: string, otherwise: string): string {
	const slug = name
		.replaceAll(/['’]/g, "")
		.replaceAll("ß", "ss")
		.normalize("NFKD")
		.replaceAll(/\p{M}/gu, "")
		.toLowerCase()
		.replaceAll(/[^a-z0-9]+/g, "-")
		.slice(0, MAX_LENGTH)
		.replaceAll(/^-|-$/g, "");
	return slug === "" || idOrSlug(slug).id !== null ? otherwise : slug;
}

/** So many numbers are tried before something is put behind a slug that nobody has to be asked about. */
const NUMBERS = 9;

/** A slug, and what may stand instead where others have it; the last of them, with `unique`, is always free. */
export const alternativesTo = (slug: string, unique: string): string[] => [
	slug,
	...Array.from({ length: NUMBERS - 1 }, (_, index) => `${slug}-${index + 2}`),
	`${slug}-${unique}`
];
