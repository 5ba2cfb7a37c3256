// What can be said of the page's looks without a browser: contrast of its colours, and that a style asks for nothing.

import { readFileSync, readdirSync } from "node:fs";
import { expect, WebReport } from "../web/report.mjs";

const report = new WebReport();
const PAGE = new URL("../../web/page/", import.meta.url);
const FORBIDDEN = [
  ...[
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "dangerouslySetInnerHTML",
    "document.write",
    "eval(",
    "new Function",
  ],
  ...["Math.random", " fetch(", "XMLHttpRequest", "sendBeacon", "WebSocket", "EventSource"],
];
const css = readFileSync(new URL("src/style.css", PAGE), "utf8");

// WCAG 2.2, relative luminance and contrast ratio.
function luminance(hex) {
  const [r, g, b] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const colours = Object.fromEntries(
  [...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, name, light, dark]) => [
    name,
    [light, dark],
  ]),
);
const TEXT = [
  ["text", ["back", "side", "raised", "soft"]],
  ["dim", ["back", "side", "raised", "soft"]],
  ["accent", ["back"]],
  ["on-accent", ["accent"]],
  ["bad", ["back", "raised"]],
];
const SHAPES = [
  ["edge", ["back", "raised"]],
  ["accent", ["side", "raised"]],
  ["good", ["back", "side"]],
]; // borders of fields, marks

for (const [scheme, name] of ["light", "dark"].entries()) {
  await report.run(`AA: contrast of text and of shapes, ${name}`, () => {
    for (const [pairs, least] of [
      [TEXT, 4.5],
      [SHAPES, 3],
    ]) {
      for (const [front, backs] of pairs) {
        for (const back of backs) {
          const ratio = contrast(colours[front][scheme], colours[back][scheme]);
          expect(ratio >= least, `--${front} on --${back} is ${ratio.toFixed(2)}:1, less than ${least}:1`);
        }
      }
    }
  });
}

await report.run("the style asks for nothing and heeds reduced motion", () => {
  expect(!/url\(|@import|@font-face/.test(css), "an address in the style");
  expect(css.includes("prefers-reduced-motion: reduce"), "no word of reduced motion");
});

await report.run("H5: no source of the page makes HTML of strings, or asks another server", () => {
  for (const entry of readdirSync(new URL("src/", PAGE), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(mjs|jsx)$/.test(entry.name)) continue;
    const text = readFileSync(`${entry.parentPath}/${entry.name}`, "utf8");
    const code = text.replace(/^\s*\/\/.*$/gm, "").replace(/ fetch\(\w+, \{[^{}]*mode: "same-origin"[^{}]*\}\)/g, "");
    const found = FORBIDDEN.find((part) => code.includes(part));
    expect(found === undefined, `${entry.name}: ${found}`);
  }
});

report.finish();
