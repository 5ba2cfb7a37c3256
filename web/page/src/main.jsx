// The entry of the page.

import { render } from "preact";
import catalog from "../../../models/catalog.json";
import { Database } from "./effects/database.mjs";
import { Shell } from "./effects/shell.mjs";
import { openArtifacts, openEngine } from "./engine.mjs";
import { Page } from "./page.mjs";
import { App } from "./parts/app.jsx";
import { readTheme, setTheme } from "./theme.mjs";
import { guardScripts } from "./trusted_types.mjs";
import "./style.css";

guardScripts();
setTheme(readTheme());

const models = catalog.models.map(({ source, ...model }) => ({
  ...model,
  url: source.kind === "url" ? source.url : null,
}));
const page = new Page({ database: await Database.open(), catalog: models });
page.shell = new Shell(page);
render(<App page={page} />, document.getElementById("app"));
// Without a network there is no host to ask.
if (navigator.onLine) {
  page.readServed(async (url) => {
    const response = await fetch(url, { cache: "no-cache", mode: "same-origin" });
    if (!response.ok) throw new Error(`${url}: the server answers ${response.status}`);
    return response.json();
  });
}
page.start({ openEngine: () => openEngine(), openArtifacts: () => openArtifacts() });
// A tab that goes away may not come back: what was said so far is kept.
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && page.keep());
// A page in development is not kept: the copy would hide what is being changed.
if (import.meta.env.PROD) page.shell.start();
