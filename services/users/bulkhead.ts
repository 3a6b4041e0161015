/** Lets at most `atOnce` pieces of work run; at most `waiting` more stand in line; others are refused. */
export class Bulkhead {
	readonly #atOnce: number;
	readonly #waiting: number;
	readonly #refusal: () => Error;
	readonly #line: (() => void)[] = [];
	#running = 0;

	/** `refusal` makes the error that is thrown when the line is full. */
	constructor(atOnce: number, waiting: number, refusal: () => Error) {
		this.#atOnce = atOnce;
		this.#waiting = waiting;
		this.#refusal = refusal;
	}

	async run<T>(work: () => Promise<T>): Promise<T> {
		if (this.#running < this.#atOnce) this.#running++;
		else if (this.#line.length < this.#waiting) await new Promise<void>(go => this.#line.push(go));
		else throw this.#refusal();
		try {
			return await work();
		} finally {
			// The place is handed on, so that nobody who comes in between takes it.
			const next = this.#line.shift();
			if (next) next();
			else this.#running--;
		}
	}
}
