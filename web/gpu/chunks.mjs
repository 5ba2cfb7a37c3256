// How the positions of one token's attention are shared out: few heads alone would leave most of a GPU
// idle in a long context, so chunks of positions go side by side and are joined.

export const MAX_CHUNKS = 64;
const CHUNK = 256; // positions, at least
const WHOLE = 0x40000000;

// Of `nToken` tokens with `nPosition` positions in all.
export function chunksOf(nToken, nPosition) {
  if (nToken > 1 || nPosition <= 2 * CHUNK) return { nChunk: 1, chunk: WHOLE };
  const chunk = Math.max(CHUNK, Math.ceil(nPosition / MAX_CHUNKS / 64) * 64);
  return { nChunk: Math.ceil(nPosition / chunk), chunk };
}
