// Markdown that grows: only its last block is parsed again, and of that only what changed is another object.
//
// Once another block begins on a whole line, the blocks above it are final: a later line can only change the block
// that is still open (a paragraph becomes a heading or a table, a list goes on). That needs link definitions to be
// off (tree.mjs), and it needs the line on which the last block begins to be whole: `***` is a rule, and `***bold***`
// goes on with the paragraph above.
//
// Whoever draws this compares by identity: a final block never becomes another object, nor does a group of them; the
// nodes of the open block that look as before are those of before.

import { parseBlocks } from "./tree.mjs";

const GROUP = 32;

// `next` with whatever is equal in `before` taken from there.
export function share(before, next) {
  if (before === next || typeof before !== "object" || typeof next !== "object") return next;
  if (before.tag !== next.tag) return next;
  if (next.tag === "codeblock") return before.text === next.text && before.language === next.language ? before : next;
  const names = Object.keys(next.attrs);
  const hasSameAttributes =
    names.length === Object.keys(before.attrs).length && names.every((name) => before.attrs[name] === next.attrs[name]);
  const children = next.children.map((child, i) =>
    i < before.children.length ? share(before.children[i], child) : child,
  );
  const isSame =
    children.length === before.children.length && children.every((child, i) => child === before.children[i]);
  return isSame && hasSameAttributes ? before : { ...next, children };
}

export class MarkdownStream {
  #groups = []; // of GROUP final blocks each
  #final = []; // fewer than GROUP
  #tail = "";
  #open = [];
  #endsInCr = false;
  #nBlock = 0;

  constructor(text = "") {
    if (text !== "") this.push(text);
  }

  push(text) {
    if (this.#endsInCr && text.startsWith("\n")) text = text.slice(1);
    this.#endsInCr = text === "" ? this.#endsInCr : text.endsWith("\r");
    const added = text.replace(/\r\n?/g, "\n");
    this.#tail += added;
    if (added.includes("\n")) this.#settle();
    const before = this.#open;
    const nBlock = this.#nBlock;
    this.#open = parseBlocks(this.#tail).map(({ node }, i) => {
      const key = nBlock + i;
      const old = before.find((block) => block.key === key);
      const shared = old === undefined ? node : share(old.node, node);
      return old !== undefined && shared === old.node ? old : { key, node: shared };
    });
  }

  // Moves the blocks that no later text can change to the final ones.
  #settle() {
    const whole = this.#tail.slice(0, this.#tail.lastIndexOf("\n") + 1);
    const blocks = parseBlocks(whole);
    const line = blocks.at(-1)?.first ?? 0;
    if (line === 0) return;
    for (const { node, first } of blocks) if (first < line) this.#keep(node);
    let at = 0;
    for (let i = 0; i < line; ++i) at = this.#tail.indexOf("\n", at) + 1;
    this.#tail = this.#tail.slice(at);
  }

  #keep(node) {
    const key = this.#nBlock++;
    const open = this.#open.find((block) => block.key === key);
    const shared = open === undefined ? node : share(open.node, node);
    this.#final.push(open !== undefined && shared === open.node ? open : { key, node: shared });
    if (this.#final.length < GROUP) return;
    this.#groups.push(this.#final);
    this.#final = [];
  }

  // Every block so far, { key, node } each, in groups: all but the last one are final.
  get groups() {
    return [...this.#groups, [...this.#final, ...this.#open]];
  }
  get blocks() {
    return this.groups.flat();
  }
  // How many of them are final.
  get nFinal() {
    return this.#nBlock;
  }
}
