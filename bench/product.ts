import type { Product } from "../contracts/products.ts";

/** What the bare servers answer: a product about as long as those of the demo catalog (670 to 920 bytes). */
export const PRODUCT: Product = {
	id: "01963f2a-7c1e-7d43-9b52-6f0e8a4c2d11",
	sku: "DLP-0001",
	name: "Oak Desk Lamp Sand",
	slug: "oak-desk-lamp-sand-0001",
	description:
		"Desk Lamp by Example in oak, sand. Dims in four steps and remembers the last one. The arm stays where you leave it.",
	price: { amount: 12_900, currency: "EUR" },
	categoryId: "01963f2a-7c1e-7d43-9b52-6f0e8a4c2d12",
	attributes: { brand: "Example", material: "Oak", colour: "Sand", power: "9 W" },
	images: [
		"https://images.example/products/oak-desk-lamp-sand-0001-1.jpg",
		"https://images.example/products/oak-desk-lamp-sand-0001-2.jpg"
	],
	availability: { inStock: true, available: 117 },
	status: "active",
	version: 1,
	createdAt: "2030-01-01T00:00:00.000Z",
	updatedAt: "2030-01-01T00:00:00.000Z"
};
