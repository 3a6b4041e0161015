import type { Middleware } from "moleculer";
import type { Role } from "../contracts/users.ts";
import type { Access } from "./contract.ts";
import { commonFailure } from "./failure.ts";

/** A signed-in caller, as the gateway established it from the access token. */
export interface Identity {
	readonly id: string;
	readonly roles: readonly Role[];
	readonly sessionId: string;
}

/** What the gateway knows of the client itself; for sessions and logs. */
export interface ClientInfo {
	readonly address: string;
	readonly device: string;
}

export interface Meta {
	user?: Identity | undefined;
	client?: ClientInfo | undefined;
}

const NOBODY = "00000000-0000-0000-0000-000000000000";
/** Who calls by the commands: whoever can read the data folder, or is let in by NATS, may do everything. */
export const OPERATOR: Identity = { id: NOBODY, roles: ["admin"], sessionId: NOBODY };

export const isStaff = (user: Identity): boolean =>
	user.roles.includes("staff") || user.roles.includes("admin");

const ALLOWS: Record<Exclude<Access, "public" | "internal">, (user: Identity) => boolean> = {
	user: () => true,
	staff: isStaff,
	admin: user => user.roles.includes("admin")
};

/** Throws UNAUTHENTICATED or FORBIDDEN unless the caller may use an action with this `access`. */
export function authorize(access: Access, user: Identity | undefined): void {
	// Internal actions have no route; whoever reaches them is one of us.
	if (access === "public" || access === "internal") return;
	if (!user) throw commonFailure("UNAUTHENTICATED");
	if (!ALLOWS[access](user)) throw commonFailure("FORBIDDEN");
}

/** The signed-in caller, or the failure UNAUTHENTICATED. */
export function requireUser(meta: Meta): Identity {
	if (!meta.user) throw commonFailure("UNAUTHENTICATED");
	return meta.user;
}

interface Guarded {
	name: string;
	access?: Access;
	visibility?: string;
}

/**
 * Refuses to load an action without `access`, and checks it at every call, wherever that comes
 * from: the gateway's own check is the first door, this is the second.
 */
export const accessMiddleware = {
	name: "Access",
	localAction(next: (ctx: any) => Promise<unknown>, definition: unknown) {
		const { name, access, visibility } = definition as Guarded;
		if (name.startsWith("$") || visibility === "private") return next;
		if (!access)
			throw new Error(
				`Action '${name}' has no 'access'. Declare it in the contract: public, user, staff, admin or internal.`
			);
		return async (ctx: { meta: Meta }) => {
			authorize(access, ctx.meta.user);
			return next(ctx);
		};
	},
	// Once a call has ended, Moleculer merges the callee's meta into the caller's: without this, any
	// service could change who is calling.
	call(next: (...args: unknown[]) => Promise<unknown> & { ctx?: { meta: Meta } }) {
		return function (this: unknown, action: string, params: unknown, options: any = {}) {
			const running = next.call(this, action, params, options);
			const caller: Meta | undefined = options.parentCtx?.meta;
			if (!caller) return running;
			return running.finally(() => {
				if (running.ctx)
					Object.assign(running.ctx.meta, { user: caller.user, client: caller.client });
			});
		};
	}
} as unknown as Middleware;
