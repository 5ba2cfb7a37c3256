// Markdown of a model as a tree of plain data: the only way from its text to the page.
//
// markdown-it parses; what it finds becomes nodes through the whitelist below, and nothing else does.
// There is no HTML in between: no string of the model is ever parsed as such, tags in the text are text,
// and parts.jsx makes elements of the nodes one by one. A node is
//
//   "text"                                   text
//   { tag, attrs, children }                 an element; its attributes are among those of ATTRIBUTES
//   { tag: "codeblock", language, text }     a block of code
//
// Nothing is fetched for an answer: an image is a link with its address, which a person may click. Links
// lead to http, https and mailto only. Link definitions (`[a]: url`) stay text: one at the end of an
// answer would change what stands above it, and an answer is shown while it grows.

import MarkdownIt from "markdown-it";

export const MAX_NESTING = 24;

export const ATTRIBUTES = {
  a: ["href", "title", "rel", "target"],
  ol: ["start"],
  td: ["class"],
  th: ["class", "scope"],
};

// Elements whose tokens are `<name>_open` and `<name>_close`. An answer stands below the headings of the page.
const ELEMENTS = new Set([
  "p",
  "ul",
  "ol",
  "li",
  "blockquote",
  "table",
  "thead",
  "tbody",
  "tr",
  "th",
  "td",
  "em",
  "strong",
  "s",
  "a",
  "h3",
  "h4",
  "h5",
  "h6",
]);
const HEADINGS = { h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" };
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

const parser = new MarkdownIt("default", { html: false, linkify: false, typographer: false, maxNesting: MAX_NESTING });
parser.disable(["linkify", "replacements", "smartquotes"], true);
parser.disable(["reference", "html_block", "html_inline"], true);
parser.validateLink = (address) => safeAddress(address) !== null;

// What a link may lead to, spelled as the browser understands it; null: nowhere. Only whole addresses: a
// relative one would lead into the page's own folder.
export function safeAddress(address) {
  const text = String(address ?? "");
  if (!/^[a-z]+:/i.test(text)) return null;
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  if (!SCHEMES.has(url.protocol) || url.username !== "" || url.password !== "") return null;
  return url.href;
}

function link(address, children) {
  const href = safeAddress(address);
  if (href === null) return null;
  const attrs = { href, title: href, rel: "noopener noreferrer", target: "_blank" };
  return { tag: "a", attrs, children };
}

function plainText(tokens) {
  return tokens.map((token) => (token.children?.length ? plainText(token.children) : token.content)).join("");
}

// Builds children of one parent after the other, as the tokens open and close them.
class Builder {
  #stack = [{ tag: "root", attrs: {}, children: [] }];

  add(node) {
    const { children } = this.#stack.at(-1);
    if (typeof node === "string" && typeof children.at(-1) === "string") children.push(children.pop() + node);
    else if (node !== "") children.push(node);
  }
  open(node) {
    this.add(node);
    this.#stack.push(node);
  }
  close() {
    if (this.#stack.length > 1) this.#stack.pop();
  }
  get inLink() {
    return this.#stack.some(({ tag }) => tag === "a");
  }
  get nodes() {
    return this.#stack[0].children;
  }
}

function attributesOf(token, tag) {
  const attrs = {};
  if (tag === "ol") {
    const start = Number(token.attrGet("start") ?? 1);
    if (Number.isSafeInteger(start) && start >= 0 && start !== 1) attrs.start = start;
  }
  if (tag === "td" || tag === "th") {
    const align = /^text-align:(left|center|right)$/.exec(token.attrGet("style") ?? "");
    if (align) attrs.class = `align-${align[1]}`;
    if (tag === "th") attrs.scope = "col";
  }
  return attrs;
}

function addImage(builder, token) {
  const label = plainText(token.children ?? []) || "no description";
  const address = token.attrGet("src");
  const node = builder.inLink ? null : link(address, [`image: ${label} (${address})`]);
  builder.add(node ?? `image: ${label}`);
}

// The tokens of blocks, or of one line, into `builder`.
function addTokens(builder, tokens) {
  const skipped = []; // whether each open element was one that makes no node
  for (const token of tokens) {
    switch (token.type) {
      case "inline":
        addTokens(builder, token.children ?? []);
        continue;
      case "text":
      case "text_special":
        builder.add(token.content);
        continue;
      case "code_inline":
        builder.add({ tag: "code", attrs: {}, children: [token.content] });
        continue;
      case "softbreak":
        builder.add("\n");
        continue;
      case "hardbreak":
        builder.add({ tag: "br", attrs: {}, children: [] });
        continue;
      case "hr":
        builder.add({ tag: "hr", attrs: {}, children: [] });
        continue;
      case "image":
        addImage(builder, token);
        continue;
      case "code_block":
        builder.add({ tag: "codeblock", language: "", text: token.content });
        continue;
      case "fence":
        builder.add({ tag: "codeblock", language: languageOf(token.info), text: token.content });
        continue;
    }
    if (token.nesting > 0) {
      const node = token.hidden ? null : nodeOf(token, builder);
      skipped.push(node === null);
      if (node !== null) builder.open(node);
    } else if (token.nesting < 0) {
      if (skipped.pop() === false) builder.close();
    } else {
      builder.add(token.content); // what is not known is text
    }
  }
}

// null: an element that makes no node; what is in it stays.
function nodeOf(token, builder) {
  // markdown-it takes `<https://...>` for a link in the label of another one, too.
  if (token.type === "link_open") return builder.inLink ? null : link(token.attrGet("href"), []);
  const tag = HEADINGS[token.tag] ?? token.tag;
  return ELEMENTS.has(tag) && tag !== "a" ? { tag, attrs: attributesOf(token, tag), children: [] } : null;
}

function languageOf(info) {
  return /^[\w+#.-]{1,24}/.exec(info.trim())?.[0] ?? "";
}

// The tokens of each block at the top, with its lines [first, end).
function topBlocks(tokens) {
  const blocks = [];
  let depth = 0;
  let current = null;
  for (const token of tokens) {
    if (depth === 0 && token.nesting >= 0) {
      current = { tokens: [], first: token.map?.[0] ?? 0 };
      blocks.push(current);
    }
    current.tokens.push(token);
    depth += token.nesting;
  }
  return blocks;
}

// The blocks of a text: [{ node, first }], with the number of the line where each begins.
export function parseBlocks(text) {
  return topBlocks(parser.parse(text, {})).flatMap(({ tokens, first }) => {
    const builder = new Builder();
    addTokens(builder, tokens);
    return builder.nodes.map((node) => ({ node, first }));
  });
}

// A node as text, for screen readers.
export function textOf(node) {
  if (typeof node === "string") return node;
  if (node.tag === "codeblock") return node.text;
  return node.children.map(textOf).join(node.tag === "tr" || node.tag === "ul" || node.tag === "ol" ? " " : "");
}
