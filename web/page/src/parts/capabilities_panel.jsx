// What this browser can do for models.

import { useEffect, useState } from "preact/hooks";
import { capabilityRows } from "../state/capability_rows.mjs";

export function CapabilitiesPanel({ state }) {
  const [adapter, setAdapter] = useState(undefined);
  const found = state.capabilities;
  useEffect(() => {
    if (found?.webgpu) navigator.gpu.requestAdapter().then(setAdapter, () => setAdapter(null));
  }, [found?.webgpu]);
  if (found === null) return <p class="hint">The engine is not there yet.</p>;
  const rows = capabilityRows(found, { secure: isSecureContext, usage: state.store.usage, adapter });
  return (
    <div>
      <ul class="capabilities" data-testid="capabilities">
        {rows.map(({ name, has, value, why, help }) => (
          <li key={name} class={has ? "has" : "lacks"}>
            <span class="mark" aria-hidden="true">
              {has ? "\u2713" : "\u2013"}
            </span>
            <div>
              <p>
                <strong>{name}</strong>
                <span class="unseen">{has ? ": yes. " : ": no. "}</span>{" "}
                {value && has ? <span class="hint">{value}</span> : null}
              </p>
              {!has && (
                <p class="hint">
                  {why} {help}
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
      {state.shell.notes.map((note) => (
        <p class="hint" key={note}>
          {note}
        </p>
      ))}
    </div>
  );
}
