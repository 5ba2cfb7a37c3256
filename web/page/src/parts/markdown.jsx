// The nodes of markdown/tree.mjs as elements. Only what ATTRIBUTES names becomes an attribute, and text is text: preact
// writes it into text nodes. What is the same object as before is not looked at again.

import { h } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { MarkdownStream } from "../markdown/stream.mjs";
import { ATTRIBUTES } from "../markdown/tree.mjs";
import { memo } from "./memo.jsx";

const COPIED_MS = 1500;

function CodeBlock({ language, text }) {
  const [label, setLabel] = useState("Copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setLabel("Copied");
    } catch {
      setLabel("Not allowed");
    }
    setTimeout(() => setLabel("Copy"), COPIED_MS);
  };
  return (
    <figure class="code">
      <figcaption>
        <span>{language || "text"}</span>
        <button type="button" class="quiet" onClick={copy} aria-label={`Copy this ${language || "text"} block`}>
          {label}
        </button>
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}

// Of these an open block may have thousands.
const MANY = new Set(["li", "tr"]);
const Node = memo(({ node }) => element(node));

function child(node, key) {
  return typeof node === "object" && MANY.has(node.tag) ? <Node key={key} node={node} /> : element(node, key);
}

function element(node, key) {
  if (typeof node === "string") return node;
  if (node.tag === "codeblock") return <CodeBlock key={key} language={node.language} text={node.text} />;
  const attrs = { key };
  for (const name of ATTRIBUTES[node.tag] ?? []) {
    if (Object.hasOwn(node.attrs, name)) attrs[name] = node.attrs[name];
  }
  const made = h(node.tag, attrs, node.children.map(child));
  if (node.tag !== "table") return made;
  // A wide table moves inside its own frame, not the page.
  return (
    <div class="wide" key={key} tabIndex={0} role="group" aria-label="Table">
      {made}
    </div>
  );
}

const Group = memo(({ blocks }) => (
  <div class="group">
    {blocks.map((block) => (
      <Node key={block.key} node={block.node} />
    ))}
  </div>
));

export const Markdown = memo(function Markdown({ text }) {
  const held = useRef({ text: "", stream: new MarkdownStream() });
  const groups = useMemo(() => {
    if (!text.startsWith(held.current.text)) held.current = { text: "", stream: new MarkdownStream() };
    const { stream, text: before } = held.current;
    if (text.length > before.length) stream.push(text.slice(before.length));
    held.current.text = text;
    return stream.groups;
  }, [text]);
  return (
    <div class="markdown">
      {groups.map((blocks, i) => (
        <Group key={i} blocks={blocks} />
      ))}
    </div>
  );
});
