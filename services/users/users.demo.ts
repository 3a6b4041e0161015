/** The log-ins of the demo: one of each role. */
import type { Role } from "../../contracts/users.ts";
import type { Database } from "../../lib/database.ts";
import { isFailure } from "../../lib/failure.ts";
import { Passwords } from "./password.ts";
import { createUser } from "./users.store.ts";

const ROLES: readonly Role[] = ["admin", "staff", "customer"];

/**
 * Makes `admin@valence.test`, `staff@valence.test` and `customer@valence.test`, each with the role
 * of that name, and returns how many were not there yet. Those that were are left as they are,
 * their passwords too.
 */
export async function loadDemoUsers(db: Database, password: string): Promise<number> {
	const passwords = new Passwords();
	let made = 0;
	for (const role of ROLES) {
		const user = {
			email: `${role}@valence.test`,
			username: role,
			name: `Demo ${role}`,
			passwordHash: await passwords.hash(password),
			roles: [role],
			emailVerified: true
		};
		try {
			await db.transaction(tx => createUser(tx, user));
			made++;
		} catch (error) {
			if (!isFailure(error, "EMAIL_TAKEN") && !isFailure(error, "USERNAME_TAKEN")) throw error;
		}
	}
	return made;
}
