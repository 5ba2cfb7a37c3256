// A static server for tests: byte ranges, headers of cross-origin isolation on or off, faults that
// can be switched on for a path, and a log of what was asked for. It listens on 127.0.0.1 alone.
//
//   static_server.mjs --folder DIR [--port N] [--plain]      serves until Ctrl-C; --plain: not isolated
//
// As a module:
//
//   // `headers`: further ones, or a function of the path that gives them.
//   const server = await startServer({ folders: { "/": "build/web" }, files: { "/model.gguf": path or bytes } });
//   server.setFault("/model.gguf", { cutAfter: 1000, times: 1 });
//   server.log                          [{ method, path, range, status, n_sent, ended }]

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize, resolve, sep } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const TYPES = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  json: "application/json",
  webmanifest: "application/manifest+json",
  wasm: "application/wasm",
  wgsl: "text/plain; charset=utf-8",
  svg: "image/svg+xml",
  png: "image/png",
  ico: "image/x-icon",
};

export const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

const HTML_ERROR = "<!doctype html><title>Sorry</title><p>This network wants you to log in first.</p>";
// No favicon is a console error.
const BUILT_IN = { "/favicon.ico": new Uint8Array(0) };

// ---- what can go wrong -------------------------------------------------------------------------------
//
// A fault is an object; all of its members may be combined where that makes sense:
//   status: N              answers with this status and a short text
//   html: true             200 and an HTML page, whatever was asked for
//   redirect: URL          302
//   ignoreRange: true      200 and the whole file for a range, as servers do that know none
//   wrongRange: N          206 whose Content-Range (and bytes) begin N bytes beside what was asked for
//   etag: text             this ETag; a function is called with the number of the request
//   noLength: true         no Content-Length (chunked)
//   encoding: text         says Content-Encoding: text
//   extra: N               N bytes more than the file has (with noLength; Infinity: an endless body)
//   short: N               says the right length, and ends N bytes before that
//   cutAfter: N            the connection breaks after N bytes of the body
//   bytesPerSecond: N      slow
//   flipAt: N              one bit of this byte of the file is another
//   headers: {}            these headers, too; null takes one away
//   times: N               for the next N requests of this path only

async function openContent(content) {
  if (typeof content === "function") return openContent(content());
  if (typeof content === "string") {
    const found = await stat(content).catch(() => null);
    if (found === null || !found.isFile()) return null;
    return {
      size: found.size,
      tag: `"${found.size.toString(16)}-${Math.trunc(found.mtimeMs).toString(16)}"`,
      read: (first, end) => (end > first ? createReadStream(content, { start: first, end: end - 1 }) : Readable.from([])),
    };
  }
  return {
    size: content.length,
    tag: `"${content.length.toString(16)}-bytes"`,
    read: (first, end) => Readable.from(pieces(content, first, end)),
  };
}

// Until more can be written, or nobody is there to read it.
function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
    if (response.destroyed) done();
  });
}

function* pieces(bytes, first, end) {
  for (let at = first; at < end; at += 65536) yield Buffer.from(bytes.subarray(at, Math.min(end, at + 65536)));
}

// [first, end) of a Range header; null: none was asked for; "unsatisfiable".
function parseRange(header, size) {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!found || (found[1] === "" && found[2] === "")) return null;
  if (found[1] === "") return [Math.max(0, size - Number(found[2])), size];
  const first = Number(found[1]);
  const end = found[2] === "" ? size : Math.min(size, Number(found[2]) + 1);
  return first < end ? [first, end] : "unsatisfiable";
}

export async function startServer({ folders = {}, files = {}, isolated = true, headers = {}, port = 0 } = {}) {
  const roots = Object.entries(folders).map(([prefix, folder]) => [prefix, resolve(folder)]);
  const contents = { ...BUILT_IN, ...files };
  const faults = new Map();
  const log = [];
  const state = { isolated, headers };

  function contentOf(path) {
    if (Object.hasOwn(contents, path)) return contents[path];
    const [prefix, folder] = roots.filter(([start]) => path.startsWith(start)).sort((a, b) => b[0].length - a[0].length)[0] ?? [];
    if (folder === undefined) return null;
    const rest = path.slice(prefix.length);
    const full = normalize(join(folder, rest === "" || rest.endsWith("/") ? `${rest}index.html` : rest));
    return full.startsWith(folder + sep) ? full : null;
  }

  function takeFault(path) {
    const fault = faults.get(path);
    if (fault === undefined) return {};
    if (fault.times !== undefined && --fault.times <= 0) faults.delete(path);
    return fault;
  }

  async function sendBody(response, entry, source, fault) {
    const slow = fault.bytesPerSecond;
    for await (const piece of source) {
      for (let at = 0; at < piece.length; at += 16384) {
        let part = piece.subarray(at, at + 16384);
        const left = (fault.cutAfter ?? Infinity) - entry.n_sent;
        if (part.length >= left) part = part.subarray(0, left);
        if (part.length > 0 && !response.write(part)) await drained(response);
        entry.n_sent += part.length;
        if (response.destroyed) return;
        if (entry.n_sent >= (fault.cutAfter ?? Infinity)) {
          await new Promise((done) => response.write("", done)); // what was written goes out first
          response.destroy();
          return;
        }
        if (slow !== undefined) await wait((part.length / slow) * 1000);
      }
    }
    entry.ended = true;
    response.end();
  }

  async function* disturbed(source, first, fault, size) {
    let at = first;
    for await (const piece of source) {
      if (fault.flipAt !== undefined && fault.flipAt >= at && fault.flipAt < at + piece.length) {
        piece[fault.flipAt - at] ^= 1;
      }
      const rest = fault.short === undefined ? piece.length : Math.max(0, size - fault.short - at);
      if (rest > 0) yield piece.subarray(0, rest);
      at += piece.length;
    }
    for (let left = fault.extra ?? 0; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536));
  }

  async function answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const entry = { method: request.method, path, range: request.headers.range ?? null, status: 0, n_sent: 0, ended: false };
    log.push(entry);
    const fault = takeFault(path);
    const common = {
      "Cache-Control": "no-store",
      ...(state.isolated ? ISOLATION : {}),
      ...(typeof state.headers === "function" ? state.headers(path) : state.headers),
    };
    const send = (status, more) => {
      entry.status = status;
      const all = { ...common, ...more, ...fault.headers };
      response.writeHead(status, Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)));
    };
    const sendText = (status, text, more = {}) => {
      send(status, { "Content-Type": "text/plain; charset=utf-8", ...more });
      entry.ended = true;
      response.end(text);
    };

    if (fault.redirect !== undefined) return sendText(302, "", { Location: fault.redirect });
    if (fault.html) return sendText(200, HTML_ERROR, { "Content-Type": TYPES.html });
    if (fault.status !== undefined) return sendText(fault.status, `status ${fault.status}\n`);
    const found = contentOf(path);
    const content = found === null ? null : await openContent(found);
    if (content === null) return sendText(404, "there is no such file\n");
    if (request.method !== "GET" && request.method !== "HEAD") return sendText(405, "GET and HEAD alone\n");

    const etag = typeof fault.etag === "function" ? fault.etag(log.length) : fault.etag ?? content.tag;
    let range = fault.ignoreRange ? null : parseRange(request.headers.range, content.size);
    const condition = request.headers["if-range"];
    if (condition !== undefined && condition !== etag) range = null;
    if (range === "unsatisfiable") return sendText(416, "", { "Content-Range": `bytes */${content.size}` });
    const shift = range === null ? 0 : fault.wrongRange ?? 0;
    const [first, end] = (range ?? [0, content.size]).map((at) => Math.max(0, Math.min(content.size, at + shift)));
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? (path.endsWith("/") ? TYPES.html : "application/octet-stream");
    send(range === null ? 200 : 206, {
      ...(fault.short === undefined ? {} : { Connection: "close" }),
      "Content-Type": type,
      "Accept-Ranges": fault.ignoreRange ? "none" : "bytes",
      ETag: etag,
      ...(fault.noLength ? {} : { "Content-Length": end - first }),
      ...(fault.encoding === undefined ? {} : { "Content-Encoding": fault.encoding }),
      ...(range === null ? {} : { "Content-Range": `bytes ${first}-${end - 1}/${content.size}` }),
    });
    if (request.method === "HEAD") {
      entry.ended = true;
      return response.end();
    }
    return sendBody(response, entry, disturbed(content.read(first, end), first, fault, end), fault);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.destroy(error));
  });
  await new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    url: (path) => origin + path,
    log,
    // The requests of a path so far.
    requests: (path) => log.filter((entry) => entry.path === path),
    clearLog: () => void log.splice(0),
    setFault: (path, fault) => void (fault === null ? faults.delete(path) : faults.set(path, { ...fault })),
    setFile: (path, content) => void (contents[path] = content),
    setIsolated: (value) => void (state.isolated = value),
    setHeaders: (value) => void (state.headers = value),
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { folder: { type: "string", default: "build/web" }, port: { type: "string", default: "8000" },
               plain: { type: "boolean", default: false } },
  });
  const server = await startServer({ folders: { "/": values.folder }, port: Number(values.port), isolated: !values.plain });
  console.log(`${server.origin} serves ${resolve(values.folder)}; Ctrl-C ends`);
}
