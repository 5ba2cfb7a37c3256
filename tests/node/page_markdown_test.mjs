// Markdown of the page: an answer that grows shows at every character what the whole text so far would show, and
// only its last block is parsed again.

import { existsSync } from "node:fs";
import { xssCorpus } from "../web/xss_corpus.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";

const report = new WebReport();

const TEXTS = {
  "blocks of every kind":
    "# Title\n\npara\nwith two lines\n***bold** and em*\n\n- a\n- b\n\n  c\n\n1. x\n   ```js\n   hi\n   ```\n2. y\n\n" +
    "text\na|b\n-|:-:\n1|2\n\n> q\nlazy\n\nhead\n===\n\n    code\n\n    more\n\nend\n***\n* * *\n",
  "a rule that becomes text": "above\n***\nbelow\n***bold***\n---x\n",
  "a paragraph that becomes a heading": "one\ntwo\n---\nthree\n=",
  "lists that change their mark": "- a\n* b\n+ c\n1. d\n2) e\n\n\n- f\n\n\n    g\n",
  "fences that stay open": "```\na\n\n~~~\n# no title\n\n- no list",
  "a table below text": "text\n| a | b |\n| - | - |\n| 1 | 2 |\nrow\n\nafter",
  "tags are text": "<div>\n\n*em*\n\n</div>\n<script>x</script>\n",
  "link definitions are text": "[a] and [b]\n\n[a]: https://x.y\n\nend [a]\n",
  "characters beyond the plane": "\u{1f600} **\u{1f601}**\n\n`\u{1f602}`\n",
  "nothing but new lines": "\n\n\n\nx\n\n\n",
};

if (!existsSync(new URL("../../web/node_modules/markdown-it", import.meta.url))) {
  console.log("skipped: web/node_modules is not there (npm ci in web/)");
} else {
  const { MarkdownStream, share } = await import("../../web/page/src/markdown/stream.mjs");
  const { parseBlocks, textOf } = await import("../../web/page/src/markdown/tree.mjs");
  const whole = (text) => JSON.stringify(parseBlocks(text).map(({ node }) => node));
  const soFar = (stream) => JSON.stringify(stream.blocks.map(({ node }) => node));

  function compare(text, name) {
    const stream = new MarkdownStream();
    let before = "";
    for (const character of text) {
      stream.push(character);
      before += character;
      if (soFar(stream) !== whole(before)) {
        throw new Error(`${name}: after ${JSON.stringify(before.slice(-40))}\n  ${soFar(stream)}\n  ${whole(before)}`);
      }
    }
    return stream;
  }

  for (const [name, text] of Object.entries(TEXTS)) {
    await report.run(`streamed as whole: ${name}`, () => void compare(text, name));
  }

  await report.run("streamed as whole: every second payload of the corpus", () => {
    xssCorpus()
      .filter((_, i) => i % 2 === 0)
      .forEach((payload) => compare(payload, "payload"));
  });

  await report.run("finished blocks are never parsed or drawn again", () => {
    const stream = new MarkdownStream();
    const seen = new Map();
    for (const character of TEXTS["blocks of every kind"]) {
      stream.push(character);
      stream.blocks.slice(0, stream.nFinal).forEach(({ key, node }) => {
        if (!seen.has(key)) seen.set(key, node);
        expect(seen.get(key) === node, `block ${key} is another object`);
      });
    }
    expect(seen.size >= 8, `${seen.size} final blocks`);
    expectEqual(new Set(stream.blocks.map(({ key }) => key)).size, stream.blocks.length, "keys");
  });

  await report.run("what looks as before is the object of before", () => {
    const node = (text) => parseBlocks(text)[0].node;
    const before = node("- a\n- **b**\n- c");
    const after = share(before, node("- a\n- **b**\n- cd\n- e"));
    expectEqual(after, node("- a\n- **b**\n- cd\n- e"), "the nodes");
    expectEqual(
      after.children.map((item, i) => item === before.children[i]),
      [true, true, false, false],
      "items that are those of before",
    );
    expect(share(before, node("- a\n- **b**\n- c")) === before, "an equal node is another object");
    const stream = new MarkdownStream("- a\n- b\n- c");
    const [list] = stream.blocks;
    stream.push("d");
    expect(
      stream.blocks[0].node.children[0] === list.node.children[0],
      "the first item of an open list is another object",
    );
  });

  await report.run("groups of final blocks stay the same objects", () => {
    const stream = new MarkdownStream();
    for (let i = 0; i < 100; ++i) stream.push(`Paragraph ${i}.\n\n`);
    const before = stream.groups;
    stream.push("More.");
    const after = stream.groups;
    expectEqual([before.length, after.length, after.flat().length], [4, 4, 101], "groups and blocks");
    expect(
      before.slice(0, -1).every((group, i) => group === after[i]),
      "a full group is another object",
    );
  });

  await report.run("CR LF and CR end lines, wherever a token ends between them", () => {
    const expected = whole("# a\n\nb\n\nc");
    for (const parts of [
      ["# a\r\n\r\nb\r\n\r\nc"],
      ["# a\r", "\n\r", "\nb\r\n", "\r\nc"],
      ["# a\r\rb\r\rc"],
      [..."# a\r\n\r\nb\r\r\nc"],
    ]) {
      const stream = new MarkdownStream();
      parts.forEach((part) => stream.push(part));
      expectEqual(soFar(stream), expected, JSON.stringify(parts));
    }
  });

  await report.run("an answer of 200 kB is parsed block by block", () => {
    const stream = new MarkdownStream();
    const block = `${"Some *words* of an answer. ".repeat(8)}\n\n`;
    for (let i = 0; i < 900; ++i) {
      stream.push(block.slice(0, 100));
      stream.push(block.slice(100));
    }
    expectEqual([stream.blocks.length, stream.nFinal], [900, 899], "blocks");
  });

  await report.run("text of a node is what a screen reader is told", () => {
    const spoken = parseBlocks("# A *b*\n\n- one\n- two\n\n`c`\n\n```\nd\n```").map(({ node }) => textOf(node).trim());
    expectEqual(spoken, ["A b", "one two", "c", "d"], "spoken");
  });
}
report.finish();
