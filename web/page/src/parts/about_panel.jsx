// Keys, what leaves this device (nothing), and the page's own version.

const KEYS = [
  ["Enter", "send the question"],
  ["Shift+Enter", "a new line"],
  ["Esc", "stop the answer; close this"],
  ["/", "to the question"],
  ["Alt+N", "a new conversation"],
  ["Alt+M", "models"],
  ["Alt+S", "settings"],
];

/* global __VERSION__ */
const VERSION = typeof __VERSION__ === "string" ? __VERSION__ : "in development";

export function AboutPanel({ page, state }) {
  const { shell } = state;
  return (
    <div>
      <h3>Keys</h3>
      <dl class="facts keys-list">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <h3>What leaves this device</h3>
      <p>
        Nothing that is said here. The model runs in this browser; the network is used for the page itself and for
        models that you fetch. Conversations and models are kept in this browser's own storage and nowhere else. Links
        and images that a model writes are never opened by the page: a link opens where you click it.
      </p>
      <h3>This page</h3>
      <p>
        Version {VERSION}. {shell.offline ? "It is kept here and works without a network." : "It is not kept here yet."}
      </p>
      <div class="row">
        <button
          type="button"
          onClick={() => page.shell.reinstall()}
          title="Forgets the kept copy of the page; models and conversations stay"
        >
          Load the page anew from the server
        </button>
      </div>
    </div>
  );
}
