/** Something that the person who starts Valence can mend; the message says how. */
export class StartupError extends Error {
	constructor(message: string) {
		super(message);
		this.name = "StartupError";
	}
}

export const fullDisk = (path: string): string =>
	`The disk that holds ${path} is full. Free some space, or set DATA_DIR to a folder on another disk.`;

/** The error of a `listen()` as a person should read it: which port, and which variable sets another. */
export const listenError = (
	error: NodeJS.ErrnoException,
	variable: string,
	port: number
): Error => {
	if (error.code === "EADDRINUSE")
		return new StartupError(
			`Port ${port} is taken. Set ${variable} to another one, or to 0 for any free one.`
		);
	if (error.code === "EACCES")
		return new StartupError(`Port ${port} needs more rights. Set ${variable} to one above 1023.`);
	return error;
};
