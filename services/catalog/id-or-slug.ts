const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What names a product or a category in a path, told apart by its form: slugs never look like an id. */
export const idOrSlug = (
	text: string
): { readonly id: string | null; readonly slug: string | null } =>
	ID.test(text) ? { id: text, slug: null } : { id: null, slug: text };
