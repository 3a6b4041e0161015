/** The system that a behaviour test meets: the same tests run against both shapes. */
import { Api } from "../support/api.ts";

declare const SHAPE: "one process" | "cluster";

export const shape = SHAPE;

const variable = { "one process": "TEST_ONE_PROCESS_URLS", cluster: "TEST_CLUSTER_URLS" }[SHAPE];

export const urls = (process.env[variable] ?? "").split(",");
export const dataDir = process.env[`${variable}_DATA`]!;
export const api = new Api(urls);
