// The content security policy of the page and of its workers (docs/page.md says why each line is there).
// `lbm serve` and the service worker send it as a header; index.html repeats it for hosts that send none.

const COMMON = {
  "default-src": "'self'",
  "script-src": "'self' 'wasm-unsafe-eval'",
  "worker-src": "'self'",
  "style-src": "'self'",
  "img-src": "'self' data:",
  "object-src": "'none'",
  "base-uri": "'none'",
  "form-action": "'none'",
};

// A document asks its own server alone; what runs in it makes no HTML of strings. lbm-worker and lbm-store are the
// policies with which the libraries start their own workers.
const DOCUMENT = {
  ...COMMON,
  "connect-src": "'self'",
  "require-trusted-types-for": "'script'",
  "trusted-types": "default lbm-worker lbm-store",
};

// Workers fetch the models that a person asks for, from any server by https.
const WORKER = { ...COMMON, "connect-src": "'self' https:" };

const text = (policy) =>
  Object.entries(policy)
    .map(([name, value]) => `${name} ${value}`)
    .join("; ");

// In a <meta>, where frame-ancestors has no meaning.
export const META_POLICY = text(DOCUMENT);
export const DOCUMENT_POLICY = text({ ...DOCUMENT, "frame-ancestors": "'none'" });
export const WORKER_POLICY = text(WORKER);

export const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
