// The page itself, kept for use without a network: registers the service worker, tells of a newer version,
// and reloads once where that turns threads on (docs/page.md).

const RELOADED = "lbm-reloaded-for-isolation";

export class Shell {
  #page;
  #registration = null;
  #reloading = false;
  #window;

  constructor(page, window = globalThis.window) {
    this.#page = page;
    this.#window = window;
  }

  #show(shell) {
    this.#page.dispatch({ type: "shell/state", shell });
  }

  async start(url = "./sw.js") {
    const container = this.#window.navigator.serviceWorker;
    if (!container || !this.#window.isSecureContext) {
      this.#show({
        state: "absent",
        notes: ["This browser keeps no copy of the page here: it needs https (or localhost)."],
      });
      return;
    }
    const hadController = container.controller !== null;
    container.addEventListener("controllerchange", () => this.#controlled(hadController));
    try {
      this.#registration = await container.register(url, { updateViaCache: "none" });
    } catch (error) {
      this.#show({ state: "absent", notes: [`The page could not be kept for use offline: ${error.message}`] });
      return;
    }
    this.#show({ state: container.controller ? "ready" : "installing", offline: container.controller !== null });
    this.#watch(this.#registration);
    if (container.controller) this.#offerIsolation();
  }

  #watch(registration) {
    const look = () => {
      if (registration.waiting && this.#window.navigator.serviceWorker.controller) this.#show({ update: "ready" });
    };
    look();
    registration.addEventListener("updatefound", () => {
      const worker = registration.installing;
      worker?.addEventListener("statechange", () => {
        look();
        if (worker.state === "redundant") this.#failed(registration);
      });
    });
  }

  // A version that could not be checked whole was thrown away.
  #failed(registration) {
    if (registration.active) return;
    this.#show({
      state: "absent",
      notes: ["The page could not be kept for use offline; it is tried again next time."],
    });
  }

  #controlled(hadController) {
    this.#show({ state: "ready", offline: true });
    if (this.#reloading) {
      this.#window.location.reload();
    } else if (hadController) {
      this.#show({ update: "other" }); // another tab took the new version; this one goes on with what it has
    } else {
      this.#offerIsolation();
    }
  }

  // On a host that sends no headers of isolation the service worker adds them, from the next load on.
  #offerIsolation() {
    const { crossOriginIsolated, sessionStorage } = this.#window;
    if (crossOriginIsolated || crossOriginIsolated === undefined) return;
    if (sessionStorage.getItem(RELOADED)) {
      this.#show({ notes: ["Threads stay off: this browser does not isolate the page."] });
      return;
    }
    const { model, transfers } = this.#page.state;
    if (model.state !== "none" || transfers.length > 0) {
      this.#show({ update: "isolation" });
      return;
    }
    this.#page.tell("Reloading once, so that the model may use several threads.");
    this.reloadIsolated(600);
  }
  reloadIsolated(afterMs = 0) {
    this.#window.sessionStorage.setItem(RELOADED, "1");
    this.#window.setTimeout(() => this.#window.location.reload(), afterMs);
  }

  // The version that waits takes over, and this tab is loaded anew.
  takeUpdate() {
    const waiting = this.#registration?.waiting;
    if (!waiting) {
      this.#window.location.reload();
      return;
    }
    this.#reloading = true;
    waiting.postMessage({ type: "activate" });
  }

  // Takes the version that the server has, even where it is older. Where that is the one that is here, the kept
  // copy is thrown away and made anew.
  async reinstall() {
    const registration = this.#registration;
    await this.#allowOlder();
    await registration?.update().catch(() => {}); // without a network there is nothing else to take
    await settled(registration?.installing);
    if (registration?.waiting) {
      this.takeUpdate();
      return;
    }
    await registration?.unregister();
    const { caches, location, document } = this.#window;
    const { href } = new URL("./", document.baseURI);
    for (const name of (await caches?.keys()) ?? []) {
      if (name.startsWith(`lbm-shell-${href}-`)) await caches.delete(name);
    }
    await (await caches?.open("lbm-shell-state"))?.delete(new URL("installed", href).href);
    location.reload();
  }

  // The service worker refuses what is older than its note says.
  async #allowOlder() {
    const { caches, document } = this.#window;
    const notes = await caches?.open("lbm-shell-state");
    const url = new URL("installed", document.baseURI).href;
    const note = await notes?.match(url);
    if (note) await notes.put(url, new Response(JSON.stringify({ ...(await note.json()), order: 0 })));
  }
}

// Resolves when a worker that is being installed is so, or has failed.
function settled(worker) {
  if (!worker || worker.state !== "installing") return Promise.resolve();
  return new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }));
}
