// The one kind of error that the store throws: a sentence for people, a code for programs
// (docs/store.md lists the codes), and details that name what the sentence speaks of.

export class StoreError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.name = "StoreError";
    this.code = code;
    this.details = details;
  }

  // What crosses from the worker to the page.
  toJSON() {
    return { code: this.code, message: this.message, details: this.details };
  }

  static fromJSON({ code, message, details }) {
    return new StoreError(code, message, details);
  }
}

// What stopped something, as a StoreError: quota, an abort, or a fault of the file system.
export function asStoreError(error, doing) {
  if (error instanceof StoreError) return error;
  const name = error?.name ?? "";
  if (name === "AbortError") return new StoreError("aborted", `${doing} was stopped`);
  if (name === "QuotaExceededError") {
    return new StoreError("quota", `${doing}: the browser gives no more room. Remove a model, or free disk space`);
  }
  if (name === "NoModificationAllowedError") {
    return new StoreError("busy", `${doing}: another tab has this file open. Close it there, or wait`);
  }
  return new StoreError("io", `${doing}: ${error?.message ?? error}`);
}
