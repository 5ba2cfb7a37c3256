// Builds the page: `vite build page` in web/, `vite page` while it is developed.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { ISOLATION } from "./build/policy.mjs";
import { shellPlugin } from "./build/shell_plugin.mjs";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./", // any folder of any host
  publicDir: false,
  plugins: [shellPlugin()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  // Named here, since the scan for them takes JSX for that of React.
  optimizeDeps: {
    noDiscovery: true,
    include: ["markdown-it", "preact", "preact/hooks", "preact/jsx-runtime", "preact/jsx-dev-runtime"],
  },
  server: { host: "127.0.0.1", headers: ISOLATION, fs: { allow: ["../.."] } },
  build: {
    outDir: "../../build/web",
    emptyOutDir: false, // the WebAssembly modules are there
    target: "es2022",
    assetsInlineLimit: 0, // the policy has no data: for anything but images
    modulePreload: { polyfill: false }, // it would be an inline script in effect
    reportCompressedSize: false,
  },
});
