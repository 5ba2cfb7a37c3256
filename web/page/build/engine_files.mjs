// The files that run models and keep them: web/lib, web/store, web/gpu and the WebAssembly modules, as they are.
//
// Their workers find their own files by URL, so they go into one folder with the layout that they have here, and
// nothing bundles them. A package that they import by its name comes along into vendor/, with the name made an
// address: a browser has no node_modules.

import { readdir, readFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { posix, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const WEB = fileURLToPath(new URL("../../", import.meta.url));
const ROOMS = ["lib", "store", "gpu"];
const SERVED = /\.(mjs|js|wgsl|json)$/;
// Import and export statements, which begin a line; those in comments do not.
const BARE_IMPORT = /^((?:import|export)\b[^"';]*)(["'])(@?[a-z][\w.-]*(?:\/[\w./-]+)*)\2/gm;
const RELATIVE_IMPORT = /^(?:import|export)\b[^"';]*(["'])(\.{1,2}\/[^"']+)\1/gm;
export const MODULES = ["lbm.wasm", "lbm-relaxed.wasm", "lbm-mt.wasm", "lbm-relaxed-mt.wasm"];

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

async function filesBelow(folder) {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}${sep}${entry.name}`)
    .sort();
}

// `text` of the module at `path` with addresses for package names; each one it needs goes to need(path, file).
function withAddresses(text, path, need) {
  return text.replace(BARE_IMPORT, (all, before, quote, name) => {
    if (name.startsWith("node:")) return all;
    let file;
    try {
      file = fileURLToPath(import.meta.resolve(name));
    } catch {
      return all; // for Node alone: behind a condition, or in a comment
    }
    if (!file.includes(`${sep}node_modules${sep}`)) return all;
    const target = `vendor/${file
      .slice(file.lastIndexOf(`${sep}node_modules${sep}`) + 14)
      .split(sep)
      .join("/")
      .replaceAll("@", "")}`; // servers know plain names
    need(target, file);
    return `${before}${quote}${relativeAddress(path, target)}${quote}`;
  });
}

function relativeAddress(from, to) {
  const address = posix.relative(posix.dirname(from), to);
  return address.startsWith(".") ? address : `./${address}`;
}

// Map of path -> bytes: scripts of the rooms and what they import.
export async function scriptFiles() {
  const found = new Map();
  const rest = [];
  for (const room of ROOMS) {
    for (const file of await filesBelow(`${WEB}${room}`)) {
      if (SERVED.test(file)) rest.push([relative(WEB, file).split(sep).join("/"), file]);
    }
  }
  while (rest.length > 0) {
    const [path, file] = rest.pop();
    if (found.has(path)) continue;
    found.set(path, null);
    const bytes = await readFile(file);
    if (!/\.m?js$/.test(path)) {
      found.set(path, bytes);
      continue;
    }
    const text = withAddresses(bytes.toString("utf8"), path, (target, from) => {
      // What a package file imports by a relative name comes along, too.
      rest.push([target, from]);
    });
    if (path.startsWith("vendor/")) {
      for (const [, , name] of text.matchAll(RELATIVE_IMPORT)) {
        const target = posix.join(posix.dirname(path), name);
        if (!found.has(target)) rest.push([target, fileURLToPath(new URL(name, pathToFileURL(file)))]);
      }
    }
    found.set(path, Buffer.from(text));
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

// Map of name -> bytes of the WebAssembly modules in `folder`.
export async function moduleFiles(folder) {
  const found = new Map();
  for (const name of MODULES) {
    const bytes = await readFile(`${folder}/${name}`).catch(() => null);
    if (bytes !== null) found.set(name, bytes);
  }
  if (found.size === 0)
    throw new Error(`there is no WebAssembly module in ${folder}: run \`make web\`, or set LBM_MODULES`);
  return found;
}

// A name for these files that is another one when any of them is.
export function hashOf(files) {
  const hash = createHash("sha256");
  for (const [path, bytes] of files) hash.update(`${path}\0${sha256(bytes)}\n`);
  return hash.digest("hex").slice(0, 16);
}
