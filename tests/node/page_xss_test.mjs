// H6: text of a model on its way to the page. Every payload of the corpus (tests/web/xss_corpus.mjs) is given to the
// renderer one character at a time, and after each character the nodes are checked against a list of what may be there.

import { existsSync } from "node:fs";
import { elementFault, xssCorpus } from "../web/xss_corpus.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";

const report = new WebReport();
const MAX_DEPTH = 64;

// The first fault in a node and what is in it.
function faultOf(node, depth = 0, inLink = false) {
  if (typeof node === "string") return null;
  if (depth > MAX_DEPTH) return "nodes that are too deep";
  if (node.tag === "codeblock") {
    const plain = typeof node.text === "string" && /^[\w+#.-]*$/.test(node.language) && Object.keys(node).length === 3;
    return plain ? null : `a code block of ${node.language}`;
  }
  if (Object.keys(node).sort().join() !== "attrs,children,tag") return `a node with ${Object.keys(node)}`;
  const fault = elementFault(node.tag, node.attrs);
  if (fault !== null) return fault;
  if (node.tag === "a" && inLink) return "a link in a link";
  for (const child of node.children) {
    const inner = faultOf(child, depth + 1, inLink || node.tag === "a");
    if (inner !== null) return inner;
  }
  return null;
}

if (!existsSync(new URL("../../web/node_modules/markdown-it", import.meta.url))) {
  console.log("skipped: web/node_modules is not there (npm ci in web/)");
} else {
  const { MarkdownStream } = await import("../../web/page/src/markdown/stream.mjs");
  const { parseBlocks, safeAddress } = await import("../../web/page/src/markdown/tree.mjs");
  const corpus = xssCorpus();

  await report.run("H6: the corpus has 500 payloads or more, no two the same", () => {
    expect(corpus.length >= 500, `${corpus.length} payloads`);
    expectEqual(new Set(corpus).size, corpus.length, "different payloads");
  });

  await report.run(
    `H6: ${corpus.length} payloads, one character at a time: nothing but whitelisted nodes`,
    () => {
      let nCheck = 0;
      for (const payload of corpus) {
        const stream = new MarkdownStream();
        for (let at = 0; at < payload.length; ++at) {
          stream.push(payload[at]);
          for (const { node } of stream.blocks) {
            const fault = faultOf(node);
            ++nCheck;
            if (fault !== null) throw new Error(`${fault}, after ${at + 1} characters of ${JSON.stringify(payload)}`);
          }
        }
      }
      report.note(`${nCheck} blocks checked`);
    },
    { deadlineMs: 300_000 },
  );

  await report.run("H6: payloads one after the other in one answer", () => {
    const stream = new MarkdownStream();
    for (const payload of corpus) stream.push(`${payload}\n\n`);
    for (const { node } of stream.blocks) expectEqual(faultOf(node), null, "the fault of a block");
  });

  await report.run("H6: the check finds what it looks for", () => {
    const bad = [
      { tag: "script", attrs: {}, children: [] },
      { tag: "p", attrs: { onclick: "x" }, children: [] },
      {
        tag: "p",
        attrs: {},
        children: [
          { tag: "a", attrs: { href: "javascript:x", rel: "noopener noreferrer", target: "_blank" }, children: [] },
        ],
      },
      { tag: "a", attrs: { href: "https://a.b/" }, children: [] },
      { tag: "img", attrs: {}, children: [] },
    ];
    for (const node of bad) expect(faultOf(node) !== null, `nothing found in ${JSON.stringify(node)}`);
  });

  await report.run("H6: images are links that name their address, and no link holds another", () => {
    const [{ node }] = parseBlocks("![a cat](https://a.example/cat.png)");
    const [link] = node.children;
    expectEqual(
      [link.tag, link.attrs.href, link.children.join("")],
      ["a", "https://a.example/cat.png", "image: a cat (https://a.example/cat.png)"],
      "the image",
    );
    const [outer] = parseBlocks("[![a cat](https://a.example/cat.png)](https://b.example/)").map((block) => block.node);
    expectEqual(
      outer.children,
      [{ tag: "a", attrs: outer.children[0].attrs, children: ["image: a cat"] }],
      "the image in a link",
    );
    expectEqual(outer.children[0].attrs.href, "https://b.example/", "where it leads");
  });

  await report.run("H6: only whole http, https and mailto addresses are links", () => {
    for (const [text, expected] of [
      ["https://a.b/c", "https://a.b/c"],
      ["HTTP://A.B", "http://a.b/"],
      ["mailto:a@b.c", "mailto:a@b.c"],
    ]) {
      expectEqual(safeAddress(text), expected, text);
    }
    for (const text of [
      "javascript:x",
      "data:text/html,x",
      "//a.b",
      "/x",
      "x",
      "",
      "https://a:b@c.d/",
      "https://",
      "ftp://a.b",
      " https://a.b",
      null,
    ]) {
      expectEqual(safeAddress(text), null, String(text));
    }
  });
}
report.finish();
