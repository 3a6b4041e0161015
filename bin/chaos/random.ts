/** Chance that can be repeated: the same seed gives the same run of numbers. */

/** mulberry32, 32 bits of state: plenty for choosing faults, and the same on every platform. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed >>> 0;
	}

	/** From 0 up to 1, without 1. */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	}

	/** A whole number, both ends included. */
	int(min: number, max: number): number {
		return min + Math.floor(this.next() * (max - min + 1));
	}

	chance(share: number): boolean {
		return this.next() < share;
	}

	pick<T>(list: readonly T[]): T {
		return list[this.int(0, list.length - 1)]!;
	}

	shuffle<T>(list: readonly T[]): T[] {
		const shuffled = [...list];
		for (let index = shuffled.length - 1; index > 0; index--) {
			const other = this.int(0, index);
			[shuffled[index], shuffled[other]] = [shuffled[other]!, shuffled[index]!];
		}
		return shuffled;
	}

	uuid(): string {
		const digits = Array.from({ length: 32 }, () => this.int(0, 15).toString(16));
		digits[12] = "4";
		digits[16] = "89ab"[this.int(0, 3)]!;
		const hex = digits.join("");
		return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
	}
}
