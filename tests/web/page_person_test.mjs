// The page for people: keys and focus, names of everything that can be pressed, a phone, colours, transcripts, and
// conversations that stay until they are deleted.

import { readFile } from "node:fs/promises";

import { Browser } from "./browser.mjs";
import { PageDriver } from "./page_driver.mjs";
import { expect, expectEqual, WebReport } from "./report.mjs";
import { readOptions, servePage, tinyModel } from "./setup.mjs";

const options = readOptions();
const report = new WebReport({ deadlineMs: 90_000 });
const server = await servePage(options, { files: { "/models/tiny.gguf": tinyModel(options) } });
const browser = await Browser.launch();
const driver = await PageDriver.open(browser, server.url("/"));
const { page } = driver;
const focused = () => page.evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.id);

// Everything that can be pressed or filled in and has no name for a screen reader.
async function nameless() {
  const lines = (await page.locator("body").ariaSnapshot()).split("\n");
  return lines.filter((line) =>
    /^\s*- '?(button|textbox|checkbox|spinbutton|combobox|link|tab|dialog|progressbar|meter)( \[[^\]]*\])*:?$/.test(
      line,
    ),
  );
}
const widerThanScreen = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

await driver.loadAddress("models/tiny.gguf");
await driver.set({ temp: 0, max_tokens: 12 });

await report.run("Enter sends, Shift+Enter begins a line", async () => {
  await driver.at("question").focus();
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await driver.answered();
  expectEqual(await driver.at("asked").last().textContent(), "one\ntwo", "the question");
  expectEqual(await focused(), "question", "focus after the answer");
});

await report.run("dialogs open and close by keys, and give the focus back", async () => {
  await driver.at("question").focus();
  await page.keyboard.press("Alt+s");
  await driver.at("panel").waitFor();
  expectEqual(await driver.at("tab-settings").getAttribute("aria-selected"), "true", "the tab of settings");
  await driver.at("tab-settings").focus();
  await page.keyboard.press("ArrowRight");
  expectEqual(
    [await driver.at("tab-browser").getAttribute("aria-selected"), await focused()],
    ["true", "tab-browser"],
    "the next tab",
  );
  await page.keyboard.press("Escape");
  await driver.at("panel").waitFor({ state: "detached" });
  expectEqual(await focused(), "question", "focus after the dialog");
  await driver.at("theme").focus();
  await page.keyboard.press("/");
  expectEqual([await focused(), await driver.at("question").inputValue()], ["question", ""], "the key to the question");
});

await report.run("everything that can be pressed has a name, on the page and in every panel", async () => {
  expectEqual(await nameless(), [], "on the page");
  await driver.openPanel("models");
  for (const tab of ["models", "model", "settings", "browser", "benchmark", "about"]) {
    await driver.at(`tab-${tab}`).click();
    expectEqual(await nameless(), [], `in the panel ${tab}`);
  }
  await driver.closePanel();
  const found = await page.evaluate(() => ({
    landmarks: ["header", "nav", "main"].every((name) => document.querySelector(name) !== null),
    headings: document.querySelectorAll("h1").length,
    live: [...document.querySelectorAll("[aria-live=polite]")].length,
  }));
  expectEqual(found, { landmarks: true, headings: 1, live: 1 }, "landmarks, headings, live regions");
});

await report.run("a screen reader is told an answer by its paragraphs, and where it ends", async () => {
  await page.evaluate(() => {
    window.spoken = [];
    const listen = () => {
      const text = document.querySelector("[aria-live=polite]")?.textContent ?? "";
      if (text !== (window.spoken.at(-1) ?? "")) window.spoken.push(text);
    };
    new MutationObserver(listen).observe(document.body, { childList: true, characterData: true, subtree: true });
  });
  const { figures } = await driver.ask("more");
  const spoken = await page.evaluate(() => window.spoken.filter((text) => text !== ""));
  const nToken = Number(figures.split(" ")[0]);
  expect(spoken.length > 0 && spoken.length < nToken, `${spoken.length} announcements of ${nToken} tokens`);
  expect(spoken.at(-1).endsWith("End of the answer."), spoken.at(-1));
});

await report.run("on a phone nothing is wider than the screen", async () => {
  await page.setViewportSize({ width: 360, height: 700 });
  expectEqual(await widerThanScreen(), false, "the conversation");
  await driver.openPanel("models");
  for (const tab of ["models", "model", "settings", "browser", "benchmark", "about"]) {
    await driver.at(`tab-${tab}`).click();
    const wide = await driver
      .at("panel")
      .evaluate((panel) =>
        [...panel.querySelectorAll("[role=tabpanel]")].some((it) => it.scrollWidth > it.clientWidth),
      );
    expectEqual([await widerThanScreen(), wide], [false, false], `the panel ${tab}`);
  }
  await driver.closePanel();
  await page.getByRole("button", { name: "Conversations" }).click();
  await driver.at("conversation").first().click();
  await page.locator(".sidebar.open").waitFor({ state: "detached" });
  await page.setViewportSize({ width: 1280, height: 800 });
});

await report.run("colours follow the system until they are chosen, and stay chosen", async () => {
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await back();
  await page.emulateMedia({ colorScheme: "light" });
  const light = await back();
  expect(dark !== light, `${dark} for both`);
  await driver.at("theme").click();
  await driver.at("theme").click();
  expectEqual(await back(), dark, "the chosen dark");
  await driver.reload();
  await driver.ready();
  expectEqual(await back(), dark, "dark after a reload");
  await driver.at("theme").click();
});

await report.run("conversations are there after a reload, and gone after they were deleted", async () => {
  expectEqual(await driver.at("conversation").count(), 1, "conversations");
  await driver.at("conversation").first().click();
  await driver.at("turn").first().waitFor(); // it is read from the database first
  expectEqual(await driver.at("turn").count(), 2, "turns of the one that was kept");
  await driver.at("conversation-delete").first().click();
  expectEqual(await driver.at("conversation").count(), 1, "conversations before it was meant");
  await driver.at("conversation-delete").first().click();
  await driver.at("conversation").waitFor({ state: "detached" });
  await driver.reload();
  await driver.ready();
  expectEqual(await driver.at("conversation").count(), 0, "conversations after a reload");
});

await report.run("MVP-14: transcripts have the run records, and an answer is made again from its own", async () => {
  await driver.set({ temp: 1, seed: 3, max_tokens: 12 });
  const { text } = await driver.ask("hello");
  const files = {};
  for (const ending of ["md", "json"]) {
    const [download] = await Promise.all([page.waitForEvent("download"), driver.at(`export-${ending}`).click()]);
    expectEqual(download.suggestedFilename(), `hello.${ending}`, "the name of the file");
    files[ending] = await readFile(await download.path(), "utf8");
  }
  const { answer } = JSON.parse(files.json).turns[0];
  expect(
    /^[0-9a-f]{32}$/.test(answer.record.run_id) && answer.record.output.length > 0,
    `the record ${JSON.stringify(answer.record)}`,
  );
  expect(
    files.md.includes(answer.record.run_id) && answer.text.trim().startsWith(text.slice(0, 4)),
    "the transcript as Markdown",
  );
  await driver.at("replay").click();
  await driver.at("notice").getByText("tokens are the same").waitFor();
});

await report.run("the benchmark tells its figures as JSON", async () => {
  await driver.openPanel("models");
  await driver.at("tab-benchmark").click();
  await driver.at("benchmark-run").click();
  const result = JSON.parse(await driver.at("benchmark-json").textContent());
  expectEqual([result.format, result.runs.length], ["lbm-page-benchmark", 3], "the result");
  for (const name of ["prompt_per_second", "answer_per_second", "first_token_ms", "token_ms_p50", "token_ms_p95"]) {
    expect(result.median[name] > 0, `${name} is ${result.median[name]}`);
  }
  await driver.closePanel();
});

if (options.model) {
  await report.run("B-2: Esc stops an answer, and what had come stays", async () => {
    await driver.loadFile(options.model);
    await driver.set({ temp: 0, max_tokens: 1000 });
    await driver.at("new-conversation").click();
    await driver.begin("Write a long list of animals.");
    await driver.hasText();
    await page.keyboard.press("Escape");
    const { state, text } = await driver.answered();
    expectEqual([state, text !== ""], ["stopped", true], "state and text");
  });
} else {
  report.skip("Esc: no model was given that answers for long enough");
}

await report.run("no error on the console", () => expectEqual(browser.problems, [], "console"));
await browser.close();
await server.close();
report.finish();
