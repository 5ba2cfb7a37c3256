// What the page does with questions and conversations, on a model and a database that are made up here.

import { measure } from "../../web/page/src/effects/answers.mjs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";
import { FILE, last, start } from "./page_fakes.mjs";

const report = new WebReport({ deadlineMs: 10_000 });
const run = (name, test) => report.run(name, test);

await run("MVP-35: a question is answered, measured, recorded and kept", async () => {
  const { page, model, database } = await start();
  await page.models.loadFile(FILE, false);
  expectEqual(
    [page.state.model.state, page.state.model.info.quantization, page.state.context.total],
    ["ready", "Q8_0", 4096],
    "the model",
  );
  await page.change({ temp: 0, seed: 5 });
  await page.answers.ask("Hi");
  const answer = last(page);
  expectEqual(
    [answer.text, answer.state, answer.stop, answer.nToken, answer.record.run_id],
    ["Hello.", "done", "eog", 3, "run"],
    "the answer",
  );
  expectEqual(
    [model.calls[0].options.seed, model.calls[0].options.temperature, page.state.context.used],
    [5, 0, 20],
    "settings and context",
  );
  expect(answer.stats.secondsToFirst !== null && answer.stats.nPrompt === 7, "no figures");
  expectEqual((await database.conversation(page.state.conversation.id)).turns[0].answer.text, "Hello.", "what is kept");
  await page.answers.ask("More?");
  expectEqual(
    model.calls[1].input.map(({ role, content }) => `${role}: ${content}`),
    ["user: Hi", "assistant: Hello.", "user: More?"],
    "messages",
  );
});

await run("B-2: an answer that is stopped keeps what was said, and the next one is made", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["Half", "~", "never"];
  const asked = page.answers.ask("Hi");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expectEqual([last(page).text, last(page).state, page.answers.running], ["Half", "running", true], "while it runs");
  await page.answers.stop();
  await asked;
  expectEqual(
    [last(page).text, last(page).state, last(page).stop, page.state.answering],
    ["Half", "stopped", "interrupted", null],
    "stopped",
  );
  model.script = ["whole"];
  await page.answers.ask("Again");
  expectEqual(last(page).text, "whole", "the next one");
});

await run("an answer that fails says why and what helps", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["a", "!"];
  await page.answers.ask("Hi");
  expectEqual([last(page).state, last(page).text], ["failed", "a"], "the answer");
  expect(last(page).error.includes("larger context"), last(page).error);
});

await run("regenerate takes the next seed; edit takes the place of the question and of what came after", async () => {
  const { page, model } = await start();
  await page.models.loadFile(FILE, false);
  await page.answers.ask("One");
  await page.answers.ask("Two");
  await page.answers.again(page.state.conversation.turns[1].id);
  expectEqual(
    [page.state.conversation.turns.length, model.calls.at(-1).options.seed, model.calls.at(-1).input.length],
    [2, 1, 3],
    "again",
  );
  await page.answers.again(page.state.conversation.turns[1].id);
  expectEqual(model.calls.at(-1).options.seed, 2, "the seed after that");
  await page.answers.edit(page.state.conversation.turns[0].id, "Other");
  expectEqual(
    page.state.conversation.turns.map(({ question }) => question),
    ["Other"],
    "edited",
  );
});

await run("MVP-14: an answer is made again from its record", async () => {
  const { page } = await start();
  await page.models.loadFile(FILE, false);
  await page.answers.ask("Hi");
  await page.answers.replay(page.state.conversation.turns[0].id);
  expect(page.state.notice.text.includes("all 3 tokens are the same"), page.state.notice.text);
  expectEqual(page.state.answering, null, "nothing is running");
});

await run("one answer at a time, none without a model, none to nothing", async () => {
  const { page, model } = await start();
  await page.answers.ask("Hi");
  expect(page.state.notice.text.includes("Load a model"), "no word of it");
  await page.models.loadFile(FILE, false);
  await page.answers.ask("  \n ");
  expectEqual(model.calls.length, 0, "questions asked");
  await Promise.all([page.answers.ask("A"), page.answers.ask("B")]);
  expectEqual(model.calls.length, 1, "questions asked at once");
});

await run("another conversation ends the answer first, and each keeps its own", async () => {
  const { page, model, database } = await start();
  await page.models.loadFile(FILE, false);
  model.script = ["x", "~"];
  const first = page.state.conversation.id;
  page.answers.ask("First");
  await new Promise((resolve) => setTimeout(resolve, 10));
  await page.newConversation();
  expectEqual(
    [page.state.conversation.turns.length, (await database.conversation(first)).turns[0].answer.state],
    [0, "stopped"],
    "after leaving",
  );
  await page.openConversation(first);
  expectEqual(last(page).text, "x", "after coming back");
  await page.deleteConversation(first);
  expectEqual(
    [page.state.conversations.length, await database.conversation(first), page.state.conversation.id === first],
    [0, undefined, false],
    "deleted",
  );
});

await run("figures of an answer", () => {
  const stats = measure({ began: 1000, first: 2000, ended: 6000, nToken: 9, nEvaluated: 50 });
  expectEqual(
    [stats.secondsToFirst, stats.promptPerSecond, stats.tokensPerSecond, stats.seconds],
    [1, 50, 2, 5],
    "figures",
  );
  const none = measure({ began: 1000, first: null, ended: 1100, nToken: 0, nEvaluated: 0 });
  expectEqual(
    [none.secondsToFirst, none.promptPerSecond, none.tokensPerSecond],
    [null, null, null],
    "figures of nothing",
  );
});

report.finish();
