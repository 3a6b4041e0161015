import { deletions, type Deletion } from "../../contracts/deletions.ts";
import type { Erased } from "../../contracts/personal-data.ts";
import type { Database, Tx } from "../../lib/database.ts";
import type { Envelope } from "../../lib/events/envelope.ts";
import { commonFailure, failure } from "../../lib/failure.ts";
import { requireUser, type ClientInfo, type Meta } from "../../lib/identity.ts";
import {
	HOLDERS,
	LAST_LOOK_MS,
	tellErased,
	type ErasedFact,
	type Holder
} from "../../lib/personal-data.ts";
import { runtimeOf } from "../../lib/runtime.ts";
import { implement } from "../../lib/service.ts";
import { events } from "../../mixins/events.mixin.ts";
import { clearTimer, setTimer, timers, type TimerHost } from "../../mixins/timers.mixin.ts";
import { awaited, LAST, receiptOf, withAnswer } from "./deletion.ts";
import {
	findDeletion,
	findDeletionForUpdate,
	findDeletionOf,
	insertDeletion,
	storeAnswers,
	type StoredDeletion
} from "./deletions.store.ts";
import { eraseTraces, eraseUser, forgetWishes } from "./erasure.ts";
import { isActiveAdmin } from "./management.ts";
import { dropTokens } from "./one-time-tokens.store.ts";
import { proof, type Proof } from "./proof.mixin.ts";
import { reauthenticate } from "./reauthentication.ts";
import { logSecurity } from "./security-log.ts";
import { revokeSessions } from "./sessions.store.ts";
import {
	countFact,
	findPasswordHash,
	findUser,
	findUserForUpdate,
	hasOtherAdmin,
	recordFact,
	updateUser
} from "./users.store.ts";

const OVERDUE_TIMER = "deletion.overdue";
const LAST_LOOK_TIMER = "deletion.last-look";
const DAY_MS = 86_400_000;

/** Who asks, and from where. */
interface Asker {
	readonly userId: string;
	readonly sessionId: string;
	readonly client: ClientInfo | undefined;
}

// A token may outlive its account by some minutes.
const gone = () => commonFailure("UNAUTHENTICATED");

/** Throws UNAUTHENTICATED, VALIDATION_ERROR, REAUTHENTICATION_REQUIRED, WRONG_PASSWORD or BUSY. */
async function confirm(
	proven: Pick<Proof, "passwords"> & { readonly db: Database },
	password: string | undefined,
	meta: Meta
): Promise<void> {
	const hash = await findPasswordHash(proven.db, requireUser(meta).id);
	if (hash === undefined) throw gone();
	if (hash !== null && password === undefined)
		throw commonFailure("VALIDATION_ERROR", {
			errors: [{ field: "password", code: "required", message: "is required" }]
		});
	await reauthenticate(proven, password, meta);
}

const told = ({ id, status, requestedAt }: StoredDeletion): Deletion => ({
	id,
	status,
	requestedAt: requestedAt.toISOString()
});

/** Locks the account for good and asks everybody to erase. Throws UNAUTHENTICATED or LAST_ADMIN. */
async function requestDeletion(
	tx: Tx,
	{ userId, sessionId, client }: Asker
): Promise<StoredDeletion> {
	const found = await findUser(tx, userId);
	// Before the user's own row, as all who change admins do it; and only then, since it stops them all.
	const othersRemain = found && isActiveAdmin(found) ? await hasOtherAdmin(tx, userId) : false;
	const user = await findUserForUpdate(tx, userId);
	if (!user) throw gone();
	const before = await findDeletionOf(tx, userId);
	if (before) return before;
	if (isActiveAdmin(user) && !othersRemain) throw failure(deletions, "LAST_ADMIN");
	await updateUser(tx, userId, { status: "disabled" });
	const deletion = await insertDeletion(tx, userId);
	await dropTokens(tx, userId);
	await recordFact(tx, userId, "user.deletion-requested.v1", { userId, deletionId: deletion.id });
	await revokeSessions(tx, { userId }, "deletion");
	await setTimer(tx, OVERDUE_TIMER, deletion.id, DAY_MS);
	await logSecurity(tx, { type: "deletion-requested", userId, client, sessionId });
	return deletion;
}

/** Takes a holder's answer; the last one that was waited for ends the account. */
async function takeAnswer(
	tx: Tx,
	holder: Holder,
	{ deletionId, erased, kept }: Erased & { readonly deletionId: string }
): Promise<void> {
	const deletion = await findDeletionForUpdate(tx, deletionId);
	if (deletion?.status !== "requested") return;
	const answers = withAnswer(deletion.answers, holder, { erased, kept });
	await storeAnswers(tx, deletionId, answers);
	if (awaited(answers, HOLDERS).length === 0) await finish(tx, { ...deletion, answers });
}

async function finish(tx: Tx, { id: deletionId, userId, answers }: StoredDeletion): Promise<void> {
	// Before the user is locked: the job that looks a wish up locks the job first.
	await forgetWishes(tx, userId);
	const version = await countFact(tx, userId);
	if (version === undefined) throw new Error(`There is no user ${userId} to be deleted.`);
	const own = await eraseUser(tx, userId);
	const all = withAnswer(answers, LAST, own);
	tellErased(tx, "users-data.erased.v1", { userId, deletionId }, own);
	const data = { userId, deletionId, receipt: receiptOf(all) };
	tx.record("user.deleted.v1", { id: userId, version }, data);
	await storeAnswers(tx, deletionId, all, "finished");
	await clearTimer(tx, OVERDUE_TIMER, deletionId);
	await setTimer(tx, LAST_LOOK_TIMER, deletionId, LAST_LOOK_MS);
	await logSecurity(tx, { type: "deleted", userId });
}

const deadlines = ({ broker, logger }: TimerHost) => ({
	/** Somebody should look after a deletion that takes so long; and after another day again. */
	async [OVERDUE_TIMER](tx: Tx, id: string) {
		const deletion = await findDeletion(tx, id);
		if (deletion?.status !== "requested") return;
		const waits = awaited(deletion.answers, HOLDERS).join(", ");
		logger.error(
			`The deletion ${id}, requested at ${deletion.requestedAt.toISOString()}, still waits for: ${waits}.`
		);
		tx.afterCommit(() => runtimeOf(broker).metrics.deletions.overdue.inc());
		await setTimer(tx, OVERDUE_TIMER, id, DAY_MS);
	},
	/** What a request that was under way has written down of somebody meanwhile. */
	async [LAST_LOOK_TIMER](tx: Tx, id: string) {
		const deletion = await findDeletion(tx, id);
		if (deletion) await eraseTraces(tx, deletion.userId);
	}
});

/** A handler for the answer of each holder that there is, whoever that may be. */
const answersOf = (holders: readonly Holder[]) =>
	Object.fromEntries(
		holders
			.filter(holder => holder !== LAST)
			.map(holder => [
				`${holder}-data.erased.v1` satisfies ErasedFact,
				({ data }: Envelope<Erased & { deletionId: string }>, tx: Tx) =>
					takeAnswer(tx, holder, data)
			])
	);

export default implement(deletions)({
	mixins: [events("users", { ordered: false }), proof(), timers("users", deadlines)],
	actions: {
		async request({ params: { password }, meta }) {
			const { id: userId, sessionId } = requireUser(meta);
			await confirm(this, password, meta);
			const asker = { userId, sessionId, client: meta.client };
			return this.transaction(async tx => told(await requestDeletion(tx, asker)));
		}
	},
	events: answersOf(HOLDERS)
});
