// The server of the other tests: ranges as RFC 9110 has them, headers, paths, and each fault.

import { WebReport, expect, expectEqual } from "./report.mjs";
import { startServer } from "./static_server.mjs";

const report = new WebReport();
const BYTES = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) & 255);
const server = await startServer({ folders: { "/tests/": import.meta.dirname }, files: { "/file.bin": BYTES } });
const url = server.url("/file.bin");
const range = (first, last = "", more = {}) => fetch(url, { headers: { Range: `bytes=${first}-${last}`, ...more } });
const bodyOf = async (response) => new Uint8Array(await response.arrayBuffer());
async function withFault(fault, test) {
  server.setFault("/file.bin", fault);
  try {
    await test();
  } finally {
    server.setFault("/file.bin", null);
  }
}
async function expectBroken(promise, what) {
  const error = await promise.then(() => null, (reason) => reason);
  expect(error !== null, `${what}: the body came whole`);
}

await report.run("ranges", async () => {
  for (const [first, last, from, to] of [["0", "9", 0, 10], ["199990", "", 199990, 200000], ["10", "999999", 10, 200000], ["", "5", 199995, 200000]]) {
    const response = await range(first, last);
    expectEqual(response.status, 206, "status");
    expectEqual(response.headers.get("content-range"), `bytes ${from}-${to - 1}/200000`, "Content-Range");
    expectEqual([...(await bodyOf(response))], [...BYTES.subarray(from, to)], "bytes");
  }
  expectEqual((await range("200000")).status, 416, "beyond the end");
  const whole = await fetch(url);
  expectEqual([whole.status, (await bodyOf(whole)).length], [200, 200000], "no range");
  const etag = whole.headers.get("etag");
  expectEqual((await range("5", "6", { "If-Range": etag })).status, 206, "If-Range that holds");
  expectEqual((await range("5", "6", { "If-Range": '"other"' })).status, 200, "If-Range that does not");
});
await report.run("headers of isolation, on and off; HEAD; the log", async () => {
  server.clearLog();
  expectEqual((await fetch(url, { method: "HEAD" })).headers.get("cross-origin-embedder-policy"), "require-corp", "COEP");
  server.setIsolated(false);
  expectEqual((await fetch(url, { method: "HEAD" })).headers.get("cross-origin-embedder-policy"), null, "COEP");
  server.setIsolated(true);
  expectEqual(server.log.map(({ method, path, status }) => `${method} ${path} ${status}`),
              ["HEAD /file.bin 200", "HEAD /file.bin 200"], "log");
});
await report.run("no file outside of the folders", async () => {
  expectEqual((await fetch(server.url("/tests/report.mjs"))).status, 200, "a file");
  for (const path of ["/tests/../setup.mjs", "/tests/%2e%2e/node/module.mjs", "/tests/..%2fnode%2fmodule.mjs", "/none", "/tests/%00"]) {
    expectEqual((await fetch(server.url(path))).status, 404, path);
  }
});
await report.run("faults", async () => {
  await withFault({ cutAfter: 70_000 }, () => expectBroken(fetch(url).then(bodyOf), "cutAfter"));
  await withFault({ short: 10 }, () => expectBroken(fetch(url).then(bodyOf), "short"));
  await withFault({ ignoreRange: true }, async () => expectEqual((await range("5", "9")).status, 200, "ignoreRange"));
  await withFault({ wrongRange: 100 }, async () =>
    expectEqual((await range("5", "9")).headers.get("content-range"), "bytes 105-109/200000", "wrongRange"));
  await withFault({ html: true }, async () => expect((await (await fetch(url)).text()).startsWith("<!doctype"), "html"));
  await withFault({ status: 503 }, async () => expectEqual((await fetch(url)).status, 503, "status"));
  await withFault({ redirect: server.url("/none") }, async () => expectEqual((await fetch(url)).status, 404, "redirect"));
  await withFault({ etag: '"x"' }, async () => expectEqual((await fetch(url)).headers.get("etag"), '"x"', "etag"));
  await withFault({ noLength: true, extra: 5 }, async () => {
    const response = await fetch(url);
    expectEqual([response.headers.get("content-length"), (await bodyOf(response)).length], [null, 200_005], "noLength, extra");
  });
  await withFault({ flipAt: 150_000 }, async () => {
    const body = await fetch(url).then(bodyOf);
    expectEqual(body.findIndex((byte, i) => byte !== BYTES[i]), 150_000, "flipAt");
  });
  expectEqual(await fetch(url).then(bodyOf).then((body) => body.findIndex((byte, i) => byte !== BYTES[i])), -1, "the file itself stays");
  await withFault({ bytesPerSecond: 1_000_000 }, async () => {
    const started = performance.now();
    await fetch(url).then(bodyOf);
    expect(performance.now() - started > 100, "slow");
  });
  server.setFault("/file.bin", { status: 500, times: 2 });
  expectEqual([(await fetch(url)).status, (await fetch(url)).status, (await fetch(url)).status], [500, 500, 200], "times");
});
await server.close();
report.finish();
