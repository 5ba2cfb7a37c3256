// The types of lbm.mjs.

export declare const ABI_VERSION: number;

export declare class LbmError extends Error {
  /** An ErrorCode of the core (core/base/error.h); 0: an error of the JavaScript side. */
  readonly code: number;
}

export interface Capabilities {
  abiVersion: number;
  simd: boolean;
  relaxedSimd: boolean;
  sharedMemory: boolean;
  crossOriginIsolated: boolean;
  webgpu: boolean;
  hardwareConcurrency: number;
  maxModelBytes: number;
  /** The file that fits this engine; null: none does. */
  module: string | null;
  /** Sentences for the user: what is missing, and what would help. */
  notes: string[];
}
export declare function capabilities(): Capabilities;

export type ModelSource =
  | string
  | URL
  | Blob
  | Response
  | ArrayBuffer
  | ArrayBufferView
  | { size: number; chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array> };

export interface LoadOptions {
  /** Tokens; 0 or absent: what the model was trained for, at most 4096. */
  nCtx?: number;
  /** Tokens of a prompt that are evaluated together. */
  nBatch?: number;
  kv?: "f16" | "f32" | "q8_0";
  /** SHA-256 of the file, for diagnostics(). */
  hash?: boolean;
  /** Gives the loaded model up where the new one does not fit beside it. */
  replace?: boolean;
  signal?: AbortSignal;
  onProgress?(progress: { done: number; total: number }): void;
}

export interface ModuleOptions {
  /** The WebAssembly module; absent: the one of capabilities(), beside lbm.mjs. */
  module?: string | URL | BufferSource | WebAssembly.Module;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface GenerateOptions {
  /** The text is taken as it is, without the model's template. */
  raw?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  repeatLastN?: number;
  noRepeatNgram?: number;
  /** 0: until the answer or the context ends. */
  maxTokens?: number;
  seed?: number | bigint;
  /** Computes the run digest. */
  digest?: boolean;
  ignoreEnd?: boolean;
  showSpecial?: boolean;
  speculate?: boolean;
  /** Of a raw prompt: what spells a control token is one. */
  parseSpecial?: boolean;
  signal?: AbortSignal;
  onPrompt?(answer: AnswerState): void;
}

export interface GeneratedToken {
  /** null: the last words of an answer, which belong to no single token. */
  id: number | null;
  text: string;
  reasoning: string;
}

export interface AnswerState {
  state: "idle" | "prompt" | "answer" | "done";
  n_prompt: number;
  n_prompt_done: number;
  n_evaluated: number;
  n_output: number;
  stop: "eog" | "length" | "context" | "interrupted" | "loop" | null;
  digest: string | null;
}

export interface Diagnostics {
  abi_version: number;
  kernels: string;
  n_thread: number;
  bytes_free: number;
  n_buffer: number;
  /** The last load gave up the model that was loaded before. */
  gave_up_model: boolean;
  load: { n_byte: number; n_expected: number };
  model: null | {
    n_vocab: number;
    n_layer: number;
    n_ctx_train: number;
    n_ctx: number;
    n_past: number;
    weight_bytes: number;
    kv_bytes: number;
    has_template: boolean;
    template_note: string;
    tokenizer: string;
    pretokenizer: string;
    sha256: string;
  };
  answer: AnswerState | null;
  error: { code: number; message: string };
  panicked: boolean;
}

export interface EncodeOptions {
  addSpecial?: boolean;
  parseSpecial?: boolean;
}
export interface DecodeOptions {
  showSpecial?: boolean;
  /** The ids begin a text; true where it is not said. */
  atStart?: boolean;
}

export interface Tokenizer {
  readonly nVocab: number;
  encode(text: string, options?: EncodeOptions): Uint32Array;
  encode(texts: string[], options?: EncodeOptions): Uint32Array[];
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  decode(batch: ArrayLike<number>[], options?: DecodeOptions): string[];
}

export interface Model {
  readonly tokenizer: Tokenizer;
  encode: Tokenizer["encode"];
  decode: Tokenizer["decode"];
  load(source: ModelSource, options?: LoadOptions): Promise<void>;
  generate(
    input: string | Message[],
    options?: GenerateOptions,
  ): AsyncGenerator<GeneratedToken, AnswerState, void>;
  reset(): void;
  diagnostics(): Diagnostics;
  free(): void;
}

export declare function createModel(
  source: ModelSource,
  options?: LoadOptions & ModuleOptions,
): Promise<Model>;
export declare function loadTokenizer(
  source: ModelSource,
  options?: LoadOptions & ModuleOptions,
): Promise<Tokenizer>;
