/** The table of contents: every service of the system. A new service is added here and nowhere else. */
import type { ActionsOf, EventName, EventsOf, ServiceContract } from "../lib/contract.ts";
import { audit } from "./audit.ts";
import { auth } from "./auth.ts";
import { catalogEvents, notificationsEvents, ordersEvents, usersEvents } from "./backbone.ts";
import { carts } from "./carts.ts";
import { categories } from "./categories.ts";
import { deletions } from "./deletions.ts";
import { emails } from "./emails.ts";
import { events } from "./events.ts";
import { exports } from "./exports.ts";
import { google } from "./google.ts";
import { inventory } from "./inventory.ts";
import { notifications } from "./notifications.ts";
import { orders } from "./orders.ts";
import { passkeys } from "./passkeys.ts";
import { passwords } from "./passwords.ts";
import { payments } from "./payments.ts";
import { catalogData, notificationsData, ordersData, usersData } from "./personal-data.ts";
import { products } from "./products.ts";
import { recipients } from "./recipients.ts";
import { routes } from "./routes.ts";
import { twoFactor } from "./two-factor.ts";
import { users } from "./users.ts";

export const contracts = {
	auth,
	passwords,
	emails,
	twoFactor,
	passkeys,
	google,
	users,
	audit,
	deletions,
	exports,
	products,
	categories,
	inventory,
	carts,
	orders,
	payments,
	notifications,
	recipients,
	events,
	routes,
	usersEvents,
	catalogEvents,
	ordersEvents,
	notificationsEvents,
	usersData,
	catalogData,
	ordersData,
	notificationsData
} as const;

export type Actions = ActionsOf<typeof contracts>;
export type Events = EventsOf<typeof contracts>;
export type ActionName = keyof Actions;
export type Fact = keyof Events & EventName;

/** The same registry, without literal types, for code that walks all contracts. */
export const allContracts: readonly ServiceContract[] = Object.values(contracts);
