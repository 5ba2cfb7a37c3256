// Runs in a page: calls of the JavaScript API whose results can be sent to the test.

import { capabilities, createModel, loadTokenizer } from "/lib/lbm.mjs";
import { GapWatch } from "./gap_watch.mjs";

// What `work` gives, and how long this thread could not do anything else while it was under way.
async function withGaps(work) {
  const watch = new GapWatch();
  try {
    return { ...(await work()), gaps: watch.end() };
  } finally {
    watch.end();
  }
}

async function collect(answer, onToken = () => {}) {
  const ids = [];
  let text = "";
  for (;;) {
    const { done, value } = await answer.next();
    if (done) {
      const record = answer.record === undefined ? null : await answer.record;
      return { ids, text, ...value, record };
    }
    if (value.id !== null) ids.push(value.id);
    text += value.text;
    await onToken(ids.length);
  }
}

function plain(value) {
  return JSON.parse(JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one)));
}

// Loads a model and answers once for each of `inputs`, a list of [input, settings].
export async function answerAll({ source, load = {}, inputs }) {
  const started = performance.now();
  const model = await createModel(source, load);
  const loadMs = performance.now() - started;
  try {
    const answers = [];
    for (const [input, settings] of inputs) {
      answers.push(await withGaps(() => collect(model.generate(input, settings))));
    }
    return plain({ loadMs, answers, diagnostics: await model.diagnostics(), capabilities: await capabilities() });
  } finally {
    await model.free();
  }
}

// Stops an answer after `nTokens`, then answers again: { ids, nAfterAbort, error, again, fresh }.
export async function answerAborted({ source, load = {}, input, settings, nTokens }) {
  const model = await createModel(source, load);
  try {
    const fresh = await collect(model.generate(input, settings));
    await model.reset();
    const abort = new AbortController();
    const ids = [];
    let error = null;
    try {
      for await (const { id } of model.generate(input, { ...settings, signal: abort.signal })) {
        if (id !== null) ids.push(id);
        if (ids.length === nTokens) abort.abort();
      }
    } catch (caught) {
      error = caught.name;
    }
    const { answer } = await model.diagnostics();
    const again = await collect(model.generate(input, settings));
    return plain({ ids, error, nOutput: answer?.n_output ?? null, again, fresh });
  } finally {
    await model.free();
  }
}

// Ids of texts by a tokenizer alone, and the texts of these ids.
export async function encodeAll({ source, load = {}, texts, encode = {} }) {
  const tokenizer = await loadTokenizer(source, load);
  try {
    const ids = await tokenizer.encode(texts, encode);
    const again = await tokenizer.decode(ids);
    return { ids: ids.map((one) => [...one]), texts: again, version: tokenizer.version };
  } finally {
    await tokenizer.free();
  }
}

export async function whatThereIs() {
  return plain(await capabilities());
}
