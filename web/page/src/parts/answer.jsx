// One turn: a question and its answer, with what can be done with them.

import { useState } from "preact/hooks";
import { formatRate, formatSeconds } from "../state/progress.mjs";
import { Markdown } from "./markdown.jsx";
import { memo } from "./memo.jsx";

const STOPS = {
  length: "ended at the setting max_tokens",
  context: "ended because the context is full",
  interrupted: "stopped",
  loop: "ended because it repeated itself",
};

function Figures({ answer }) {
  const { stats, settings, stop, state } = answer;
  if (!stats) return null;
  const parts = [stats.nToken === 1 ? "1 token" : `${stats.nToken} tokens`];
  if (stats.tokensPerSecond) parts.push(formatRate(stats.tokensPerSecond, "tok/s"));
  if (stats.promptPerSecond)
    parts.push(`prompt ${stats.nPrompt} tokens at ${formatRate(stats.promptPerSecond, "tok/s")}`);
  if (stats.secondsToFirst !== null) parts.push(`first after ${formatSeconds(stats.secondsToFirst)}`);
  if (settings?.seed !== undefined) parts.push(`seed ${settings.seed}`);
  if (STOPS[stop]) parts.push(STOPS[stop]);
  else if (state === "stopped") parts.push(STOPS.interrupted);
  return (
    <p class="figures" data-testid="figures">
      {parts.join(" \u00b7 ")}
    </p>
  );
}

function Waiting({ answering }) {
  const { nPrompt, nPromptDone } = answering;
  if (nPrompt === 0) return <p class="waiting">Reading the question</p>;
  return (
    <p class="waiting">
      <progress max={nPrompt} value={nPromptDone} aria-label="Reading the prompt" />
      {` Reading the prompt: ${nPromptDone} of ${nPrompt} tokens`}
    </p>
  );
}

function QuestionEditor({ question, onSend, onCancel }) {
  const [text, setText] = useState(question);
  const onKeyDown = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onCancel();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      onSend(text);
    }
  };
  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        onSend(text);
      }}
    >
      <textarea
        value={text}
        rows={3}
        aria-label="Edit the question"
        data-testid="edit-text"
        ref={(it) => it && !it.dataset.seen && ((it.dataset.seen = "1"), it.focus())}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="row">
        <button type="submit" class="primary" disabled={text.trim() === ""}>
          Ask again
        </button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <span class="hint">Everything after this question goes.</span>
      </div>
    </form>
  );
}

function Copy({ text }) {
  const [label, setLabel] = useState("Copy");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setLabel("Copied"),
      () => setLabel("Not allowed"),
    );
  return (
    <button type="button" class="quiet" onClick={copy} onBlur={() => setLabel("Copy")}>
      {label}
    </button>
  );
}

export const Turn = memo(function Turn({ page, turn, answering, busy }) {
  const [editing, setEditing] = useState(false);
  const { question, answer } = turn;
  const edit = (text) => {
    setEditing(false);
    page.answers.edit(turn.id, text);
  };
  return (
    <article class="turn" aria-label={`Question: ${question.slice(0, 80)}`} data-testid="turn">
      <section class="question" aria-label="You">
        {editing ? (
          <QuestionEditor question={question} onSend={edit} onCancel={() => setEditing(false)} />
        ) : (
          <p class="asked" data-testid="asked">
            {question}
          </p>
        )}
        {!editing && (
          <div class="row actions">
            <button type="button" class="quiet" disabled={busy} onClick={() => setEditing(true)} data-testid="edit">
              Edit
            </button>
          </div>
        )}
      </section>
      {answer && (
        <section
          class="answer"
          aria-label="Answer"
          aria-busy={answer.state === "running"}
          data-testid="answer"
          data-state={answer.state}
        >
          {answer.reasoning !== "" && (
            <details class="reasoning" open={answer.text === ""}>
              <summary>Reasoning</summary>
              <p>{answer.reasoning}</p>
            </details>
          )}
          {answering && answer.text === "" && answer.reasoning === "" && <Waiting answering={answering} />}
          <Markdown text={answer.text} />
          {answer.state === "failed" && (
            <p class="error" role="alert">
              {answer.error}
            </p>
          )}
          {answer.state !== "running" && (
            <footer>
              <Figures answer={answer} />
              <div class="row actions">
                <Copy text={answer.text} />
                {!busy && (
                  <button
                    type="button"
                    class="quiet"
                    onClick={() => page.answers.again(turn.id)}
                    data-testid="regenerate"
                    title="With the next seed; at temperature 0 the answer is the same"
                  >
                    Regenerate
                  </button>
                )}
                {!busy && answer.record && (
                  <button
                    type="button"
                    class="quiet"
                    onClick={() => page.answers.replay(turn.id)}
                    data-testid="replay"
                    title="Makes this answer once more from its record and compares every token"
                  >
                    Verify
                  </button>
                )}
              </div>
            </footer>
          )}
        </section>
      )}
    </article>
  );
});
