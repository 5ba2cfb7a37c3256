// Answers: asks the model, brings its tokens to the page once per frame, and keeps what came of it.

import { messagesFor, newAnswer } from "../state/conversation.mjs";
import { answerOptions } from "../state/settings.mjs";

const FRAME_MS = 16;
const CONTEXT_FULL = 23; // ErrorCode::kContextFull, core/base/error.h

// Rates and times of an answer, from the page's clock.
export function measure({ began, first, ended, nToken, nEvaluated }) {
  const answering = first === null ? 0 : (ended - first) / 1000;
  const waiting = first === null ? null : (first - began) / 1000;
  return {
    nToken,
    nPrompt: nEvaluated,
    secondsToFirst: waiting,
    seconds: (ended - began) / 1000,
    promptPerSecond: waiting > 0 && nEvaluated > 0 ? nEvaluated / waiting : null,
    tokensPerSecond: nToken > 1 && answering > 0 ? (nToken - 1) / answering : null,
  };
}

export class Answers {
  #page;
  #abort = null;
  #ended = Promise.resolve();

  constructor(page) {
    this.#page = page;
  }

  get running() {
    return this.#abort !== null;
  }

  ask(question) {
    return this.#begin(question);
  }
  // The same question once more. A fixed seed would give the same answer, so the next one is taken.
  again(turn) {
    const { answer, question } = this.#turn(turn);
    const seed = answer?.settings?.seed;
    const options = seed === undefined || this.#page.state.settings.seed === -1 ? {} : { seed: Number(seed) + 1 };
    return this.#begin(question, { instead: turn, ...options });
  }
  // Another question in the place of one that was asked.
  edit(turn, question) {
    return this.#begin(question, { instead: turn });
  }
  // Makes an answer again from its record, and tells whether every token is the same.
  async replay(turn) {
    const record = this.#turn(turn)?.answer?.record;
    const { model } = this.#page;
    if (!record || model?.replay === undefined || this.running || this.#page.state.model.state !== "ready") return;
    const abort = (this.#abort = new AbortController());
    this.#page.dispatch({ type: "answer/replaying", turn });
    try {
      this.#page.tell(replayText(await model.replay(record, { signal: abort.signal }), record));
    } catch (error) {
      if (error.name !== "AbortError") this.#page.complain(error.message);
      await this.#page.models.checkEngine();
    } finally {
      this.#abort = null;
      this.#page.dispatch({ type: "answer/replayed" });
    }
  }
  // Resolves when what was said is kept.
  stop() {
    this.#abort?.abort();
    return this.#ended;
  }

  #begin(question, changes) {
    if (this.running) return this.#ended;
    return (this.#ended = this.#answer(question, changes));
  }

  #turn(id) {
    return this.#page.state.conversation.turns.find((turn) => turn.id === id);
  }

  async #answer(question, { instead, ...changes } = {}) {
    const { dispatch } = this.#page;
    const model = this.#page.model;
    if (question.trim() === "") return;
    if (model === null || this.#page.state.model.state !== "ready") {
      this.#page.complain("Load a model first.");
      return;
    }
    const abort = (this.#abort = new AbortController());
    const settings = { ...answerOptions(this.#page.state.settings, this.#page.drawSeed), ...changes };
    const turn = this.#page.newId();
    const { name, sha256 } = this.#page.state.model.info;
    dispatch({
      type: "answer/asked",
      turn,
      question,
      instead,
      now: Date.now(),
      answer: newAnswer(settings, { name, sha256 }),
    });
    const conversation = this.#page.state.conversation.id;
    const answer = await this.#run(model, { conversation, turn, settings, signal: abort.signal });
    const diagnostics = await Promise.resolve(model.diagnostics()).catch(() => null);
    this.#abort = null;
    dispatch({ type: "answer/ended", conversation, turn, answer, used: diagnostics?.model?.n_past ?? null });
    if (answer.state === "failed") await this.#page.models.checkEngine();
    await this.#page.keep();
  }

  // What the answer has become: its state, reason to stop, figures and record.
  async #run(model, { conversation, turn, settings, signal }) {
    const { dispatch, now } = this.#page;
    const times = { began: now(), first: null, ended: 0, nToken: 0, nEvaluated: 0 };
    let state = null;
    const show = this.#frames((text) => dispatch({ type: "answer/text", conversation, turn, ...text }));
    const stream = model.generate(messagesFor(this.#page.state.conversation, turn), {
      ...settings,
      signal,
      onPrompt: (progress) => {
        dispatch({ type: "answer/prompt", nPrompt: progress.n_prompt, nPromptDone: progress.n_prompt_done });
      },
    });
    const record = Promise.resolve(stream.record ?? null).catch(() => null);
    let end = { state: "done", error: null };
    try {
      for (;;) {
        const { done, value } = await stream.next();
        if (done) {
          state = value ?? null;
          break;
        }
        times.first ??= now();
        if (value.id !== null) ++times.nToken;
        show.add(value);
      }
    } catch (error) {
      end = error.name === "AbortError" ? { state: "stopped", error: null } : { state: "failed", error: advice(error) };
    }
    times.ended = now();
    show.flush();
    times.nEvaluated = state?.n_evaluated ?? 0;
    return {
      ...end,
      stop: state?.stop ?? (end.state === "stopped" ? "interrupted" : null),
      stats: measure(times),
      record: await record,
    };
  }

  // Gathers text until the next frame: however fast tokens come, the page is drawn once per frame. Where drawing
  // takes long (a list of a thousand lines), frames are left out, so that the page has two thirds of its time
  // for other things.
  #frames(show) {
    const { now, nextFrame } = this.#page;
    let text = "";
    let reasoning = "";
    let nToken = 0;
    let waiting = false;
    let costMs = 0;
    const flush = () => {
      waiting = false;
      if (nToken === 0 && text === "" && reasoning === "") return;
      const began = now();
      show({ text, reasoning, nToken });
      text = reasoning = "";
      nToken = 0;
      setTimeout(() => (costMs = now() - began)); // after it was drawn
    };
    const add = (token) => {
      text += token.text;
      reasoning += token.reasoning;
      if (token.id !== null) ++nToken;
      if (waiting) return;
      waiting = true;
      if (costMs > FRAME_MS) setTimeout(() => nextFrame(flush), 2 * costMs);
      else nextFrame(flush);
    };
    return { add, flush };
  }
}

function replayText({ equal, nEqual, firstDivergence, differs }, record) {
  const other = differs.length > 0 ? ` What differs from then: ${differs.join(", ")}.` : "";
  if (equal) return `Made again: all ${nEqual} tokens are the same (run ${record.run_id.slice(0, 8)}).${other}`;
  return `Made again: token ${firstDivergence.at + 1} of ${record.n_out} is the first that differs.${other}`;
}

function advice(error) {
  if (error.code !== CONTEXT_FULL) return error.message;
  return `${error.message}. Begin a new conversation, or load the model with a larger context (Settings).`;
}
