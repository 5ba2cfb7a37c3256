// The icon, drawn of numbers, and the manifest that lets browsers install the page.

const SIZE = 512;
const BACK = "#1d2430";
const LINES = "#7fb4ff";

// A chip with its legs, and a prompt in it. Everything that matters lies in the middle 80 %, which is what is
// left of a maskable icon.
export function iconSvg() {
  const legs = [];
  for (const at of [176, 256, 336]) {
    legs.push(`M${at} 96V132`, `M${at} 380V416`, `M96 ${at}H132`, `M380 ${at}H416`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE}">
<rect width="${SIZE}" height="${SIZE}" fill="${BACK}"/>
<g fill="none" stroke="${LINES}" stroke-width="20" stroke-linecap="round" stroke-linejoin="round">
<path d="${legs.join("")}"/>
<rect x="132" y="132" width="248" height="248" rx="32"/>
<path d="M196 212L244 256L196 300M268 304H324" stroke="#ffffff"/>
</g>
</svg>
`;
}

export function manifestJson() {
  const manifest = {
    name: "llm-baremetal",
    short_name: "llm-baremetal",
    description: "A language model in the browser, without a server",
    id: "./",
    start_url: "./",
    scope: "./",
    display: "standalone",
    background_color: "#14171c",
    theme_color: "#14171c",
    icons: [
      { src: "icon.svg", sizes: "any", type: "image/svg+xml", purpose: "any" },
      { src: "icon.svg", sizes: "any", type: "image/svg+xml", purpose: "maskable" },
    ],
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
