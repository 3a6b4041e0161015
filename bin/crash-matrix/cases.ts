/** Everything that the crash matrix runs. */
import { POINT_CASES, type Case } from "./points.ts";

export const CASES: readonly Case[] = [...POINT_CASES];
