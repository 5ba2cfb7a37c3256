// The settings of an answer: names, ranges and meanings are those of the command line and of repl.cfg
// (core/chat/settings_table.cpp); `option` is the name in the JavaScript API.

const MAX_U32 = 0xffffffff;

export const SETTINGS = [
  {
    key: "temp",
    option: "temperature",
    label: "Temperature",
    kind: "real",
    low: 0,
    high: 100,
    step: 0.05,
    initial: 0.8,
    help: "0 is greedy: always the likeliest token.",
  },
  {
    key: "top_k",
    option: "topK",
    label: "Top k",
    kind: "integer",
    low: 0,
    high: MAX_U32,
    step: 1,
    initial: 40,
    help: "Only the k likeliest tokens; 0: all.",
  },
  {
    key: "top_p",
    option: "topP",
    label: "Top p",
    kind: "real",
    low: 0.001,
    high: 1,
    step: 0.01,
    initial: 0.95,
    help: "Only the likeliest tokens that together have this probability; 1: all.",
  },
  {
    key: "min_p",
    option: "minP",
    label: "Min p",
    kind: "real",
    low: 0,
    high: 1,
    step: 0.01,
    initial: 0.05,
    help: "Only tokens at least this likely, relative to the likeliest; 0: all.",
  },
  {
    key: "repeat_penalty",
    option: "repeatPenalty",
    label: "Repeat penalty",
    kind: "real",
    low: 0.01,
    high: 100,
    step: 0.05,
    initial: 1,
    help: "Divides the logits of recent tokens; 1: off.",
  },
  {
    key: "repeat_last_n",
    option: "repeatLastN",
    label: "Repeat window",
    kind: "integer",
    low: 0,
    high: 4096,
    step: 1,
    initial: 64,
    help: "How many recent tokens the penalty looks at.",
  },
  {
    key: "no_repeat_ngram",
    option: "noRepeatNgram",
    label: "No repeated run",
    kind: "integer",
    low: 0,
    high: 64,
    step: 1,
    initial: 0,
    help: "No run of so many tokens comes twice in one answer; 0: off.",
  },
  {
    key: "max_tokens",
    option: "maxTokens",
    label: "Most tokens",
    kind: "integer",
    low: 0,
    high: MAX_U32,
    step: 1,
    initial: 512,
    help: "Of an answer; 0: until the context is full.",
  },
  {
    key: "seed",
    option: "seed",
    label: "Seed",
    kind: "integer",
    low: -1,
    high: Number.MAX_SAFE_INTEGER,
    step: 1,
    initial: 0,
    help: "Same seed, same text, on every machine; -1: another one each time, which is kept with the answer.",
  },
];

// Settings that a model is loaded with; a change holds from the next load on.
export const LOAD_SETTINGS = [
  {
    key: "ctx",
    option: "nCtx",
    label: "Context",
    kind: "integer",
    low: 0,
    high: MAX_U32,
    step: 256,
    initial: 0,
    help: "Tokens of context; 0: what the model was trained for, at most 4096.",
  },
  {
    key: "kv",
    option: "kv",
    label: "KV cache",
    kind: "choice",
    choices: ["f16", "f32", "q8_0"],
    initial: "f16",
    help: "Type of the cache; q8_0 takes half of the memory of f16.",
  },
  {
    key: "threads",
    option: "threads",
    label: "Threads",
    kind: "integer",
    low: 0,
    high: 64,
    step: 1,
    initial: 0,
    help: "0: as many as this machine has cores for.",
  },
  {
    key: "backend",
    option: "backend",
    label: "Backend",
    kind: "choice",
    choices: ["auto", "wasm", "webgpu"],
    initial: "auto",
    help: "auto takes WebGPU where it is there and faster; wasm has the same bits everywhere.",
  },
];

const ALL = [...SETTINGS, ...LOAD_SETTINGS];

export function initialSettings() {
  return Object.fromEntries(ALL.map(({ key, initial }) => [key, initial]));
}

// { value } of what a person typed for a setting, or { error }: a sentence.
export function parseSetting(key, text) {
  const row = ALL.find((one) => one.key === key);
  if (row === undefined) return { error: `there is no setting ${key}` };
  if (row.kind === "choice") {
    return row.choices.includes(text) ? { value: text } : { error: `${key} is one of ${row.choices.join(", ")}` };
  }
  const trimmed = String(text).trim();
  const value = Number(trimmed);
  if (trimmed === "" || !Number.isFinite(value)) return { error: `${key} needs a number` };
  if (row.kind === "integer" && !Number.isInteger(value)) return { error: `${key} needs a whole number` };
  if (value < row.low || value > row.high) return { error: `${key} is from ${row.low} to ${row.high}` };
  return { value };
}

// What was kept, with whatever is wrong or missing as it was at first.
export function readSettings(kept) {
  const settings = initialSettings();
  for (const { key } of ALL) {
    if (kept === null || typeof kept !== "object" || !Object.hasOwn(kept, key)) continue;
    const { value, error } = parseSetting(key, kept[key]);
    if (error === undefined) settings[key] = value;
  }
  return settings;
}

function options(rows, settings) {
  return Object.fromEntries(rows.map(({ key, option }) => [option, settings[key]]));
}

// The options of generate(); `draw` gives a seed where the setting says so.
export function answerOptions(settings, draw) {
  const result = options(SETTINGS, settings);
  if (result.seed === -1) result.seed = draw();
  return result;
}

// The options of createModel().
export function loadOptions(settings) {
  const { threads, ...result } = options(LOAD_SETTINGS, settings);
  return { ...result, threads: threads === 0 ? "auto" : threads };
}
