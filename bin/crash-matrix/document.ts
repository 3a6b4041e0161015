import type { Row } from "./outcome.ts";
export const isCurrent = async (_: readonly Row[]) => true;
export const writeMatrix = async (_: readonly Row[]) => {};
