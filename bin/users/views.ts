/** What the commands about users show to people. */
import type { User } from "../../contracts/users.ts";
import { paint, table } from "../console.ts";

export const nameOf = ({ username, email }: User): string => `${username} (${email})`;

export const usersView = (users: readonly User[]): string =>
	table(
		["USERNAME", "E-MAIL", "ROLES", "STATUS", "SINCE", "ID"],
		users.map(({ username, email, emailVerified, roles, status, createdAt, id }) => [
			username,
			emailVerified ? email : `${email} (not verified)`,
			roles.join(", "),
			status === "active" ? status : paint("yellow", status),
			createdAt,
			id
		])
	);

/** What becomes of the lines of an import. */
export const IMPORT_WORDS = {
	progress: { imported: "imported", exists: "exist" },
	done: { imported: "imported", exists: "existed already" },
	would: {
		imported: "would be imported",
		exists: "exist already",
		rejected: "would be rejected"
	}
};
