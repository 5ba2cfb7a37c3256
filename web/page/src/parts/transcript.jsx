// The turns of a conversation. It follows the answer as it grows, until the reader scrolls up.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parseBlocks, textOf } from "../markdown/tree.mjs";
import { Turn } from "./answer.jsx";

const NEAR_PX = 48;

// Speaks an answer to a screen reader paragraph by paragraph, not token by token.
function Announcer({ answer }) {
  const told = useRef({ turn: null, n: 0 });
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    if (!answer) return;
    if (told.current.answer !== answer.turn)
      told.current = {
        answer: answer.turn,
        n: answer.state === "running" ? 0 : answer.text.length,
        state: answer.state,
      };
    const end = answer.state === "running" ? answer.text.lastIndexOf("\n\n") : answer.text.length;
    const fresh = end > told.current.n ? answer.text.slice(told.current.n, end) : "";
    const ended = answer.state !== "running" && told.current.state === "running";
    told.current = { answer: answer.turn, n: Math.max(end, told.current.n), state: answer.state };
    const words =
      fresh === ""
        ? ""
        : parseBlocks(fresh)
            .map(({ node }) => textOf(node))
            .join("\n");
    if (words !== "" || ended) setSpoken(ended ? `${words}\nEnd of the answer.` : words);
  }, [answer?.turn, answer?.text, answer?.state]);
  return (
    <div class="unseen" role="status" aria-live="polite">
      {spoken}
    </div>
  );
}

export function Transcript({ page, conversation, answering }) {
  const frame = useRef(null);
  const follows = useRef(true);
  const [away, setAway] = useState(false);
  const { turns } = conversation;
  const last = turns.at(-1);
  const spoken = last?.answer ? { turn: last.id, text: last.answer.text, state: last.answer.state } : null;

  const toEnd = () => {
    frame.current.scrollTop = frame.current.scrollHeight;
  };
  useLayoutEffect(() => {
    follows.current = true;
    toEnd();
  }, [conversation.id, turns.length]);
  useLayoutEffect(() => {
    if (follows.current) toEnd();
  });
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = frame.current;
    follows.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    setAway(!follows.current);
  };
  return (
    <div
      class="transcript"
      ref={frame}
      onScroll={onScroll}
      data-testid="transcript"
      role="region"
      aria-label="Conversation"
      tabIndex={0}
    >
      {turns.map((turn) => (
        <Turn
          key={turn.id}
          page={page}
          turn={turn}
          busy={answering !== null}
          answering={answering?.turn === turn.id ? answering : null}
        />
      ))}
      {away && turns.length > 0 && (
        <button type="button" class="to-end" onClick={toEnd} aria-label="To the end of the conversation">
          {"\u2193"} To the end
        </button>
      )}
      <Announcer answer={spoken} />
    </div>
  );
}
