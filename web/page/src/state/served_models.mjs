// The models that the host of the page offers: models.json beside the page, which `lbm serve` answers for its own.

const MOST = 64;

// The entries of a models.json whose parts are what they should be; an address leads to no other server.
export function readServedModels(json, base) {
  if (!Array.isArray(json?.models)) return [];
  return json.models.slice(0, MOST).flatMap((one) => {
    const { name, address, bytes = null } = one ?? {};
    if (typeof name !== "string" || name === "" || typeof address !== "string") return [];
    if (bytes !== null && !(Number.isSafeInteger(bytes) && bytes > 0)) return [];
    if (!URL.canParse(address, base)) return [];
    const url = new URL(address, base);
    return url.origin === new URL(base).origin ? [{ name, address: url.href, bytes }] : [];
  });
}
