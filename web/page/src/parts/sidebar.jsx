// The conversations that this browser keeps.

import { useState } from "preact/hooks";

function save({ name, type, text }) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function Item({ page, item, current, onDone }) {
  const [asked, setAsked] = useState(false);
  return (
    <li aria-current={current ? "true" : undefined}>
      <button
        type="button"
        class="title"
        onClick={() => {
          page.openConversation(item.id);
          onDone();
        }}
        data-testid="conversation"
      >
        {item.title || "Untitled"}
      </button>
      <button
        type="button"
        class={asked ? "danger" : "quiet"}
        aria-label={`${asked ? "Really delete" : "Delete"} ${item.title}`}
        data-testid="conversation-delete"
        onClick={() => (asked ? page.deleteConversation(item.id) : setAsked(true))}
        onBlur={() => setAsked(false)}
      >
        {asked ? "Delete?" : "\u00d7"}
      </button>
    </li>
  );
}

export function Sidebar({ page, state, open, onClose }) {
  const { conversation, conversations } = state;
  const [asked, setAsked] = useState(false);
  const empty = conversation.turns.length === 0;
  return (
    <nav class={`sidebar${open ? " open" : ""}`} aria-label="Conversations" id="sidebar">
      <button
        type="button"
        class="new"
        onClick={() => {
          page.newConversation();
          onClose();
        }}
        data-testid="new-conversation"
      >
        New conversation
      </button>
      <ul data-testid="conversations">
        {conversations.map((item) => (
          <Item key={item.id} page={page} item={item} current={item.id === conversation.id} onDone={onClose} />
        ))}
      </ul>
      <div class="foot">
        {!page.keeps && <p class="hint">This browser keeps no conversations.</p>}
        <div class="row">
          <button
            type="button"
            class="quiet"
            disabled={empty}
            onClick={() => save(page.transcript("md"))}
            data-testid="export-md"
          >
            Export Markdown
          </button>
          <button
            type="button"
            class="quiet"
            disabled={empty}
            onClick={() => save(page.transcript("json"))}
            data-testid="export-json"
          >
            JSON
          </button>
        </div>
        {conversations.length > 0 && (
          <button
            type="button"
            class={asked ? "danger" : "quiet"}
            onBlur={() => setAsked(false)}
            onClick={() => (asked ? page.deleteConversations() : setAsked(true))}
          >
            {asked ? "Really delete all" : "Delete all"}
          </button>
        )}
      </div>
    </nav>
  );
}
