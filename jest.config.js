const common = {
	testEnvironment: "node",
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
	// What comes as ESM alone.
	transformIgnorePatterns: [
		"/node_modules/(?!(?:typebox|jose|uuid|openid-client|oauth4webapi|oidc-provider)/)"
	]
};

/** The behaviour tests, against one shape of the whole system. */
const behaviour = (shape, name) => ({
	...common,
	displayName: shape,
	testMatch: ["<rootDir>/tests/behaviour/**/*.test.ts"],
	globals: { SHAPE: shape },
	globalSetup: `<rootDir>/tests/behaviour/${name}.setup.ts`,
	globalTeardown: `<rootDir>/tests/behaviour/${name}.teardown.ts`
});

/** @type {import("jest").Config} */
export default {
	maxWorkers: 2,
	testTimeout: 20_000,
	projects: [
		{
			...common,
			displayName: "parts",
			testMatch: ["**/*.test.ts"],
			testPathIgnorePatterns: ["/node_modules/", "/var/", "<rootDir>/tests/behaviour/"],
			globalSetup: "<rootDir>/tests/support/servers.setup.ts",
			globalTeardown: "<rootDir>/tests/support/servers.teardown.ts"
		},
		behaviour("one process", "one-process"),
		behaviour("cluster", "cluster")
	],
	// The numbers of each group are printed by bin/test.ts.
	coverageReporters: ["json-summary", "lcov", "text-summary"],
	collectCoverageFrom: ["{contracts,lib,mixins,services}/**/*.ts", "!**/*.test.ts"],
	coverageThreshold: Object.fromEntries(
		[
			"lib",
			"mixins",
			"services/catalog",
			"services/gateway",
			"services/notifications",
			"services/orders",
			"services/users"
		].map(folder => [`./${folder}/`, { lines: 80 }])
	)
};
