// The page in an isolated tab, as a static server sends it: models, answers, stop, regenerate, edit.

import { Browser } from "./browser.mjs";
import { PageDriver } from "./page_driver.mjs";
import { WebReport, expect, expectEqual, expectUnblocked } from "./report.mjs";
import { hostedAnswer, readOptions, servePage, tinyModel } from "./setup.mjs";

const QUESTION = "What is the capital of France?";

const options = readOptions();
const report = new WebReport({ deadlineMs: 120_000 });
const tiny = tinyModel(options);
const server = await servePage(options, { files: { "/models/tiny.gguf": tiny, ...(options.model ? { "/models/default.gguf": options.model } : {}) } });
const browser = await Browser.launch();
const page = await PageDriver.open(browser, server.url("/"));

await report.run("the page shows itself, isolated, with no script but files", async () => {
  const found = await page.page.evaluate(() => ({
    isolated: crossOriginIsolated,
    inline: [...document.scripts].filter((script) => !script.src).length,
    lang: document.documentElement.lang,
    title: document.title,
  }));
  expectEqual([found.isolated, found.inline], [true, 0], "isolated, inline scripts");
  expect(found.lang !== "" && found.title !== "", "language and title are said");
});
await report.run("MVP-3: a model of an address is loaded, and one of a file in its place", async () => {
  await page.loadAddress("models/tiny.gguf");
  await page.loadFile(tiny);
});
await report.run("MVP-35: answers with the seed of before are the same, and stopping leaves a whole page", async () => {
  await page.set({ temp: 1.2, seed: 7, max_tokens: 24 });
  const first = await page.ask("one two three");
  expectEqual(first.state, "done", "state");
  expect(first.figures.includes("seed 7"), `the seed is told: ${first.figures}`);
  await page.at("new-conversation").click();
  const again = await page.ask("one two three");
  expectEqual(again.text, first.text, "text with the same seed");
  await page.at("regenerate").last().click();
  const other = await page.answered();
  expect(!other.figures.includes("seed 7"), `another seed: ${other.figures}`);
});
await report.run("a question that is edited is asked anew", async () => {
  await page.at("edit").last().click();
  await page.at("edit-text").fill("three two one");
  await page.at("edit-text").press("Enter");
  await page.answered();
  expectEqual(await page.at("asked").last().innerText(), "three two one", "question");
  expectEqual(await page.at("turn").count(), 1, "turns");
});

if (options.model) {
  await report.run("MVP-35: the default model of an address answers as lbm does", async () => {
    const expected = await hostedAnswer(options, options.model, QUESTION, ["--chat", "-n", 64, "--temp", 0]);
    await page.loadAddress("models/default.gguf");
    await page.set({ temp: 0, seed: 0, max_tokens: 64 });
    await page.at("new-conversation").click();
    server.clearLog();
    page.requests.length = 0;
    const answer = await page.ask(QUESTION);
    expectEqual(answer.text, expected.text.trim(), "answer");
    expectEqual(server.log.map(({ path }) => path), [], "files that the answer asked the server for");
    expectEqual(page.requests, [], "requests of the page during the answer");
  });
  await report.run("G-2: a long answer streams without blocking the page's thread", async () => {
    await page.set({ max_tokens: 200 });
    await page.at("new-conversation").click();
    const { value: answer, gaps } = await page.withGaps(() => page.ask("Write a long list of animals, in Markdown."));
    expectUnblocked(report, `G-2: ${answer.figures}`, gaps);
  });
  await report.run("B-2: a stopped answer stays as it is, and the next question is answered", async () => {
    await page.set({ max_tokens: 1000 });
    await page.at("new-conversation").click();
    await page.begin("Write a long list of animals, in Markdown.");
    await page.hasText();
    await page.at("stop").click();
    const stopped = await page.answered();
    expectEqual(stopped.state, "stopped", "state");
    expect(stopped.text !== "", "what had come stays");
    await page.set({ max_tokens: 8 });
    expectEqual((await page.ask("And now?")).state, "done", "state of the next answer");
    expectEqual(await page.at("turn").count(), 2, "turns");
  });
} else {
  report.skip("the default model: none was given");
}
await report.run("no error on the console", async () => expectEqual(browser.problems.join("\n"), "", "console"));
await browser.close();
await server.close();
report.finish();
