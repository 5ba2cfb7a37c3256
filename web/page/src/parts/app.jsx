// The page: conversations beside, the transcript in the middle, everything else in a dialog.

import { useEffect, useState } from "preact/hooks";
import { Composer } from "./composer.jsx";
import { ModelsPanel } from "./models_panel.jsx";
import { Panel } from "./panel.jsx";
import { Sidebar } from "./sidebar.jsx";
import { Transcript } from "./transcript.jsx";
import { nextTheme, readTheme, setTheme } from "../theme.mjs";

const THEMES = { auto: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };
const THEME_SIGNS = { auto: "\u25d0", light: "\u2600", dark: "\u263e" };

function useKeys(page, state, setTab) {
  useEffect(() => {
    const onKeyDown = (event) => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key === "Escape" && page.answers.running && !document.querySelector("dialog[open]")) {
        page.answers.stop();
      } else if (event.altKey && !event.ctrlKey && !event.metaKey && ["KeyN", "KeyM", "KeyS"].includes(event.code)) {
        event.preventDefault();
        if (event.code === "KeyN") page.newConversation();
        else setTab(event.code === "KeyM" ? "models" : "settings");
      } else if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
        event.preventDefault();
        document.getElementById("question")?.focus();
      }
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [page]);
}

// A file that is dropped anywhere is a model; without this the browser would leave the page for it.
function useDrop(page) {
  useEffect(() => {
    const over = (event) => event.preventDefault();
    const drop = (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer?.files ?? [];
      if (file) page.models.loadFile(file, true);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, [page]);
}

function ModelChip({ model, onOpen }) {
  const text = { none: "No model", loading: `Loading ${model.name}`, ready: model.name }[model.state];
  return (
    <button
      type="button"
      class={`chip ${model.state}`}
      onClick={onOpen}
      data-testid="model-chip"
      data-state={model.state}
      title={text}
    >
      <span class="dot" aria-hidden="true" />
      <span>{text}</span>
    </button>
  );
}

const UPDATES = {
  ready: ["A newer version of this page is ready.", "Reload", (page) => page.shell.takeUpdate()],
  other: ["Another tab has taken a newer version of this page.", "Reload", () => location.reload()],
  isolation: ["After one reload the model may use several threads.", "Reload", (page) => page.shell.reloadIsolated()],
};

function Notices({ page, state }) {
  const update = UPDATES[state.shell.update];
  return (
    <div class="notices">
      {state.notice && (
        <div
          class={`notice ${state.notice.kind}`}
          role={state.notice.kind === "error" ? "alert" : "status"}
          data-testid="notice"
        >
          <span>{state.notice.text}</span>
          {state.notice.action && (
            <button type="button" data-testid="notice-action" onClick={() => page.models.follow(state.notice.action)}>
              {state.notice.action.label}
            </button>
          )}
          <button
            type="button"
            class="quiet"
            aria-label="Close this message"
            onClick={() => page.dispatch({ type: "notice/closed" })}
          >
            {"\u00d7"}
          </button>
        </div>
      )}
      {update && (
        <div class="notice info" role="status" data-testid="update">
          <span>{update[0]}</span>
          <button type="button" onClick={() => update[2](page)}>
            {update[1]}
          </button>
          <button
            type="button"
            class="quiet"
            aria-label="Later"
            onClick={() => page.dispatch({ type: "shell/state", shell: { update: null } })}
          >
            {"\u00d7"}
          </button>
        </div>
      )}
    </div>
  );
}

function Welcome({ page, state, onTab }) {
  const ready = state.model.state === "ready";
  return (
    <div class="welcome">
      <h2>{ready ? "Ask something" : "Load a language model"}</h2>
      <p class="lead">
        {ready
          ? `${state.model.name} runs in this browser. Nothing that you type leaves it.`
          : `It runs in this browser, on this device. Nothing that you type leaves it, and once a model is here
             no network is needed.`}
      </p>
      {ready ? (
        <div class="row centre">
          <button type="button" onClick={() => onTab("settings")}>
            Settings and system prompt
          </button>
          <button type="button" onClick={() => onTab("model")}>
            About this model
          </button>
        </div>
      ) : (
        <ModelsPanel page={page} state={state} />
      )}
    </div>
  );
}

export function App({ page }) {
  const [state, setState] = useState(page.state);
  const [tab, setTab] = useState(null);
  const [sidebar, setSidebar] = useState(false);
  const [theme, setThemeState] = useState(readTheme());
  useEffect(() => page.subscribe(setState), [page]);
  useKeys(page, state, setTab);
  useDrop(page);
  const changeTheme = () => setThemeState(setTheme(nextTheme(theme)));
  const empty = state.conversation.turns.length === 0;
  return (
    <div class="app">
      <header class="top">
        <button
          type="button"
          class="quiet menu"
          aria-label="Conversations"
          aria-expanded={sidebar}
          aria-controls="sidebar"
          onClick={() => setSidebar(!sidebar)}
        >
          {"\u2630"}
        </button>
        <h1>llm-baremetal</h1>
        <ModelChip model={state.model} onOpen={() => setTab(state.model.state === "ready" ? "model" : "models")} />
        <span class="space" />
        <button type="button" class="quiet" onClick={() => setTab("models")} data-testid="open-models">
          Models
        </button>
        <button type="button" class="quiet" onClick={() => setTab("settings")} data-testid="open-settings">
          Settings
        </button>
        <button type="button" class="quiet wide-only" onClick={() => setTab("browser")} data-testid="open-browser">
          This browser
        </button>
        <button
          type="button"
          class="quiet"
          onClick={changeTheme}
          aria-label={THEMES[theme]}
          title={THEMES[theme]}
          data-testid="theme"
        >
          {THEME_SIGNS[theme]}
        </button>
      </header>
      <Sidebar page={page} state={state} open={sidebar} onClose={() => setSidebar(false)} />
      {sidebar && <div class="shade" onClick={() => setSidebar(false)} />}
      <main>
        <Notices page={page} state={state} />
        {empty ? (
          <div class="transcript">
            <Welcome page={page} state={state} onTab={setTab} />
          </div>
        ) : (
          <Transcript page={page} conversation={state.conversation} answering={state.answering} />
        )}
        <Composer page={page} state={state} />
      </main>
      {tab !== null && <Panel page={page} state={state} tab={tab} onTab={setTab} onClose={() => setTab(null)} />}
    </div>
  );
}
