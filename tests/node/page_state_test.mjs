// The state of the page: settings, conversations, transcripts, progress, and what each event changes.

import {
  messagesFor,
  newAnswer,
  newConversation,
  readConversation,
  titleOf,
  transcriptJson,
  transcriptMarkdown,
  transcriptName,
  upTo,
  withAnswer,
  withTurn,
} from "../../web/page/src/state/conversation.mjs";
import { capabilityRows } from "../../web/page/src/state/capability_rows.mjs";
import { advance, formatBytes, formatProgress, formatSeconds } from "../../web/page/src/state/progress.mjs";
import { initialState, reduce, StateHolder } from "../../web/page/src/state/reducer.mjs";
import {
  answerOptions,
  initialSettings,
  loadOptions,
  parseSetting,
  readSettings,
  SETTINGS,
} from "../../web/page/src/state/settings.mjs";
import { readFileSync } from "node:fs";
import { expect, expectEqual, WebReport } from "../web/report.mjs";

const report = new WebReport();
const run = (name, test) => report.run(name, test);
const events = (state, ...list) => list.reduce(reduce, state);

// ---- settings --------------------------------------------------------------------------------------

await run("settings have the names and standard values of the command line", () => {
  const table = readFileSync(new URL("../../core/chat/settings_table.cpp", import.meta.url), "utf8").replace(
    /"\s*\n\s*"/g,
    "",
  );
  for (const { key, initial } of SETTINGS) {
    const row = new RegExp(`"${key}",[^}]*?"(-?[\\d.]+)"`).exec(table);
    expect(row !== null, `${key} is no setting of core/chat`);
    expectEqual(Number(row[1]), initial, `the standard of ${key}`);
  }
});

await run("a setting takes numbers in its range and says what is wrong with others", () => {
  expectEqual(parseSetting("temp", " 0.5 "), { value: 0.5 }, "temp");
  expectEqual(parseSetting("seed", "-1"), { value: -1 }, "seed");
  expectEqual(parseSetting("kv", "q8_0"), { value: "q8_0" }, "kv");
  for (const [key, text] of [
    ["temp", ""],
    ["temp", "x"],
    ["temp", "-1"],
    ["temp", "NaN"],
    ["temp", "1e999"],
    ["top_k", "1.5"],
    ["top_p", "0"],
    ["top_p", "1.01"],
    ["seed", "-2"],
    ["kv", "f8"],
    ["nothing", "1"],
  ]) {
    expect(parseSetting(key, text).error?.includes(key), `${key} takes ${JSON.stringify(text)}`);
  }
});

await run("kept settings that are wrong or missing are as at first", () => {
  expectEqual(
    readSettings({ temp: 0.1, top_p: "no", top_k: null, strange: 1 }),
    { ...initialSettings(), temp: 0.1 },
    "settings",
  );
  for (const kept of [null, undefined, 5, "x", []]) expectEqual(readSettings(kept), initialSettings(), String(kept));
});

await run("MVP-14: options carry every setting, and a seed that was drawn", () => {
  const options = answerOptions({ ...initialSettings(), temp: 0, seed: 7 }, () => 1);
  expectEqual(
    [
      options.temperature,
      options.topK,
      options.topP,
      options.minP,
      options.repeatPenalty,
      options.repeatLastN,
      options.noRepeatNgram,
      options.maxTokens,
      options.seed,
    ],
    [0, 40, 0.95, 0.05, 1, 64, 0, 512, 7],
    "options",
  );
  expectEqual(answerOptions({ ...initialSettings(), seed: -1 }, () => 42).seed, 42, "the drawn seed");
  expectEqual(loadOptions(initialSettings()), { nCtx: 0, kv: "f16", backend: "auto", threads: "auto" }, "load options");
});

// ---- conversations ---------------------------------------------------------------------------------

function answered(text, more = {}) {
  return { ...newAnswer({ seed: 3 }, { name: "m.gguf", sha256: "00" }), text, state: "done", ...more };
}
function talk() {
  const one = withTurn(newConversation("c", 1000, "Be brief."), "t1", "First?\nmore", answered("One."), 2000);
  return withTurn(one, "t2", "Second?", answered("", { state: "failed", error: "no" }), 3000);
}

await run("a conversation is titled by the first line of its first question", () => {
  expectEqual(talk().title, "First?", "title");
  expectEqual([...titleOf("\u{1f600}".repeat(100))].length, 60, "characters of a long title");
});

await run("messages are the turns with an answer, and the question", () => {
  const conversation = withTurn(talk(), "t3", "Third?", null, 4000);
  expectEqual(
    messagesFor(conversation, "t3"),
    [
      { role: "system", content: "Be brief." },
      { role: "user", content: "First?\nmore" },
      { role: "assistant", content: "One." },
      { role: "user", content: "Third?" },
    ],
    "messages of the third turn",
  );
  expectEqual(messagesFor(conversation, "t1").at(-1).content, "First?\nmore", "the question of the first turn");
  expectEqual(
    upTo(conversation, "t2").turns.map(({ id }) => id),
    ["t1"],
    "turns before the second",
  );
  expectEqual(upTo(conversation, "none"), conversation, "turns before one that is not there");
});

await run("what was kept is read back; what is no conversation is not", () => {
  const conversation = talk();
  expectEqual(readConversation(structuredClone(conversation)), conversation, "the conversation");
  const running = withAnswer(conversation, "t1", (answer) => ({ ...answer, state: "running" }));
  expectEqual(readConversation(running).turns[0].answer.state, "stopped", "an answer that was in the making");
  for (const wrong of [null, 5, {}, { id: 1, turns: [] }, { id: "x" }])
    expectEqual(readConversation(wrong), null, JSON.stringify(wrong));
  expectEqual(
    readConversation({ id: "x", turns: [{ id: "t" }, 3, { id: "t", question: "q", answer: {} }] }).turns,
    [{ id: "t", question: "q", answer: null }],
    "turns",
  );
});

await run("MVP-14: a transcript has every run record, as Markdown and as JSON", () => {
  const conversation = withAnswer(talk(), "t1", (answer) => ({
    ...answer,
    text: "Look:\n```\nx\n```",
    record: { run_id: "r1", seed: 7n },
  }));
  const markdown = transcriptMarkdown(conversation);
  for (const part of [
    "# First?",
    "Be brief.",
    "## Question",
    "## Answer",
    '"run_id": "r1"',
    '"seed": "7"',
    "(failed: no)",
  ]) {
    expect(markdown.includes(part), `no ${part} in\n${markdown}`);
  }
  const json = JSON.parse(transcriptJson(conversation));
  expectEqual(
    [json.format, json.version, json.turns.length, json.turns[0].answer.record.run_id],
    ["lbm-transcript", 1, 2, "r1"],
    "JSON",
  );
  expectEqual(
    transcriptName({ title: '../What is\u0000 "this"? A B C D E' }, "md"),
    "what-is-this-a-b-c.md",
    "a file's name",
  );
  expectEqual(transcriptName({ title: "???" }, "json"), "conversation.json", "a name without letters");
});

// ---- progress --------------------------------------------------------------------------------------

await run("progress has a rate and the time that is left", () => {
  let progress = null;
  for (let i = 0; i <= 10; ++i) progress = advance(progress, { phase: "load", done: i * 1e6, total: 40e6 }, i * 100);
  expectEqual([Math.round(progress.bytesPerSecond), progress.secondsLeft], [10e6, 3], "rate and time");
  expectEqual(formatProgress(progress), "10.0 MB of 40.0 MB, 10.0 MB/s, 3.0 s left", "text");
  const next = advance(progress, { phase: "verify", done: 0, total: 40e6 }, 1100);
  expectEqual([next.bytesPerSecond, next.secondsLeft], [null, null], "another phase begins anew");
  expectEqual(
    advance(null, { phase: "x", done: 5, total: 10, bytesPerSecond: 5 }, 0).secondsLeft,
    1,
    "a rate that is told",
  );
});

await run("quantities as people read them", () => {
  expectEqual(
    [0, 999, 1000, 98362432, 999999, 2.5e9, NaN].map(formatBytes),
    ["0 B", "999 B", "1.0 kB", "98.4 MB", "1.0 MB", "2.5 GB", "unknown size"],
    "bytes",
  );
  expectEqual(
    [0.25, 3.21, 59.4, 61, 7300].map(formatSeconds),
    ["250 ms", "3.2 s", "59 s", "1 min 1 s", "2 h 1 min"],
    "seconds",
  );
});

// ---- capabilities ----------------------------------------------------------------------------------

await run("MVP-33: each thing that is missing has a reason and what helps", () => {
  const none = {
    simd: false,
    relaxedSimd: false,
    sharedMemory: false,
    webgpu: false,
    opfs: false,
    hardwareConcurrency: 4,
    maxModelBytes: 2 ** 31,
    deviceMemoryGiB: null,
  };
  for (const secure of [true, false]) {
    const rows = capabilityRows(none, { secure });
    expectEqual(
      rows.map(({ name }) => name),
      ["WebAssembly SIMD", "Relaxed SIMD", "Threads", "WebGPU", "Storage (OPFS)", "Memory", "Largest model"],
      "rows",
    );
    for (const { name, has, why, help } of rows) expect(has || (why && help), `${name} has no reason or help`);
  }
  const all = {
    ...none,
    simd: true,
    relaxedSimd: true,
    sharedMemory: true,
    webgpu: true,
    opfs: true,
    deviceMemoryGiB: 16,
  };
  const f16 = capabilityRows(all, { adapter: { features: new Set(["shader-f16"]) } });
  expect(
    f16.every(({ has }) => has),
    "something is missing where nothing is",
  );
  expectEqual(
    capabilityRows(all, { adapter: null })
      .filter(({ has }) => !has)
      .map(({ name }) => name),
    ["WebGPU adapter"],
    "no adapter",
  );
});

// ---- events ----------------------------------------------------------------------------------------

const READY = { type: "model/ready", name: "m", info: { name: "m", nCtx: 4096 } };
const ASKED = { type: "answer/asked", turn: "t1", question: "Q", answer: newAnswer({}, null), now: 5 };

await run("a model that could not be loaded leaves the one before", () => {
  const state = events(initialState(), READY, { type: "model/loading", name: "other" });
  expectEqual([state.model.state, state.model.info.name], ["loading", "m"], "while loading");
  const kept = reduce(state, { type: "model/failed", error: "bad", kept: true });
  expectEqual([kept.model.state, kept.model.name, kept.model.error], ["ready", "m", "bad"], "kept");
  const lost = reduce(state, { type: "model/failed", error: "bad", kept: false });
  expectEqual([lost.model.state, lost.model.info], ["none", null], "lost");
});

await run("MVP-35: an answer grows, ends, and belongs to its conversation alone", () => {
  const asked = events(initialState(newConversation("c", 0)), READY, ASKED);
  expectEqual([asked.answering.turn, asked.conversations.map(({ id }) => id)], ["t1", ["c"]], "asked");
  const text = (conversation, part) => ({
    type: "answer/text",
    conversation,
    turn: "t1",
    text: part,
    reasoning: "",
    nToken: 1,
  });
  const grown = events(asked, text("c", "Hel"), text("other", "no"), text("c", "lo"));
  expectEqual(
    [grown.conversation.turns[0].answer.text, grown.conversation.turns[0].answer.nToken],
    ["Hello", 2],
    "text",
  );
  const ended = reduce(grown, {
    type: "answer/ended",
    conversation: "c",
    turn: "t1",
    used: 30,
    answer: { state: "done", stop: "eog" },
  });
  expectEqual(
    [ended.answering, ended.context, ended.conversation.turns[0].answer.state],
    [null, { used: 30, total: 4096 }, "done"],
    "ended",
  );
  const again = reduce(ended, { ...ASKED, turn: "t2", instead: "t1" });
  expectEqual(
    again.conversation.turns.map(({ id }) => id),
    ["t2"],
    "asked again",
  );
  expect(
    grown.conversation.turns[0].answer.text === "Hello" && asked.conversation.turns[0].answer.text === "",
    "an earlier state was changed",
  );
});

await run("the list of conversations is by time, and has none that is empty", () => {
  const state = events(initialState(newConversation("c", 0)), {
    type: "conversations/listed",
    conversations: [
      { id: "a", title: "A", updated: 1 },
      { id: "b", title: "B", updated: 9 },
    ],
  });
  expectEqual(
    state.conversations.map(({ id }) => id),
    ["b", "a"],
    "listed",
  );
  const opened = reduce(state, { type: "conversation/opened", conversation: newConversation("d", 0) });
  expectEqual(
    opened.conversations.map(({ id }) => id),
    ["b", "a"],
    "with an empty one open",
  );
  expectEqual(
    reduce(opened, ASKED).conversations.map(({ id }) => id),
    ["b", "d", "a"],
    "after its first question",
  );
  expectEqual(
    reduce(state, { type: "conversation/deleted", id: "b" }).conversations.map(({ id }) => id),
    ["a"],
    "deleted",
  );
});

await run("an event that there is none of is an error", () => {
  let message = "";
  try {
    reduce(initialState(), { type: "model/raedy" });
  } catch (error) {
    message = error.message;
  }
  expect(message.includes("model/raedy"), "no error");
});

await run("listeners are told once of the events of one task", async () => {
  const holder = new StateHolder();
  let n = 0;
  const stop = holder.subscribe(() => ++n);
  for (let i = 0; i < 100; ++i) holder.dispatch({ type: "notice/shown", kind: "info", text: `${i}` });
  expectEqual(holder.state.notice.text, "99", "the state is that of the last event at once");
  await new Promise((resolve) => setTimeout(resolve, 0));
  expectEqual(n, 1, "times told");
  stop();
  holder.dispatch({ type: "notice/closed" });
  await new Promise((resolve) => setTimeout(resolve, 0));
  expectEqual(n, 1, "times told after leaving");
});

report.finish();
