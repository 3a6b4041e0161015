/** Everything that the crash matrix runs. */
import { FAULT_CASES } from "./faults.ts";
import { POINT_CASES, type Case } from "./points.ts";

export const CASES: readonly Case[] = [...POINT_CASES, ...FAULT_CASES];
