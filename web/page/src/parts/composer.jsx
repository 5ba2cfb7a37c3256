// Where a question is typed, and the meter of the context.

import { useEffect, useRef, useState } from "preact/hooks";

const MAX_ROWS_PX = 220;

function ContextMeter({ context }) {
  if (context.total === 0) return null;
  const share = Math.round((100 * context.used) / context.total);
  const full = share >= 90 ? " nearly-full" : "";
  return (
    <span class={`meter${full}`} data-testid="context-meter">
      <meter min={0} max={context.total} high={context.total * 0.9} value={context.used} aria-label="Context in use" />
      {context.used} of {context.total} tokens of context
    </span>
  );
}

export function Composer({ page, state }) {
  const [text, setText] = useState("");
  const box = useRef(null);
  const ready = state.model.state === "ready";
  const busy = state.answering !== null;

  useEffect(() => {
    if (ready && !busy && document.activeElement === document.body) box.current?.focus();
  }, [ready, busy]);
  useEffect(() => {
    const { current } = box;
    current.style.height = "auto";
    current.style.height = `${Math.min(current.scrollHeight + 2, MAX_ROWS_PX)}px`;
  }, [text]);

  const send = () => {
    if (text.trim() === "" || busy || !ready) return;
    page.answers.ask(text);
    setText("");
  };
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const hint = ready
    ? "Ask something"
    : state.model.state === "loading"
      ? "The model is being loaded"
      : "Load a model first";
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="box">
        <textarea
          ref={box}
          id="question"
          rows={1}
          value={text}
          placeholder={hint}
          aria-label="Question"
          data-testid="question"
          enterKeyHint="send"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {busy ? (
          <button type="button" class="stop" onClick={() => page.answers.stop()} data-testid="stop" title="Esc">
            Stop
          </button>
        ) : (
          <button
            type="submit"
            class="primary"
            disabled={!ready || text.trim() === ""}
            data-testid="send"
            title="Enter"
          >
            Send
          </button>
        )}
      </div>
      <div class="under">
        <ContextMeter context={state.context} />
        <span class="hint keys">Enter sends, Shift+Enter begins a new line, Esc stops</span>
      </div>
    </form>
  );
}
