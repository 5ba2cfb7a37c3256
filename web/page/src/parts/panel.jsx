// The dialog with everything beside the conversation, as tabs.

import { useEffect, useRef } from "preact/hooks";
import { AboutPanel } from "./about_panel.jsx";
import { BenchmarkPanel } from "./benchmark_panel.jsx";
import { CapabilitiesPanel } from "./capabilities_panel.jsx";
import { ModelsPanel } from "./models_panel.jsx";
import { Provenance } from "./provenance.jsx";
import { SettingsPanel } from "./settings_panel.jsx";

export const TABS = [
  ["models", "Models", ModelsPanel],
  ["model", "This model", ({ state }) => <Provenance info={state.model.info} />],
  ["settings", "Settings", SettingsPanel],
  ["browser", "This browser", CapabilitiesPanel],
  ["benchmark", "Benchmark", BenchmarkPanel],
  ["about", "About", AboutPanel],
];

export function Panel({ page, state, tab, onTab, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    const { current } = dialog;
    if (!current.open) current.showModal();
    return () => current.close();
  }, []);
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const at = TABS.findIndex(([name]) => name === tab);
    const [next] = TABS[(at + step + TABS.length) % TABS.length];
    onTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  const [name, label, Content] = TABS.find(([one]) => one === tab);
  // A click beside the dialog closes it: it is the backdrop that was hit.
  const onClick = (event) => {
    if (event.target === dialog.current) onClose();
  };
  return (
    <dialog ref={dialog} class="panel" aria-label={label} onClose={onClose} onClick={onClick} data-testid="panel">
      <div class="inside">
        <header>
          <div role="tablist" aria-label="Panels" onKeyDown={onKeyDown}>
            {TABS.map(([one, text]) => (
              <button
                key={one}
                type="button"
                role="tab"
                id={`tab-${one}`}
                aria-selected={one === tab}
                aria-controls="tabpanel"
                tabIndex={one === tab ? 0 : -1}
                onClick={() => onTab(one)}
                data-testid={`tab-${one}`}
              >
                {text}
              </button>
            ))}
          </div>
          <button type="button" class="quiet close" onClick={onClose} aria-label="Close" data-testid="panel-close">
            {"\u00d7"}
          </button>
        </header>
        <div role="tabpanel" id="tabpanel" aria-labelledby={`tab-${name}`} tabIndex={0}>
          <Content page={page} state={state} />
        </div>
      </div>
    </dialog>
  );
}
