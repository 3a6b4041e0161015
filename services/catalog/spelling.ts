/** Typing errors: which words of the catalog somebody may have meant. */

/** As many are looked for in place of a word. */
const MEANT = 5;

/**
 * The candidates that are nearest to what was typed, best first: none where all are too far away. Errors
 * are letters that are missing, too many, wrong or in the wrong order: one in up to four letters, two in more.
 * Of a word that is only half typed the beginning is compared.
 */
export function meant(
	typed: string,
	candidates: readonly string[],
	{ isHalf }: { readonly isHalf: boolean }
): string[] {
	const allowed = typed.length <= 4 ? 1 : 2;
	const distances = candidates.map(word => ({ word, ...distancesOf(typed, word) }));
	// Short beginnings are near to too much.
	const near = distances.map(({ word, whole, beginning }) => ({
		word,
		errors: isHalf && typed.length > 4 ? Math.min(whole, beginning) : whole
	}));
	const best = Math.min(...near.map(({ errors }) => errors));
	return near
		.filter(({ errors }) => errors === best && errors <= allowed)
		.slice(0, MEANT)
		.map(({ word }) => word);
}

/** The word with two neighbouring letters exchanged, in each place: these have few trigrams in common. */
export const swapped = (word: string): string[] => {
	const letters = Array.from(word);
	return letters.slice(1).map((letter, index) => {
		const other = letters.with(index, letter);
		return other.with(index + 1, letters[index]!).join("");
	});
};

/** Errors between the texts (optimal string alignment), and between the first one and a beginning of the second. */
function distancesOf(a: string, b: string): { whole: number; beginning: number } {
	const [left, right] = [Array.from(a), Array.from(b)];
	let before: number[] = [];
	let last = Array.from({ length: right.length + 1 }, (_, j) => j);
	for (let i = 1; i <= left.length; i++) {
		const row = [i];
		for (let j = 1; j <= right.length; j++) {
			const wrong = left[i - 1] === right[j - 1] ? 0 : 1;
			let errors = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + wrong);
			if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
				errors = Math.min(errors, before[j - 2]! + 1);
			row.push(errors);
		}
		[before, last] = [last, row];
	}
	return { whole: last.at(-1)!, beginning: Math.min(...last) };
}
