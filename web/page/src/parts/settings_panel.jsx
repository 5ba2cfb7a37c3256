// Settings of answers, the system prompt of this conversation, and what a model is loaded with.

import { useState } from "preact/hooks";
import { initialSettings, LOAD_SETTINGS, parseSetting, SETTINGS } from "../state/settings.mjs";

function Field({ page, row, value }) {
  const [wrong, setWrong] = useState(null);
  const id = `setting-${row.key}`;
  const take = (text) => {
    const { value: next, error } = parseSetting(row.key, text);
    setWrong(error ?? null);
    if (error === undefined && next !== value) page.change({ [row.key]: next });
  };
  return (
    <div class="field">
      <label for={id}>
        {row.label} <code>{row.key}</code>
      </label>
      {row.kind === "choice" ? (
        <select
          id={id}
          value={value}
          data-testid={id}
          aria-describedby={`${id}-help`}
          onChange={(event) => take(event.currentTarget.value)}
        >
          {row.choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type="number"
          value={value}
          min={row.low}
          max={row.high}
          step={row.kind === "real" ? "any" : row.step}
          data-testid={id}
          aria-invalid={wrong !== null}
          aria-describedby={`${id}-help`}
          onInput={(event) => take(event.currentTarget.value)}
        />
      )}
      <p class={wrong ? "error" : "hint"} id={`${id}-help`} role={wrong ? "alert" : undefined}>
        {wrong ?? row.help}
      </p>
    </div>
  );
}

export function SettingsPanel({ page, state }) {
  const { settings, conversation, model } = state;
  return (
    <div class="settings">
      <div class="field whole">
        <label for="system">System prompt of this conversation</label>
        <textarea
          id="system"
          rows={4}
          value={conversation.system}
          data-testid="system"
          placeholder="Empty: the model's own, where it has one"
          onInput={(event) => page.setSystem(event.currentTarget.value)}
          onBlur={() => page.keep()}
        />
      </div>
      <h3>Answers</h3>
      <div class="fields">
        {SETTINGS.map((row) => (
          <Field key={row.key} page={page} row={row} value={settings[row.key]} />
        ))}
      </div>
      <h3>Loading</h3>
      <p class="hint">{model.state === "none" ? "For the next model." : "For the next load of a model."}</p>
      <div class="fields">
        {LOAD_SETTINGS.map((row) => (
          <Field key={row.key} page={page} row={row} value={settings[row.key]} />
        ))}
      </div>
      <div class="row">
        <button type="button" onClick={() => page.change(initialSettings())}>
          Back to the standard
        </button>
      </div>
    </div>
  );
}
