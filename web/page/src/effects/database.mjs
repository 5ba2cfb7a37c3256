// What the page keeps in IndexedDB: conversations, and its settings. Without IndexedDB (a private window of
// some browsers) everything works and nothing is kept.

const NAME = "lbm-page";
const VERSION = 1;

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function ended(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

export class Database {
  #db;

  static async open(factory = globalThis.indexedDB) {
    if (!factory) return new MemoryDatabase();
    try {
      const request = factory.open(NAME, VERSION);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("conversations", { keyPath: "id" });
        request.result.createObjectStore("settings");
      };
      const self = new Database();
      self.#db = await result(request);
      // Another tab has a newer page: it must not wait for this one.
      self.#db.onversionchange = () => self.#db.close();
      return self;
    } catch {
      return new MemoryDatabase();
    }
  }

  get keeps() {
    return true;
  }
  async #write(name, change) {
    const transaction = this.#db.transaction(name, "readwrite");
    change(transaction.objectStore(name));
    await ended(transaction);
  }
  conversations() {
    return result(this.#db.transaction("conversations").objectStore("conversations").getAll());
  }
  conversation(id) {
    return result(this.#db.transaction("conversations").objectStore("conversations").get(id));
  }
  keepConversation(conversation) {
    return this.#write("conversations", (all) => all.put(conversation));
  }
  deleteConversation(id) {
    return this.#write("conversations", (all) => all.delete(id));
  }
  deleteConversations() {
    return this.#write("conversations", (all) => all.clear());
  }
  setting(name) {
    return result(this.#db.transaction("settings").objectStore("settings").get(name));
  }
  keepSetting(name, value) {
    return this.#write("settings", (all) => all.put(value, name));
  }
}

// The same for as long as the page is open.
export class MemoryDatabase {
  #conversations = new Map();
  #settings = new Map();

  get keeps() {
    return false;
  }
  async conversations() {
    return [...this.#conversations.values()];
  }
  async conversation(id) {
    return this.#conversations.get(id);
  }
  async keepConversation(conversation) {
    this.#conversations.set(conversation.id, structuredClone(conversation));
  }
  async deleteConversation(id) {
    this.#conversations.delete(id);
  }
  async deleteConversations() {
    this.#conversations.clear();
  }
  async setting(name) {
    return this.#settings.get(name);
  }
  async keepSetting(name, value) {
    this.#settings.set(name, structuredClone(value));
  }
}
