// The state of the page, and how each event changes it. Pure: (state, event) -> state.

import { initialSettings } from "./settings.mjs";
import { newConversation, upTo, withAnswer, withTurn } from "./conversation.mjs";
import { advance } from "./progress.mjs";

export function initialState(conversation = newConversation("first", 0)) {
  return {
    // The model: none | loading | ready. While another one is loading, `info` is still that of the old one.
    model: { state: "none", name: null, info: null, progress: null, error: null },
    // Work of the store, by name: downloads and copies.
    transfers: [],
    store: { state: "unknown", entries: [], active: null, usage: null, error: null },
    served: [], // { name, address, bytes }: models that the host of the page offers
    capabilities: null,
    conversation,
    conversations: [], // { id, title, updated }, latest first
    answering: null, // { turn, nPrompt, nPromptDone }
    context: { used: 0, total: 0 },
    settings: initialSettings(),
    benchmark: { state: "idle", result: null, error: null },
    shell: { state: "unknown", offline: false, update: null, notes: [] },
    notice: null, // { kind: "error" | "info", text, action }
  };
}

const listed = ({ id, title, updated }) => ({ id, title, updated });

// The list with this conversation at its place; one that nobody has said anything in is not listed.
function withListed(conversations, conversation) {
  const others = conversations.filter(({ id }) => id !== conversation.id);
  const all = conversation.turns.length === 0 ? others : [...others, listed(conversation)];
  return all.sort((a, b) => b.updated - a.updated);
}

function withConversation(state, conversation) {
  return { ...state, conversation, conversations: withListed(state.conversations, conversation) };
}

function changeAnswer(state, event, change) {
  if (event.conversation !== state.conversation.id) return state;
  return { ...state, conversation: withAnswer(state.conversation, event.turn, change) };
}

const EVENTS = {
  // ---- the model -----------------------------------------------------------------------------------
  "model/loading": (state, { name }) => ({
    ...state,
    notice: null,
    model: { ...state.model, state: "loading", name, progress: null, error: null },
  }),
  "model/progress": (state, { progress, now }) => ({
    ...state,
    model: { ...state.model, progress: advance(state.model.progress, progress, now) },
  }),
  "model/ready": (state, { name, info }) => ({
    ...state,
    model: { state: "ready", name, info, progress: null, error: null },
    context: { used: 0, total: info.nCtx },
  }),
  // The model that was there before is still there, where `kept`.
  "model/failed": (state, { error, kept }) => ({
    ...state,
    model: {
      ...state.model,
      state: kept ? "ready" : "none",
      name: kept ? state.model.info.name : null,
      info: kept ? state.model.info : null,
      progress: null,
      error,
    },
  }),

  // ---- the store -----------------------------------------------------------------------------------
  "store/state": (state, { store }) => ({ ...state, store: { ...state.store, ...store } }),
  "served/known": (state, { models }) => ({ ...state, served: models }),
  "transfer/progress": (state, { name, progress, now }) => {
    const before = state.transfers.find((one) => one.name === name) ?? null;
    const next = { ...advance(before, progress, now), name };
    return { ...state, transfers: [...state.transfers.filter((one) => one.name !== name), next] };
  },
  "transfer/ended": (state, { name }) => ({ ...state, transfers: state.transfers.filter((one) => one.name !== name) }),

  // ---- conversations -------------------------------------------------------------------------------
  "conversations/listed": (state, { conversations }) => ({
    ...state,
    conversations: conversations.map(listed).sort((a, b) => b.updated - a.updated),
  }),
  "conversation/opened": (state, { conversation }) => withConversation(state, conversation),
  "conversation/deleted": (state, { id }) => ({
    ...state,
    conversations: state.conversations.filter((one) => one.id !== id),
  }),
  "conversation/system": (state, { system }) => withConversation(state, { ...state.conversation, system }),

  // ---- answers -------------------------------------------------------------------------------------
  // A question at the end, or in the place of turn `instead` and of all that came after it.
  "answer/asked": (state, { turn, question, answer, now, instead }) => {
    const before = instead === undefined ? state.conversation : upTo(state.conversation, instead);
    const next = withConversation(state, withTurn(before, turn, question, answer, now));
    return { ...next, answering: { turn, nPrompt: 0, nPromptDone: 0 }, notice: null };
  },
  "answer/prompt": (state, { nPrompt, nPromptDone }) =>
    state.answering === null ? state : { ...state, answering: { ...state.answering, nPrompt, nPromptDone } },
  "answer/text": (state, event) =>
    changeAnswer(state, event, (answer) => ({
      ...answer,
      text: answer.text + event.text,
      reasoning: answer.reasoning + event.reasoning,
      nToken: answer.nToken + event.nToken,
    })),
  "answer/ended": (state, event) => ({
    ...changeAnswer(state, event, (answer) => ({ ...answer, ...event.answer })),
    answering: null,
    context: event.used === null ? state.context : { ...state.context, used: event.used },
  }),

  "answer/replaying": (state, { turn }) => ({
    ...state,
    notice: null,
    answering: { turn, nPrompt: 0, nPromptDone: 0 },
  }),
  "answer/replayed": (state) => ({ ...state, answering: null }),

  // ---- the rest ------------------------------------------------------------------------------------
  "settings/changed": (state, { settings }) => ({ ...state, settings: { ...state.settings, ...settings } }),
  "capabilities/known": (state, { capabilities }) => ({ ...state, capabilities }),
  "benchmark/state": (state, { benchmark }) => ({ ...state, benchmark: { ...state.benchmark, ...benchmark } }),
  "shell/state": (state, { shell }) => ({ ...state, shell: { ...state.shell, ...shell } }),
  "notice/shown": (state, { kind, text, action = null }) => ({ ...state, notice: { kind, text, action } }),
  "notice/closed": (state) => ({ ...state, notice: null }),
};

export function reduce(state, event) {
  const change = EVENTS[event.type];
  if (change === undefined) throw new Error(`there is no event ${event.type}`);
  return change(state, event);
}

// Holds the state and tells who listens. Events of one task are told of once.
export class StateHolder {
  #state;
  #listeners = new Set();
  #told = true;

  constructor(state = initialState()) {
    this.#state = state;
  }
  get state() {
    return this.#state;
  }
  dispatch = (event) => {
    this.#state = reduce(this.#state, event);
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const listener of this.#listeners) listener(this.#state);
    });
  };
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
