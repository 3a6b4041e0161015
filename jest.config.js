/** @type {import("jest").Config} */
export default {
	testEnvironment: "node",
	testMatch: ["**/*.test.ts"],
	testPathIgnorePatterns: ["/node_modules/", "/var/"],
	modulePathIgnorePatterns: ["<rootDir>/var/"],
	transform: {
		"^.+\\.(?:ts|mjs|js)$": [
			"@swc/jest",
			{
				jsc: { target: "es2023", parser: { syntax: "typescript" } },
				module: { type: "commonjs" }
			}
		]
	},
	// The only dependency that comes as ESM alone and is needed by the contracts.
	transformIgnorePatterns: ["/node_modules/(?!(?:typebox|jose|uuid)/)"],
	globalSetup: "<rootDir>/tests/support/servers.setup.ts",
	globalTeardown: "<rootDir>/tests/support/servers.teardown.ts",
	testTimeout: 20_000,
	maxWorkers: 2
};
