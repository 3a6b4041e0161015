import { Errors } from "moleculer";
import type { Group } from "../../lib/config.ts";
import { groupHealth, type AskGroup } from "./health.ts";
import { startGateway, type TestGateway } from "./gateway.fixtures.ts";

const up = {
	database: "up",
	stream: "up",
	unpublished: 9,
	oldestUnpublishedSeconds: 1,
	deadLetters: 2,
	leader: true
} as const;
const askWith =
	(odd: Partial<Record<Group, Awaited<ReturnType<AskGroup>> | Error>>): AskGroup =>
	async group => {
		const answer = odd[group] ?? up;
		if (answer instanceof Error) throw answer;
		return answer;
	};

describe("health", () => {
	it("is up when every group is, and tells no more than that", async () => {
		const { status, body } = await groupHealth("database", askWith({}));
		expect(status).toBe(200);
		expect(JSON.parse(String(body))).toEqual({
			status: "up",
			groups: { users: "up", catalog: "up", orders: "up", notifications: "up" }
		});
	});

	it("is down when one group is, or does not answer", async () => {
		const ask = askWith({
			users: { ...up, database: "down" },
			orders: new Error("10.0.0.1 refused")
		});
		const { status, body } = await groupHealth("database", ask);
		expect(status).toBe(503);
		expect(JSON.parse(String(body))).toEqual({
			status: "down",
			groups: { users: "down", catalog: "up", orders: "down", notifications: "up" }
		});
		expect(JSON.parse(String((await groupHealth("stream", ask)).body)).groups.users).toBe("up");
	});

	describe("over HTTP", () => {
		let gateway: TestGateway;
		let revocationsFail = true;
		beforeAll(async () => {
			gateway = await startGateway(
				{
					"catalog-events.status": async () => ({ ...up, stream: "down" }),
					"users-events.status": () => new Promise(() => {}),
					"auth.revocations": async () => {
						if (revocationsFail)
							throw new Errors.ServiceNotAvailableError({ action: "auth.revocations" });
						return [];
					}
				},
				{ DRAIN_MS: "500" }
			);
		});
		afterAll(() => gateway.node.stop());

		it("is not ready before it knows which sessions have ended; then it is", async () => {
			expect((await gateway.request("/health")).status).toBe(200);
			expect((await gateway.request("/ready")).status).toBe(503);
			revocationsFail = false;
			let status = 0;
			for (const until = Date.now() + 5_000; status !== 200 && Date.now() < until;) {
				await new Promise(resolve => setTimeout(resolve, 100));
				status = (await gateway.request("/ready")).status;
			}
			expect(status).toBe(200);
		});

		it("does not wait for a group that hangs longer than two seconds", async () => {
			const started = Date.now();
			const response = await gateway.request("/health/db");
			expect(await response.json()).toEqual({
				status: "down",
				groups: { users: "down", catalog: "up", orders: "up", notifications: "up" }
			});
			expect(response.status).toBe(503);
			expect(Date.now() - started).toBeLessThan(3_000);
		});

		it("tells of the event stream as well", async () => {
			const body = (await (await gateway.request("/health/events")).json()) as { groups: object };
			expect(body.groups).toMatchObject({ catalog: "down", orders: "up" });
		});
	});
});
