// Trusted Types of the page. It makes no HTML of strings anywhere, so there is no policy for that: what would,
// throws. The one policy passes addresses of scripts (the service worker, workers of the libraries) that lie in
// the folder of the page.

export function scriptAddress(text, base) {
  const url = new URL(text, base);
  const folder = new URL("./", base);
  if (url.origin !== folder.origin || !url.pathname.startsWith(folder.pathname) || !/\.m?js$/.test(url.pathname)) {
    throw new TypeError(`${url.href} is no script of this page`);
  }
  return url.href;
}

export function guardScripts() {
  globalThis.trustedTypes?.createPolicy("default", {
    createScriptURL: (text) => scriptAddress(text, document.baseURI),
  });
}
