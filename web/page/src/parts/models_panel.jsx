// Where models come from: a file, an address, the catalog, or what this browser keeps.

import { useRef, useState } from "preact/hooks";
import { formatBytes, formatProgress } from "../state/progress.mjs";

export function ProgressBar({ label, progress, onCancel, testId }) {
  const known = progress !== null && progress.total > 0;
  return (
    <div class="progress" data-testid={testId}>
      <div class="row">
        <strong>{label}</strong>
        <button
          type="button"
          class="quiet"
          onClick={onCancel}
          data-testid="progress-cancel"
          aria-label={`Cancel: ${label}`}
        >
          Cancel
        </button>
      </div>
      <progress aria-label={label} {...(known ? { max: progress.total, value: progress.done } : {})} />
      <p class="hint">{progress === null || progress.done === 0 ? "Starting" : formatProgress(progress)}</p>
    </div>
  );
}

const PHASES = {
  start: "Fetching",
  manifest: "Fetching",
  download: "Fetching",
  copy: "Copying",
  import: "Copying",
  check: "Checking",
  verify: "Checking",
};

function FilePicker({ page, canKeep }) {
  const [keep, setKeep] = useState(true);
  const input = useRef(null);
  const [over, setOver] = useState(false);
  const take = (file) => {
    if (file) page.models.loadFile(file, keep && canKeep);
  };
  const onDrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  return (
    <div
      class={`drop${over ? " over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      <p>
        <strong>Drop a GGUF file here</strong>, or
      </p>
      <button type="button" class="primary" onClick={() => input.current.click()}>
        Choose a file
      </button>
      <input
        ref={input}
        type="file"
        class="unseen"
        tabIndex={-1}
        aria-label="Model file"
        data-testid="model-file"
        accept=".gguf,.slm,.bin"
        onChange={(event) => {
          take(event.currentTarget.files[0]);
          event.currentTarget.value = "";
        }}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={keep && canKeep}
          disabled={!canKeep}
          onChange={(event) => setKeep(event.currentTarget.checked)}
        />
        Keep a copy in this browser, for next time and offline
      </label>
    </div>
  );
}

function Address({ page, initial }) {
  const [text, setText] = useState(initial);
  const submit = (event) => {
    event.preventDefault();
    if (text.trim() !== "") page.models.loadAddress(text.trim());
  };
  return (
    <form class="address" onSubmit={submit}>
      <label for="model-url">From an address</label>
      <div class="row">
        <input
          id="model-url"
          type="text"
          inputMode="url"
          autocomplete="off"
          spellcheck={false}
          value={text}
          placeholder="https://.../model.gguf"
          data-testid="model-url"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" disabled={text.trim() === ""} data-testid="model-url-load">
          Fetch
        </button>
      </div>
      <p class="hint">
        The server must allow other pages to read it (CORS); an interrupted download goes on where it was.
      </p>
    </form>
  );
}

function Served({ page, served, names }) {
  const models = served.filter(({ name }) => !names.has(name));
  if (models.length === 0) return null;
  return (
    <section aria-label="From this server">
      <h3>From this server</h3>
      <ul class="list">
        {models.map((model) => (
          <li key={model.address}>
            <div>
              <strong>{model.name}</strong>
              {model.bytes !== null && <p class="hint">{formatBytes(model.bytes)}</p>}
            </div>
            <button
              type="button"
              class="primary"
              onClick={() => page.models.loadAddress(model.address)}
              aria-label={`Load ${model.name}`}
              data-testid="served-load"
            >
              Load
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Catalog({ page, names }) {
  const models = page.catalog.filter(({ url, file }) => url && !names.has(file));
  if (models.length === 0) return null;
  return (
    <section aria-label="Catalog">
      <h3>Models that are known to work</h3>
      <ul class="list">
        {models.map((model) => (
          <li key={model.name}>
            <div>
              <strong>{model.title}</strong>
              <p class="hint">
                {[model.licence, model.bytes && formatBytes(model.bytes)].filter(Boolean).join(" \u00b7 ")}
              </p>
            </div>
            <button
              type="button"
              onClick={() => page.models.loadAddress(model.url, model.sha256 ? { sha256: model.sha256 } : {})}
              aria-label={`Fetch ${model.title}`}
              title={model.url}
            >
              Fetch
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Entry({ page, entry, loaded }) {
  const [asked, setAsked] = useState(false);
  const partial = entry.state === "staging";
  const facts = [
    partial && entry.bytes === null
      ? formatBytes(entry.bytesDone)
      : partial
        ? `${formatBytes(entry.bytesDone)} of ${formatBytes(entry.bytes)}`
        : formatBytes(entry.bytes),
    entry.state === "active" ? "in use at start" : partial ? "interrupted" : "checked",
    entry.signature && "signed",
  ];
  return (
    <li data-testid="store-entry" data-state={entry.state}>
      <div>
        <strong>{entry.name}</strong>
        <p class="hint">{facts.filter(Boolean).join(" \u00b7 ")}</p>
      </div>
      <div class="row">
        {partial ? (
          <button type="button" onClick={() => page.models.resume(entry)} data-testid="resume">
            Resume
          </button>
        ) : (
          <button
            type="button"
            disabled={loaded}
            onClick={() => page.models.loadEntry(entry.id)}
            data-testid="store-load"
          >
            {loaded ? "Loaded" : "Load"}
          </button>
        )}
        {!partial && (
          <button
            type="button"
            class="quiet"
            onClick={() => page.models.verify(entry)}
            title="Reads every byte and compares its SHA-256"
          >
            Check
          </button>
        )}
        {asked ? (
          <button
            type="button"
            class="danger"
            onClick={() => page.models.remove(entry.id)}
            onBlur={() => setAsked(false)}
            data-testid="store-remove"
          >
            Really delete
          </button>
        ) : (
          <button type="button" class="quiet" onClick={() => setAsked(true)} aria-label={`Delete ${entry.name}`}>
            Delete
          </button>
        )}
      </div>
    </li>
  );
}

function Usage({ usage }) {
  if (!usage) return null;
  const kept = usage.persisted
    ? "The browser does not clear it by itself."
    : "The browser may clear it when space is short.";
  return (
    <p class="hint" data-testid="usage">
      {formatBytes(usage.usage)} of {formatBytes(usage.quota)} that this site may use. {kept}
    </p>
  );
}

export function ModelsPanel({ page, state }) {
  const { model, store, transfers } = state;
  const names = new Set(store.entries.filter(({ state: is }) => is !== "staging").map(({ name }) => name));
  return (
    <div class="models">
      {model.state === "loading" && (
        <ProgressBar
          label={`Loading ${model.name}`}
          progress={model.progress}
          onCancel={() => page.models.cancelLoad()}
          testId="load-progress"
        />
      )}
      {model.error && (
        <p class="error" role="alert" data-testid="model-error">
          {model.error}
        </p>
      )}
      {transfers.map((one) => (
        <ProgressBar
          key={one.name}
          label={`${PHASES[one.phase] ?? "Working on"} ${one.name}`}
          progress={one}
          onCancel={() => page.models.cancelTransfer(one.name)}
          testId="transfer"
        />
      ))}
      <Served page={page} served={state.served} names={names} />
      <FilePicker page={page} canKeep={store.state === "ready"} />
      <Address page={page} initial={new URL(page.base).searchParams.get("model") ?? ""} />
      {store.state === "absent" && <p class="hint">Models are not kept here: {store.error}</p>}
      {store.entries.length > 0 && (
        <section aria-label="In this browser">
          <h3>In this browser</h3>
          <ul class="list">
            {store.entries.map((entry) => (
              <Entry
                key={entry.id}
                page={page}
                entry={entry}
                loaded={
                  model.state === "ready" &&
                  model.info.sha256 !== null &&
                  model.info.sha256 === entry.files?.[0]?.sha256
                }
              />
            ))}
          </ul>
          <Usage usage={store.usage} />
        </section>
      )}
      <Catalog page={page} names={names} />
    </div>
  );
}
