// What the head of an HTTP response says, and whether that is what was asked for.

import { StoreError } from "./errors.mjs";

const RETRY_STATUS = [408, 425, 429, 500, 502, 503, 504];
const MAX_RETRY_AFTER_MS = 30_000;

// A StoreError that may go away when it is asked again, after so many ms at least.
export class PassingError extends StoreError {
  constructor(code, message, afterMs = 0) {
    super(code, message);
    this.afterMs = afterMs;
  }
}

export function changed(url, what) {
  return new StoreError("changed", `${url}: has changed since it was begun: ${what}`);
}

const sameOrigin = (left, right) => new URL(left).origin === new URL(right).origin;

// Whether a request for `url` may end at `end`. `redirects`: "same-origin", "any", or origins.
function mayEndAt(url, end, redirects) {
  if (sameOrigin(url, end)) return true;
  if (new URL(url).protocol === "https:" && new URL(end).protocol !== "https:") return false;
  return redirects === "any" || (Array.isArray(redirects) && redirects.includes(new URL(end).origin));
}

function numberOf(header) {
  return header !== null && /^[0-9]{1,15}$/.test(header) ? Number(header) : null;
}

// { first, last, total } of Content-Range; total is null for "*"; null for anything else.
function parseContentRange(header) {
  const found = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15}|\*)$/.exec(header ?? "");
  if (found === null) return null;
  return { first: Number(found[1]), last: Number(found[2]), total: found[3] === "*" ? null : Number(found[3]) };
}

// { total, etag, modified } of a response to a request of `url` from byte `at` on, and up to `end`
// (null: all). total is the size of the whole file, null where it is not said; `size` is what it was
// before. Throws StoreError for a response that is of no use.
export function readHead(response, { url, at, end, size, redirects }) {
  if (response.redirected && !mayEndAt(url, response.url, redirects)) {
    const { origin } = new URL(response.url);
    throw new StoreError("redirect", `${url}: leads to ${origin}, which was not agreed to`, { origin });
  }
  checkStatus(response, url, at);
  const { status, headers } = response;
  const encoding = headers.get("Content-Encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    const why = "so that ranges and lengths mean nothing";
    throw new StoreError("encoded", `${url}: the server sends it compressed (${encoding}), ${why}`);
  }
  if (/^text\/html\b/i.test(headers.get("Content-Type") ?? "")) {
    const why = "an error page, or a log-in of this network";
    throw new StoreError("html", `${url}: a web page came instead of the file (${why})`);
  }
  const length = numberOf(headers.get("Content-Length"));
  const total = status === 200 ? length : totalOfRange(response, { url, at, end, size, length });
  return { total, etag: headers.get("ETag"), modified: headers.get("Last-Modified") };
}

function checkStatus({ status, headers }, url, at) {
  if (status === 206 || (status === 200 && at === 0)) return;
  if (status === 200) {
    const what = `the server sends the whole file where byte ${at} on was asked for`;
    throw new StoreError("no_range", `${url}: ${what}: it can not be resumed. Remove it, and add it again`);
  }
  if (RETRY_STATUS.includes(status)) {
    const ms = (numberOf(headers.get("Retry-After")) ?? 0) * 1000;
    throw new PassingError("server", `${url}: the server answers ${status}`, Math.min(ms, MAX_RETRY_AFTER_MS));
  }
  if (status === 404 || status === 410) {
    throw new StoreError("missing", `${url}: the server has no such file (${status})`, { status });
  }
  if (status === 416 && at === 0) throw new StoreError("not_a_model", `${url}: is empty`);
  if (status === 416) throw changed(url, `it has no byte ${at} any more`);
  throw new StoreError("http_status", `${url}: the server answers ${status}`, { status });
}

function totalOfRange(response, { url, at, end, size, length }) {
  const header = response.headers.get("Content-Range");
  const range = parseContentRange(header);
  if (range === null) {
    // Another origin may hide this header from the page; its length then has to do.
    const here = globalThis.location?.href ?? response.url;
    const isHidden = header === null && response.type === "cors" && !sameOrigin(response.url, here);
    if (isHidden && length !== null) return end === null ? at + length : size;
    throw new StoreError("bad_range", `${url}: sends a part and does not say which`);
  }
  const last = range.total === null ? range.last : Math.min(end ?? range.total, range.total) - 1;
  const isAsked = range.first === at && range.last === last;
  if (!isAsked || (length !== null && length !== range.last - range.first + 1)) {
    const what = `sends bytes ${range.first}-${range.last} where ${at}-${last} were asked for`;
    throw new StoreError("bad_range", `${url}: ${what}`);
  }
  return range.total;
}
