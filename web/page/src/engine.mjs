// The engine and the store of the page: the libraries of web/lib and web/store, from their own folder.
//
// They are not bundled. Their workers start their own modules by URL, so they are served as they are, in
// one folder whose name is the hash of what is in it (build/engine_files.mjs). Whatever a tab loads later is of the
// version that it began with.

/* global __ENGINE__ */

export const ENGINE_URL = new URL(
  typeof __ENGINE__ === "string" ? __ENGINE__ : "../../",
  globalThis.document?.baseURI ?? import.meta.url,
).href;

// { createModel, capabilities, capabilityLines, modules }
export async function openEngine(base = ENGINE_URL) {
  const lib = await import(/* @vite-ignore */ `${base}lib/lbm.mjs`);
  return { ...lib, modules: base };
}

export async function openArtifacts(base = ENGINE_URL) {
  const { openStore } = await import(/* @vite-ignore */ `${base}store/store.mjs`);
  return openStore();
}
