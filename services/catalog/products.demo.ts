/** A shop to look at: the demo catalog, the same at every load. */
import { SHOP_CURRENCY } from "../../contracts/common.ts";
import type { Database } from "../../lib/database.ts";
import { slugOf } from "./slug.ts";

/** What a demo category sells. Prices in euros. */
interface Range {
	readonly name: string;
	readonly code: string;
	readonly things: readonly string[];
	readonly materials: readonly string[];
	readonly colours: readonly string[];
	readonly price: readonly [from: number, to: number];
	readonly extra: readonly [name: string, ...values: string[]];
	readonly about: readonly string[];
}
interface Department {
	readonly name: string;
	readonly below: readonly (Range | Department)[];
}

const WOODS = ["Oak", "Walnut", "Ash", "Beech"];
const METALS = ["Steel", "Aluminium", "Brass"];
const MUTED = ["Black", "White", "Grey", "Sand"];
const BRIGHT = ["Forest Green", "Navy", "Rust", "Mustard", "Charcoal"];

const SHOP: readonly Department[] = [
	{
		name: "Home",
		below: [
			{
				name: "Lighting",
				below: [
					{
						name: "Desk Lamps",
						code: "DLP",
						things: ["Desk Lamp", "Clamp Lamp", "Reading Lamp"],
						materials: METALS,
						colours: MUTED,
						price: [29, 189],
						extra: ["power", "7 W", "9 W", "11 W"],
						about: [
							"Dims in four steps and remembers the last one.",
							"The arm stays where you leave it."
						]
					},
					{
						name: "Floor Lamps",
						code: "FLP",
						things: ["Floor Lamp", "Arc Lamp", "Tripod Lamp"],
						materials: [...METALS, "Oak"],
						colours: MUTED,
						price: [79, 349],
						extra: ["height", "140 cm", "155 cm", "170 cm"],
						about: [
							"Warm light for the corner that needs it.",
							"A foot switch spares you the bending."
						]
					},
					{
						name: "Pendant Lights",
						code: "PLP",
						things: ["Pendant Light", "Dome Pendant", "Globe Light"],
						materials: ["Glass", "Linen", "Brass", "Ceramic"],
						colours: [...MUTED, "Amber"],
						price: [49, 279],
						extra: ["diameter", "25 cm", "35 cm", "45 cm"],
						about: ["Hangs from a textile cable that can be shortened.", "Takes any E27 bulb."]
					}
				]
			},
			{
				name: "Furniture",
				below: [
					{
						name: "Chairs",
						code: "CHR",
						things: ["Dining Chair", "Lounge Chair", "Office Chair", "Stool"],
						materials: WOODS,
						colours: [...MUTED, "Forest Green"],
						price: [69, 549],
						extra: ["seat", "45 cm", "47 cm", "65 cm"],
						about: ["Joined without a visible screw.", "The seat follows the way you sit."]
					},
					{
						name: "Tables",
						code: "TBL",
						things: ["Dining Table", "Side Table", "Writing Desk", "Coffee Table"],
						materials: WOODS,
						colours: ["Natural", "Smoked", "White Oiled"],
						price: [99, 1290],
						extra: ["length", "80 cm", "120 cm", "160 cm", "200 cm"],
						about: [
							"Oiled by hand, and easily oiled again.",
							"Made of solid planks with rounded edges."
						]
					},
					{
						name: "Shelving",
						code: "SHV",
						things: ["Wall Shelf", "Bookcase", "Ladder Shelf"],
						materials: [...WOODS, "Steel"],
						colours: ["Natural", "Black", "White"],
						price: [39, 690],
						extra: ["load", "15 kg", "30 kg", "60 kg"],
						about: ["Goes up in ten minutes with one tool.", "Grows sideways when the books do."]
					}
				]
			},
			{
				name: "Textiles",
				code: "TXT",
				things: ["Throw", "Cushion", "Bed Linen", "Rug", "Curtain"],
				materials: ["Linen", "Wool", "Cotton"],
				colours: [...BRIGHT, "Sand"],
				price: [19, 389],
				extra: ["care", "30 °C", "40 °C", "Hand wash"],
				about: ["Woven in a small mill and washed soft.", "The colour goes through and stays."]
			}
		]
	},
	{
		name: "Kitchen",
		below: [
			{
				name: "Cookware",
				code: "CKW",
				things: ["Frying Pan", "Saucepan", "Casserole", "Grill Pan"],
				materials: ["Cast Iron", "Steel", "Copper"],
				colours: ["Black", "Natural", "Rust"],
				price: [34, 269],
				extra: ["diameter", "20 cm", "24 cm", "28 cm"],
				about: ["Works on every hob, induction too.", "Gets better the more it is used."]
			},
			{
				name: "Knives",
				code: "KNV",
				things: ["Chef's Knife", "Paring Knife", "Bread Knife", "Santoku"],
				materials: ["Carbon Steel", "Stainless Steel", "Damascus Steel"],
				colours: ["Oak", "Walnut", "Black"],
				price: [24, 319],
				extra: ["blade", "9 cm", "16 cm", "20 cm", "24 cm"],
				about: ["Forged in one piece and sharpened by hand.", "Balanced at the bolster."]
			},
			{
				name: "Coffee",
				code: "CFE",
				things: ["Coffee Grinder", "Pour-Over Set", "French Press", "Espresso Cup"],
				materials: ["Glass", "Steel", "Ceramic"],
				colours: [...MUTED, "Navy"],
				price: [12, 229],
				extra: ["capacity", "0.1 l", "0.4 l", "0.8 l"],
				about: ["For the first cup and the third.", "Comes apart for cleaning."]
			},
			{
				name: "Tableware",
				code: "TBW",
				things: ["Dinner Plate", "Bowl", "Mug", "Serving Platter"],
				materials: ["Stoneware", "Porcelain", "Enamel"],
				colours: [...BRIGHT, "White"],
				price: [9, 89],
				extra: ["pieces", "1", "2", "4", "6"],
				about: ["Glazed by hand, so no two are the same.", "Goes into oven and dishwasher."]
			}
		]
	},
	{
		name: "Office",
		below: [
			{
				name: "Notebooks",
				code: "NBK",
				things: ["Notebook", "Sketchbook", "Planner"],
				materials: ["Linen", "Leather", "Recycled Paper"],
				colours: BRIGHT,
				price: [7, 49],
				extra: ["pages", "96", "144", "192"],
				about: ["Lies flat from the first page.", "Paper that takes ink without bleeding."]
			},
			{
				name: "Pens",
				code: "PEN",
				things: ["Fountain Pen", "Ballpoint", "Mechanical Pencil", "Fineliner Set"],
				materials: METALS,
				colours: [...MUTED, "Navy"],
				price: [5, 179],
				extra: ["line", "0.3 mm", "0.5 mm", "0.7 mm"],
				about: ["Heavy enough to be found in a bag.", "Refills of every common make fit."]
			},
			{
				name: "Organisers",
				code: "ORG",
				things: ["Desk Tray", "Pen Holder", "Monitor Stand", "Cable Box"],
				materials: [...WOODS, "Steel"],
				colours: ["Natural", "Black", "White"],
				price: [14, 129],
				extra: ["width", "20 cm", "32 cm", "55 cm"],
				about: ["A place for what lies about.", "Felt feet keep the desk as it is."]
			}
		]
	},
	{
		name: "Electronics",
		below: [
			{
				name: "Audio",
				below: [
					{
						name: "Headphones",
						code: "HDP",
						things: ["Headphones", "Earbuds", "Studio Headphones"],
						materials: ["Aluminium", "Leather", "Recycled Plastic"],
						colours: MUTED,
						price: [39, 399],
						extra: ["battery", "8 h", "24 h", "40 h"],
						about: [
							"Shuts out the train and lets in the announcement.",
							"Every wearing part can be replaced."
						]
					},
					{
						name: "Speakers",
						code: "SPK",
						things: ["Bookshelf Speaker", "Portable Speaker", "Soundbar"],
						materials: ["Walnut", "Aluminium", "Linen"],
						colours: ["Black", "White", "Natural"],
						price: [49, 749],
						extra: ["power", "10 W", "30 W", "80 W"],
						about: ["Clear at low volume, calm at high.", "Pairs in a second, also as two."]
					}
				]
			},
			{
				name: "Keyboards",
				code: "KBD",
				things: ["Mechanical Keyboard", "Compact Keyboard", "Number Pad"],
				materials: ["Aluminium", "Recycled Plastic", "Walnut"],
				colours: [...MUTED, "Navy"],
				price: [45, 289],
				extra: ["switches", "Linear", "Tactile", "Silent"],
				about: [
					"Switches can be swapped without soldering.",
					"Types quietly enough for a shared room."
				]
			}
		]
	},
	{
		name: "Outdoor",
		below: [
			{
				name: "Backpacks",
				code: "BPK",
				things: ["Daypack", "Trekking Pack", "Roll-Top Backpack"],
				materials: ["Canvas", "Recycled Nylon", "Leather"],
				colours: BRIGHT,
				price: [49, 289],
				extra: ["volume", "18 l", "28 l", "45 l", "60 l"],
				about: ["Keeps its shape full and half empty.", "The straps are sewn to be sewn again."]
			},
			{
				name: "Camping",
				code: "CMP",
				things: ["Tent", "Sleeping Bag", "Camping Stove", "Hammock", "Lantern"],
				materials: ["Recycled Nylon", "Cotton", "Aluminium"],
				colours: BRIGHT,
				price: [29, 599],
				extra: ["weight", "0.6 kg", "1.1 kg", "2.4 kg"],
				about: ["Packs down to the size of a loaf.", "Tried in a week of rain."]
			},
			{
				name: "Bottles",
				code: "BTL",
				things: ["Water Bottle", "Vacuum Flask", "Travel Mug"],
				materials: ["Steel", "Glass", "Titanium"],
				colours: [...BRIGHT, "White"],
				price: [14, 79],
				extra: ["volume", "0.35 l", "0.5 l", "0.75 l", "1 l"],
				about: [
					"Hot for twelve hours, cold for twenty-four.",
					"The lid has no corner that hides dirt."
				]
			}
		]
	}
];

const BRANDS = [
	"Nordhem",
	"Aurel",
	"Brackwater",
	"Kilnhaus",
	"Tessel",
	"Fjellgard",
	"Ostrava Works",
	"Lumen & Co"
];
const SERIES = [
	"Alva",
	"Birk",
	"Cala",
	"Dune",
	"Elin",
	"Fjord",
	"Gale",
	"Hald",
	"Isla",
	"Juno",
	"Karo",
	"Linnea",
	"Mira",
	"Nova",
	"Orla",
	"Piet",
	"Quill",
	"Runa",
	"Sol",
	"Tova",
	"Una",
	"Vide",
	"Wren",
	"Ylva"
];

const PRODUCTS = 1_000;
const BATCH = 250;
/** The demo shop opened on this day; a product came in every seven hours since. */
const OPENED = Date.UTC(2025, 0, 6, 9);
const BETWEEN_PRODUCTS_MS = 7 * 3_600_000;

interface DemoCategory {
	readonly id: string;
	readonly name: string;
	readonly slug: string;
	readonly parent: string | null;
	readonly path: readonly string[];
}
interface DemoProduct {
	readonly id: string;
	readonly sku: string;
	readonly name: string;
	readonly slug: string;
	readonly description: string;
	readonly price: number;
	readonly category: string;
	readonly attributes: Readonly<Record<string, string>>;
	readonly images: readonly string[];
	readonly stock: number;
	readonly createdAt: string;
}

/** Everything that the demo catalog holds, made from one seed. */
export function demoCatalog(): { categories: DemoCategory[]; products: DemoProduct[] } {
	const random = seeded(20_250_106);
	const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
	const categories: DemoCategory[] = [];
	const ranges: (Range & { slug: string })[] = [];
	const open = (part: Range | Department, parent: DemoCategory | undefined): void => {
		const slug = slugOf(part.name, "category");
		const category = {
			id: seededId(random, OPENED),
			name: part.name,
			slug,
			parent: parent?.id ?? null,
			path: [...(parent?.path ?? []), slug]
		};
		categories.push(category);
		if ("below" in part) for (const child of part.below) open(child, category);
		else ranges.push({ ...part, slug });
	};
	for (const department of SHOP) open(department, undefined);

	const names = new Set<string>();
	const products = Array.from({ length: PRODUCTS }, (_, index): DemoProduct => {
		const range = ranges[index % ranges.length]!;
		const createdAt = OPENED + index * BETWEEN_PRODUCTS_MS;
		const brand = pick(BRANDS);
		const thing = pick(range.things);
		const material = pick(range.materials);
		let name: string;
		let colour: string;
		do {
			colour = pick(range.colours);
			name = `${pick(SERIES)} ${thing}, ${material}, ${colour}`;
		} while (names.has(name));
		names.add(name);
		const slug = slugOf(name, "product");
		const [from, to] = range.price;
		const [extra, ...values] = range.extra;
		return {
			id: seededId(random, createdAt),
			sku: `${range.code}-${String(index + 1).padStart(5, "0")}`,
			name,
			slug,
			description: `${thing} by ${brand} in ${material.toLowerCase()}, ${colour.toLowerCase()}. ${range.about.join(" ")}`,
			// Squared, because a shop has more that is cheap; ends in 90 cents.
			price: Math.round(from + (to - from) * random() ** 2) * 100 + 90,
			category: range.slug,
			attributes: { brand, colour, material, [extra]: pick(values) },
			images: Array.from(
				{ length: 1 + Math.floor(random() * 3) },
				(_image, n) => `https://images.example/products/${slug}-${n + 1}.jpg`
			),
			stock: random() < 0.04 ? 0 : 1 + Math.floor(random() * 200),
			createdAt: new Date(createdAt).toISOString()
		};
	});
	return { categories, products };
}

/**
 * Loads the demo catalog, with the receipts of its stock, and returns how many products it added.
 * What is there already is left as it is, so that a load that was cut short can be repeated.
 */
export async function loadDemoCatalog(
	db: Database,
	onProgress: (done: number, total: number) => void
): Promise<number> {
	const { categories, products } = demoCatalog();
	await db.query(
		`INSERT INTO category (id, name, slug, parent_id, path)
		SELECT id, name, slug, parent, path
		FROM jsonb_to_recordset($1::jsonb) AS c(id uuid, name text, slug text, parent uuid, path text[])
		ON CONFLICT DO NOTHING`,
		[JSON.stringify(categories)]
	);
	let added = 0;
	for (let done = 0; done < products.length;) {
		const batch = products.slice(done, done + BATCH);
		added += (await db.query(ADD_PRODUCTS, [JSON.stringify(batch)])).length;
		done += batch.length;
		onProgress(done, products.length);
	}
	return added;
}

// One statement: a product comes with its stock and its receipt, or not at all.
const ADD_PRODUCTS = `
	WITH wanted AS (
		SELECT * FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, sku text, name text, slug text, description text,
			price bigint, category text, attributes jsonb, images text[], stock int, "createdAt" timestamptz)),
	added AS (
		INSERT INTO product (id, sku, name, slug, description, price_amount, price_currency, category_id,
			attributes, images, created_at, updated_at)
		SELECT w.id, sku, w.name, w.slug, description, price, '${SHOP_CURRENCY}', category.id, attributes, images, "createdAt", "createdAt"
		FROM wanted w JOIN category ON category.slug = w.category
		ON CONFLICT DO NOTHING
		RETURNING id, price_amount, price_currency, created_at),
	priced AS (
		INSERT INTO price_history (product_id, version, amount, currency, "from")
		SELECT id, 1, price_amount, price_currency, created_at FROM added),
	stocked AS (
		INSERT INTO stock (product_id, on_hand) SELECT id, stock FROM added JOIN wanted USING (id)),
	received AS (
		INSERT INTO stock_movement (product_id, kind, on_hand_delta, reserved_delta, sold_delta, reason)
		SELECT id, 'receipt', stock, 0, 0, 'opening stock' FROM added JOIN wanted USING (id) WHERE stock > 0)
	SELECT id FROM added`;

/** Numbers from 0 to below 1, always the same for one seed (a xorshift generator). */
function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 2 ** 32;
	};
}

/** A UUIDv7 of that time whose random part comes from the seed. */
function seededId(random: () => number, time: number): string {
	const hex = (digits: number) =>
		Math.floor(random() * 16 ** digits)
			.toString(16)
			.padStart(digits, "0");
	const at = time.toString(16).padStart(12, "0");
	return `${at.slice(0, 8)}-${at.slice(8)}-7${hex(3)}-${(8 + Math.floor(random() * 4)).toString(16)}${hex(3)}-${hex(6)}${hex(6)}`;
}
