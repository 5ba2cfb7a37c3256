// The part of the build that is ours: the engine's files beside the bundle, the manifest and icon of the
// application, and a service worker that knows the SHA-256 of every file of the page.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { relaxedAnswerProbe } from "../../lib/capabilities.mjs";
import { hashOf, moduleFiles, scriptFiles, sha256 } from "./engine_files.mjs";
import { iconSvg, manifestJson } from "./icon.mjs";
import { DOCUMENT_POLICY, ISOLATION, META_POLICY, WORKER_POLICY } from "./policy.mjs";

const WORKER_SOURCE = fileURLToPath(new URL("../sw/service_worker.js", import.meta.url));
const PACKAGE = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

const TYPES = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  json: "application/json",
  webmanifest: "application/manifest+json",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  wgsl: "text/plain; charset=utf-8",
};
const typeOf = (name) => TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";

// Seconds: which of two builds is the newer one. That of the sources, so that the same sources build the same page.
function buildOrder() {
  if (process.env.SOURCE_DATE_EPOCH) return Number(process.env.SOURCE_DATE_EPOCH);
  try {
    return Number(
      execFileSync("git", ["log", "-1", "--format=%ct"], {
        cwd: fileURLToPath(new URL(".", import.meta.url)),
        encoding: "utf8",
      }),
    );
  } catch {
    return 0;
  }
}

// The service worker: its list of files, and then the code that is the same for every version.
export function serviceWorker(files, order, source) {
  const list = [...files]
    .map(([url, bytes]) => ({ url, sha256: sha256(bytes), bytes: bytes.length, type: typeOf(url) }))
    .sort((a, b) => (a.url < b.url ? -1 : 1));
  const shell = {
    version: sha256(JSON.stringify(list)).slice(0, 16),
    order,
    isolation: ISOLATION,
    documentPolicy: DOCUMENT_POLICY,
    workerPolicy: WORKER_POLICY,
    relaxedProbe: [...relaxedAnswerProbe()],
    files: list,
  };
  return `const SHELL = ${JSON.stringify(shell, null, 1)};\n${source}`;
}

export function shellPlugin() {
  let outDir;
  let command;
  let scripts;
  let engine; // path -> bytes
  let folder;
  const modulesFolder = () => process.env.LBM_MODULES ?? outDir;
  const order = buildOrder();

  return {
    name: "lbm-shell",
    async config(config, env) {
      command = env.command;
      const root = config.root ?? process.cwd();
      outDir = resolve(root, config.build.outDir);
      let place = "engine/";
      if (command === "build") {
        scripts = await scriptFiles();
        engine = new Map([...scripts, ...(await moduleFiles(modulesFolder()))]);
        folder = `assets/engine-${hashOf(engine)}/`;
        place = `./${folder}`;
      }
      const version = `${PACKAGE.version} (${new Date(order * 1000).toISOString().slice(0, 10)})`;
      return { define: { __ENGINE__: JSON.stringify(place), __VERSION__: JSON.stringify(version) } };
    },

    // The engine's files while the page is developed, as they are at this moment.
    configureServer(server) {
      server.middlewares.use(async (request, response, next) => {
        const path = new URL(request.url, "http://localhost").pathname;
        const name =
          ["/icon.svg", "/manifest.webmanifest", "/models.json"].includes(path)
            ? path.slice(1)
            : path.startsWith("/engine/")
              ? path.slice(8)
              : null;
        if (name === null) return next();
        const files = new Map([
          ...(await scriptFiles()),
          ...(await moduleFiles(modulesFolder())),
          ["icon.svg", iconSvg()],
          ["manifest.webmanifest", manifestJson()],
          ["models.json", '{"models":[]}\n'],
        ]);
        if (!files.has(name)) return next();
        response.setHeader("Content-Type", typeOf(name));
        response.end(files.get(name));
      });
    },

    // Not while the page is developed: Vite's client has an inline script.
    transformIndexHtml: {
      order: "post",
      handler() {
        if (command !== "build") return [];
        return [
          {
            tag: "meta",
            attrs: { "http-equiv": "Content-Security-Policy", content: META_POLICY },
            injectTo: "head-prepend",
          },
        ];
      },
    },

    async buildStart() {
      if (command === "build") await rm(join(outDir, "assets"), { recursive: true, force: true });
    },

    generateBundle: {
      order: "post",
      async handler(options, bundle) {
        const emit = (fileName, source) => this.emitFile({ type: "asset", fileName, source });
        const files = new Map(
          Object.values(bundle).map((one) => [one.fileName, Buffer.from(one.type === "chunk" ? one.code : one.source)]),
        );
        files.set("icon.svg", Buffer.from(iconSvg())).set("manifest.webmanifest", Buffer.from(manifestJson()));
        for (const [path, bytes] of engine) files.set(folder + path, bytes);
        for (const [path, bytes] of files) if (!(path in bundle)) emit(path, bytes);
        // What a host offers to load. Not a part of any version: its owner edits it, and `lbm serve` answers for it.
        emit("models.json", '{"models":[]}\n');
        // For those who use the API without the page.
        for (const [path, bytes] of scripts) emit(path, bytes);
        emit("sw.js", serviceWorker(files, order, await readFile(WORKER_SOURCE, "utf8")));
      },
    },
  };
}
