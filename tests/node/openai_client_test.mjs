// The official JavaScript client of the OpenAI interface (npm package openai), as it is, against `lbm serve`.
//   node tests/node/openai_client_test.mjs --lbm build/lbm --model FILE
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { TestReport } from "./module.mjs";

const { values } = parseArgs({
  options: { lbm: { type: "string" }, model: { type: "string" } },
  strict: false,
  allowPositionals: true,
});
const report = new TestReport();

async function loadClient() {
  try {
    return (await import(new URL("../../web/node_modules/openai/index.mjs", import.meta.url))).default;
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return null;
  }
}

// A server on a port that it chose itself; ready when it says its address.
async function startServer() {
  const child = spawn(values.lbm, ["serve", "-q", "-m", values.model, "--port", "0", "-c", "1024", "--slots", "2"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const address = await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    child.once("exit", (code) => reject(new Error(`lbm serve ended with ${code}`)));
  });
  return {
    address,
    stop: () => new Promise((resolve) => {
      child.once("exit", resolve);
      child.kill("SIGINT");
    }),
  };
}

const QUESTION = [{ role: "user", content: "What is the capital of France?" }];
const ASKED = { model: "lbm", messages: QUESTION, temperature: 0, max_tokens: 24 };
const TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 20 } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

async function testAll(OpenAI, server) {
  const client = new OpenAI({ baseURL: `${server.address}/v1`, apiKey: "none", maxRetries: 0 });
  const whole = await client.chat.completions.create(ASKED);
  await report.runAsync("models", async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.equal(ids.length, 1);
  });
  await report.runAsync("a chat", async () => {
    assert.match(whole.choices[0].message.content, /Paris/);
    assert.equal(whole.choices[0].finish_reason, "stop");
  });
  await report.runAsync("a chat streams the same words", async () => {
    let text = "";
    let reason = null;
    for await (const piece of await client.chat.completions.create({ ...ASKED, stream: true })) {
      text += piece.choices[0].delta.content ?? "";
      reason = piece.choices[0].finish_reason ?? reason;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(reason, "stop");
  });
  await report.runAsync("a stream that is left frees its slot", async () => {
    for (let i = 0; i < 3; ++i) {
      const stream = await client.chat.completions.create({ ...ASKED, temperature: 1, max_tokens: 900, stream: true });
      for await (const piece of stream) {
        if (piece.choices[0].delta.content) break;
      }
    }
    assert.equal((await client.chat.completions.create(ASKED)).choices[0].message.content, whole.choices[0].message.content);
  });
  await report.runAsync("completions", async () => {
    const asked = { model: "lbm", prompt: "The capital of France is", temperature: 0, max_tokens: 4, logprobs: 1 };
    const text = await client.completions.create(asked);
    assert.match(text.choices[0].text, /Paris/);
    assert.equal(text.choices[0].logprobs.tokens.length, 4);
  });
  await report.runAsync("embeddings", async () => {
    const { data } = await client.embeddings.create({ model: "lbm", input: ["a cat", "a dog"] });
    const length = Math.hypot(...data[0].embedding);
    assert.ok(Math.abs(length - 1) < 1e-4, `length ${length}`);
    assert.equal(data[0].embedding.length, data[1].embedding.length);
  });
  await report.runAsync("errors are those of the client", async () => {
    await assert.rejects(client.chat.completions.create({ ...ASKED, temperature: -1 }), (error) =>
      error instanceof OpenAI.BadRequestError && error.param === "temperature");
    await assert.rejects(client.chat.completions.create({ ...ASKED, messages: [] }), OpenAI.BadRequestError);
  });
  await report.runAsync("a tool is called", async () => {
    const asked = { ...ASKED, messages: [{ role: "user", content: "What is the weather in Paris?" }], max_tokens: 80 };
    const { choices } = await client.chat.completions.create({ ...asked, tools: [TOOL], tool_choice: "required" });
    assert.equal(choices[0].finish_reason, "tool_calls");
    assert.match(JSON.parse(choices[0].message.tool_calls[0].function.arguments).city, /Paris/);
  });
  await report.runAsync("an answer has the form of a schema", async () => {
    const schema = { type: "object", properties: { yes: { type: "boolean" } }, required: ["yes"], additionalProperties: false };
    const format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
    const { choices } = await client.chat.completions.create({ ...ASKED, response_format: format });
    assert.equal(typeof JSON.parse(choices[0].message.content).yes, "boolean");
  });
}

const OpenAI = await loadClient();
if (OpenAI === null) {
  console.log("skipped: the npm package openai is not there (make web)");
} else if (!values.lbm || !values.model || !existsSync(values.model)) {
  console.log("skipped: needs --lbm and --model");
} else {
  const server = await startServer();
  try {
    await testAll(OpenAI, server);
  } finally {
    await report.runAsync("the server ends when it is asked to", async () => assert.equal(await server.stop(), 130));
  }
}
if (OpenAI === null || !values.lbm || !values.model) report.run("nothing to do", () => {});
report.finish();
