// Conversations as plain data: a system prompt, and turns of a question and its answer. Pure functions.
//
//   conversation  { id, title, created, updated, system, turns }
//   turn          { id, question, answer }        answer: null until one is asked for
//   answer        { text, reasoning, state, stop, error, nToken, stats, settings, model, record }
//                 state: running | done | stopped | failed

const MAX_TITLE = 60;
const FORMAT = 1;

export function newConversation(id, now, system = "") {
  return { id, title: "", created: now, updated: now, system, turns: [] };
}

// The first line of a question, for a list.
export function titleOf(question) {
  const line = question.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  const characters = [...line];
  return characters.length <= MAX_TITLE ? line : `${characters.slice(0, MAX_TITLE - 1).join("")}\u2026`;
}

export function newAnswer(settings, model) {
  return {
    text: "",
    reasoning: "",
    state: "running",
    stop: null,
    error: null,
    nToken: 0,
    stats: null,
    settings,
    model,
    record: null,
  };
}

// A conversation with one more turn, whose answer is about to come.
export function withTurn(conversation, id, question, answer, now) {
  return {
    ...conversation,
    title: conversation.title || titleOf(question),
    updated: now,
    turns: [...conversation.turns, { id, question, answer }],
  };
}

// Without the turn `id` and those after it.
export function upTo(conversation, id) {
  const at = conversation.turns.findIndex((turn) => turn.id === id);
  return at < 0 ? conversation : { ...conversation, turns: conversation.turns.slice(0, at) };
}

// With the answer of the turn `id` as `change` makes it of what it was.
export function withAnswer(conversation, id, change) {
  const turns = conversation.turns.map((turn) => (turn.id === id ? { ...turn, answer: change(turn.answer) } : turn));
  return { ...conversation, turns };
}

// What generate() takes to answer the turn `id`: turns without an answer are left out.
export function messagesFor(conversation, id) {
  const messages = [];
  if (conversation.system.trim() !== "") messages.push({ role: "system", content: conversation.system });
  for (const turn of conversation.turns) {
    if (turn.id === id) return [...messages, { role: "user", content: turn.question }];
    if (!turn.answer || turn.answer.text.trim() === "") continue;
    messages.push({ role: "user", content: turn.question }, { role: "assistant", content: turn.answer.text });
  }
  throw new Error(`the conversation has no turn ${id}`);
}

// What was kept, as it can be shown: an answer that was in the making when the page went away has stopped.
export function readConversation(kept) {
  if (typeof kept?.id !== "string" || !Array.isArray(kept.turns)) return null;
  const turns = kept.turns
    .filter((turn) => typeof turn?.id === "string" && typeof turn.question === "string")
    .map((turn) => {
      const { answer } = turn;
      if (typeof answer?.text !== "string") return { id: turn.id, question: turn.question, answer: null };
      const state = answer.state === "running" ? "stopped" : answer.state;
      return { id: turn.id, question: turn.question, answer: { ...newAnswer({}, null), ...answer, state } };
    });
  const text = (value) => (typeof value === "string" ? value : "");
  const time = (value) => (Number.isFinite(value) ? value : 0);
  return {
    id: kept.id,
    title: text(kept.title),
    created: time(kept.created),
    updated: time(kept.updated),
    system: text(kept.system),
    turns,
  };
}

// ---- transcripts ---------------------------------------------------------------------------------

// A fence that is longer than any run of backticks in the text.
function fenced(text, language = "") {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

export function transcriptMarkdown(conversation) {
  const parts = [`# ${conversation.title || "Conversation"}`, `${new Date(conversation.created).toISOString()}`];
  if (conversation.system.trim() !== "") parts.push("## System prompt", conversation.system);
  for (const { question, answer } of conversation.turns) {
    parts.push("## Question", question);
    if (answer === null) continue;
    parts.push("## Answer");
    if (answer.reasoning !== "") parts.push("Reasoning:", fenced(answer.reasoning, "text"));
    parts.push(answer.text);
    if (answer.state !== "done") parts.push(`(${answer.state}${answer.error ? `: ${answer.error}` : ""})`);
    const facts = { model: answer.model, settings: answer.settings, stop: answer.stop, ...(answer.record ?? {}) };
    parts.push("Run record:", fenced(JSON.stringify(facts, stringable, 1), "json"));
  }
  return `${parts.join("\n\n")}\n`;
}

export function transcriptJson(conversation) {
  return `${JSON.stringify({ format: "lbm-transcript", version: FORMAT, ...conversation }, stringable, 1)}\n`;
}

// Whole numbers of 64 bits as text.
function stringable(key, value) {
  return typeof value === "bigint" ? value.toString() : value;
}

// A name for the file of a transcript.
export function transcriptName(conversation, ending) {
  const words = (conversation.title.toLowerCase().match(/[a-z0-9]+/g) ?? []).slice(0, 6).join("-");
  return `${words || "conversation"}.${ending}`;
}
