// Types of the artifact store (docs/store.md).

export type StoreErrorCode =
  | "aborted" | "bad_hash" | "bad_id" | "bad_key" | "bad_manifest" | "bad_range" | "bad_signature" | "bad_source"
  | "busy"
  | "changed" | "closed" | "damaged" | "encoded" | "expired" | "html" | "http_status" | "incomplete" | "io" | "missing"
  | "network" | "newer_store" | "no_range" | "not_a_model" | "not_found" | "quota" | "redirect" | "rollback" | "server"
  | "source_gone" | "stalled" | "too_long" | "truncated" | "unsigned" | "unsupported" | "untrusted_key" | "wrong_size";

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /**
   * quota: { need, free, possible }; redirect: { origin }; damaged: { chunk, at, offer }; bad_hash: { chunk, at };
   * rollback: { newest }
   */
  readonly details: Record<string, unknown>;
}

/** What is not signed is taken everywhere but under "require"; a wrong signature is refused always. */
export type Policy = "require" | "warn" | "none";

/** A public key of minisign: the text "RW...", or the file minisign.pub. */
export type PinnedKey = string | { publicKey: string; state?: "active" | "retired" | "revoked" };

/** Where requests may end: at the origin that was asked, anywhere, or at one of these origins, too. */
export type Redirects = "same-origin" | "any" | string[];

export interface StoreOptions {
  /** Who may sign manifests. */
  keys?: PinnedKey[];
  /** "warn" if it is not given. */
  policy?: Policy;
  /** "same-origin" if it is not given. */
  redirects?: Redirects;
  /** The largest artifact that is taken; 32 GiB if it is not given. */
  maxBytes?: number;
  /** Whether old artifacts may go for new ones; true if it is not given. */
  evict?: boolean;
  /** Pieces of files without a manifest; 4 MiB if it is not given. */
  chunkBytes?: number;
  http?: { retries?: number; backoffMs?: number; stallMs?: number };
  /** The folder in the origin private file system; "lbm-store" if it is not given. */
  folder?: string;
  /** The folder with lbm.wasm, which hashes faster than JavaScript; the one above store/ if it is not given. */
  modules?: string;
  /** Starts the worker (store_worker.mjs, as a module), where a bundler has to know about it. */
  createWorker?: () => Worker;
  /** Files to work on, in this thread (Node; MemoryFiles): then there is no worker. */
  files?: Files;
}

export interface StoreEntry {
  /** SHA-256 of the file; of several files, that of their list (docs/store.md). Until it is known, another name. */
  id: string;
  name: string;
  version: string | null;
  state: "staging" | "verified" | "active";
  /** null: the server did not say how many. */
  bytes: number | null;
  bytesDone: number;
  /** Milliseconds since 1970. */
  lastUsed: number;
  signature: null | { keyId: string; comment: string };
  /** When the signature runs out; null: never, or there is none. */
  expires: number | null;
  /** An address, or "file:NAME". */
  source: string;
  kind: "url" | "file" | "manifest";
  pinned: boolean;
  files: { path: string; size: number | null; sha256: string | null }[];
}

export interface Progress {
  /** manifest: is read. check: what an earlier run left. download: from the network or a file. verify: hashes. */
  phase: "manifest" | "check" | "download" | "verify";
  /** Of the artifact, null while it has none. */
  id?: string;
  done: number;
  total: number | null;
  bytesPerSecond: number | null;
}

export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

export interface AddOptions extends CallOptions {
  policy?: Policy;
  redirects?: Redirects;
  maxBytes?: number;
  evict?: boolean;
  /** What a file without a manifest must be. */
  sha256?: string;
  /** Shown instead of the last part of the address. */
  name?: string;
  /** What an address leads to; by its ending (.json) if it is not given. */
  kind?: "file" | "manifest";
  /** Takes what does not begin as a model (GGUF, SLM1, llama2.c), too. */
  anyFormat?: boolean;
  /** Takes an older version than the newest that was here. */
  allowRollback?: boolean;
  pin?: boolean;
}

/** A manifest from the disk; `files` have the names that stand in it. */
export interface ManifestParts {
  manifest: Blob | string;
  signature?: Blob | string | null;
  files: File[];
}

export interface Store {
  list(): Promise<StoreEntry[]>;
  /** The one that is used; null: none. */
  active(): Promise<StoreEntry | null>;
  usage(): Promise<{ usage: number; quota: number; persisted: boolean }>;
  /** Ends when the artifact is verified. What was begun from the same source is gone on with. */
  add(source: string | URL | Blob | ManifestParts, options?: AddOptions): Promise<StoreEntry>;
  /** Goes on with one that is staging; also repairs one that was damaged. */
  resume(id: string, options?: AddOptions): Promise<StoreEntry>;
  /** Ends a transfer and forgets what came of it. A signal only stops it. */
  cancel(id: string): Promise<void>;
  activate(id: string, options?: CallOptions): Promise<StoreEntry>;
  /** Activates the version before, or what was active before. */
  rollback(options?: CallOptions): Promise<StoreEntry>;
  /** Checked bytes, to be read by ranges; not in memory. Throws damaged; details.offer is the id to use instead. */
  file(id: string, options?: CallOptions & { path?: string }): Promise<File>;
  /** Reads all of it and compares. */
  verify(id: string, options?: CallOptions): Promise<StoreEntry>;
  remove(id: string): Promise<void>;
  /** Never evicted while it is pinned. */
  pin(id: string, isPinned?: boolean): Promise<StoreEntry>;
  /** Takes the file of a new public key, signed by a pinned key (trusted comment "lbm-rotate"). */
  rotate(publicKeyFile: string, signature: string): Promise<void>;
  /** Ends the worker, and what it is doing. */
  close(): Promise<void>;
}

export function openStore(options?: StoreOptions): Promise<Store>;

// ---- what the store works on -------------------------------------------------------------------------

type MaybePromise<T> = T | Promise<T>;

/** An open file; nobody else can open it. Writes go in place. */
export interface OpenFile {
  size(): MaybePromise<number>;
  read(at: number, bytes: Uint8Array): MaybePromise<number>;
  write(at: number, bytes: Uint8Array): MaybePromise<void>;
  truncate(size: number): MaybePromise<void>;
  flush(): MaybePromise<void>;
  close(): MaybePromise<void>;
}

/** One flat folder. */
export interface Files {
  list(): Promise<{ name: string; size: number; modified: number }[]>;
  stat(name: string): Promise<{ size: number; modified: number } | null>;
  blob(name: string): Promise<Blob | null>;
  open(name: string): Promise<OpenFile>;
  remove(name: string): Promise<void>;
  estimate(): Promise<{ usage: number; quota: number; persisted: boolean }>;
  lock<T>(name: string, options: { wait?: boolean; signal?: AbortSignal }, f: () => MaybePromise<T>): Promise<T>;
}
