// The types of lbm.mjs. docs/web.md says what things mean together.

export declare const ABI_VERSION: number;

/** Everything that goes wrong and is known; `message` is a sentence for the user. */
export declare class LbmError extends Error {
  /** An ErrorCode of the core (core/base/error.h); 0: an error of the JavaScript side. */
  readonly code: number;
  /**
   * What an application may have to tell apart: "busy" an answer or a load is under way; "freed" after free();
   * "panic" the module has failed for good; "worker" the worker did not start, or is gone; "webgpu" that was
   * demanded and can not be; "gpu-lost" the GPU failed during an answer; "record" a record that is not as it
   * was written; "" anything else.
   */
  readonly kind: "" | "busy" | "freed" | "panic" | "worker" | "webgpu" | "gpu-lost" | "record";
}

// ---- what there is -------------------------------------------------------------------------------

export interface Capabilities {
  abiVersion: number;
  simd: boolean;
  /** Accepted, and computing what it must. */
  relaxedSimd: boolean;
  sharedMemory: boolean;
  crossOriginIsolated: boolean;
  /** The interface is there; gpuCapabilities() asks for an adapter. */
  webgpu: boolean;
  opfs: boolean;
  hardwareConcurrency: number;
  /** What threads: "auto" means here. */
  autoThreads: number;
  deviceMemoryGiB: number | null;
  /** Weights and context of a model on the processor. */
  maxModelBytes: number;
  /** The file that fits this engine, for one thread; null: none does. */
  module: string | null;
  /** Sentences for the user: what is missing, and what would help. */
  notes: string[];
}
export declare function capabilities(): Capabilities;

export interface GpuAdapter {
  name: string;
  vendor: string;
  architecture: string;
  /** WebAssembly is faster than this one. */
  software: boolean;
  f16: boolean;
  subgroups: boolean;
  packedDot: boolean;
  maxBindingBytes: number;
}
export interface GpuCapabilities {
  available: boolean;
  adapter: GpuAdapter | null;
  notes: string[];
}
/** Asks for an adapter; never throws. */
export declare function gpuCapabilities(
  options?: Pick<EngineOptions, "gpu" | "gpuBackend">,
): Promise<GpuCapabilities>;

/** A summary for people: what there is, and a sentence for each thing that is missing. */
export declare function capabilityLines(found: Capabilities, gpu?: GpuCapabilities | null): string[];

// ---- loading -------------------------------------------------------------------------------------

export type ModelSource =
  | string
  | URL
  | Blob
  | Response
  | ArrayBuffer
  | ArrayBufferView
  | { size: number; blob: Blob }
  | { size: number; name?: string; chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array> };

export interface Progress {
  /** "read": what can be read only once is put aside; "gpu": weights go to the GPU; "compile": its shaders. */
  phase: "load" | "read" | "gpu" | "compile";
  done: number;
  total: number;
}

export interface LoadOptions {
  /** Tokens; 0 or absent: what the model was trained for, at most 4096. */
  nCtx?: number;
  /** Tokens of a prompt that are evaluated together. */
  nBatch?: number;
  kv?: "f16" | "f32" | "q8_0";
  /** SHA-256 of the file, for records and diagnostics; true where it is not said. */
  hash?: boolean;
  /** The SHA-256 of the file, where it is known (an entry of the store): it is not computed again. */
  sha256?: string;
  /** How the model is called in info and manifest, where the source has no name. */
  name?: string;
  /** Gives the loaded model up where the new one does not fit beside it. */
  replace?: boolean;
  /** Of bytes: they move instead of being copied, and the caller's buffer is detached. */
  transfer?: boolean;
  signal?: AbortSignal;
  onProgress?(progress: Progress): void;
}

export type TelemetryEvent =
  | { type: "capabilities"; capabilities: Capabilities; gpu: GpuCapabilities | null; lines: string[] }
  | { type: "load"; us: number; bytes: number; backend: Backend; reasons: string[] }
  | { type: "memory"; moduleBytes: number; gpuBytes: number }
  | { type: "answer"; record: RunRecord }
  | { type: "worker"; reason: string }
  | { type: "gpu-lost"; reason: string }
  | { type: "backend"; backend: Backend; reasons: string[] };

export interface EngineOptions {
  /** A worker owns the module. "auto" (where it is not said): where there are workers, and one starts. */
  worker?: boolean | "auto";
  /** "auto" (where it is not said): what the machine has, at most 8. Fewer where it can not be; see info.notes. */
  threads?: number | "auto";
  /** "auto" (where it is not said): WebGPU where it works; see info.reasons. "webgpu": that, or an error. */
  backend?: "auto" | Backend;
  /** The folder of the modules; absent: the one above the library's. */
  modules?: string | URL;
  /** One WebAssembly module, whatever fits. */
  module?: string | URL | ArrayBuffer | ArrayBufferView | WebAssembly.Module;
  /** An implementation of WebGPU beside navigator.gpu; it can not go to a worker, so there is none. */
  gpu?: unknown;
  /** The module with createGpuBackend(), if it is not the library's own. */
  gpuBackend?: string | URL;
  /** Times, memory, choices. Nothing depends on it. */
  onEvent?(event: TelemetryEvent): void;
  /** Capabilities and the choice of a backend to console.info; true in browsers where it is not said. */
  log?: boolean;
}

export type Backend = "wasm" | "webgpu";

export interface ModelInfo {
  abiVersion: number;
  backend: Backend;
  /** Why it is not the other one. */
  reasons: string[];
  /** What of the engine could not be had, and why. */
  notes: string[];
  nThread: number;
  kernels: string;
  module: string;
  gpu: object | null;
  name: string;
  bytes: number;
  kv: "f16" | "f32" | "q8_0";
  nCtx: number;
  nCtxTrain: number;
  nVocab: number;
  /** SHA-256 as 64 hexadecimal digits; null where it is not known. */
  modelHash: string | null;
  tokenizerHash: string | null;
  configHash: string | null;
  kernelHash: string | null;
  ggufVersion: number | null;
  /** What the head of the file says by itself: "general.name", "general.license" ... No arrays. */
  values: Record<string, string | number | boolean>;
}

// ---- answers -------------------------------------------------------------------------------------

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

/** An answer in the making. It begins with the first next(). */
export interface Answer extends AsyncGenerator<GeneratedToken, AnswerState, void> {
  /** When the answer has ended, in whatever way; rejected where it never began. */
  readonly record: Promise<RunRecord>;
}

export interface RunRecord {
  type: "run";
  version: number;
  run_id: string;
  abi_version: number;
  kernels: string;
  kernel_hash: string | null;
  model_hash: string | null;
  tokenizer_hash: string | null;
  config_hash: string | null;
  governance: { kv: string; n_ctx: number };
  governance_hash: string;
  backend: Backend;
  /** The class of numerics: S the bits of every processor, G those of one GPU. */
  numerics: "S" | "G";
  input: { kind: "raw"; text: string } | { kind: "chat"; messages: Message[] };
  input_hash: string;
  /** 64 bits as 16 hexadecimal digits. */
  seed: string;
  /** Numbers with fractions are decimals in strings. */
  sampling: Record<string, string | number | boolean>;
  n_in: number;
  n_evaluated: number;
  n_out: number;
  output: number[];
  output_hash: string;
  stop: AnswerState["stop"] | "error";
  digest: string | null;
  error: string | null;
  notes: string[];
  timings: { first_token_us: number | null; decode_us: number | null; total_us: number };
  proof: string;
}

export interface Replay {
  equal: boolean;
  nEqual: number;
  firstDivergence: null | { at: number; expected: number | null; actual: number | null };
  /** Members of the record that are other ones here: "backend", "model_hash" ... */
  differs: string[];
  /** null where there was nothing to make again. */
  record: RunRecord | null;
}

export interface Manifest {
  schema: "lbm.manifest.v1";
  kind: "model";
  name: string;
  version: string;
  licence: string;
  architecture: string;
  files: { path: string; size: number; sha256: string | null }[];
  tokenizer: ManifestPart;
  config: ManifestPart;
  weights: ManifestPart;
  runtime: { abi_version: number; module: string; sha256: string | null };
}
export interface ManifestPart {
  version: string;
  sha256: string | null;
}

export interface Diagnostics {
  abi_version: number;
  backend: Backend | null;
  gpu: object | null;
  memory: { moduleBytes: number; gpuBytes: number };
  kernels: string;
  n_thread: number;
  bytes_free: number;
  n_buffer: number;
  /** The last load gave up the model that was loaded before. */
  gave_up_model: boolean;
  load: { n_byte: number; n_expected: number; n_kept: number };
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
    /** Evaluated elsewhere: there are no weights in the module. */
    external: boolean;
    tokenizer: string;
    pretokenizer: string;
    sha256: string;
  };
  answer: AnswerState | null;
  error: { code: number; message: string };
  panicked: boolean;
}

// ---- tokens --------------------------------------------------------------------------------------

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
  /** SHA-256 of the artifact that made it. */
  readonly version: string | null;
  /** The token for what the vocabulary has nothing for; null: every byte has one. */
  readonly unknownId: number | null;
  encode(text: string, options?: EncodeOptions): Promise<Uint32Array>;
  encode(texts: string[], options?: EncodeOptions): Promise<Uint32Array[]>;
  decode(ids: ArrayLike<number>, options?: DecodeOptions): Promise<string>;
  decode(batch: ArrayLike<number>[], options?: DecodeOptions): Promise<string[]>;
  free(): Promise<void>;
}

export interface TokenizerMetrics {
  nText: number;
  nToken: number;
  nDistinct: number;
  nUnknown: number;
  nWord: number;
  /** The share of ids that are not the unknown token. */
  coverage: number;
  /** Bits of an id, by how often each comes. */
  entropy: number;
  /** Ids for a word. */
  fertility: number;
}
export declare function tokenizerMetrics(
  tokenizer: Pick<Tokenizer, "unknownId"> & { encode(texts: string[]): Promise<ArrayLike<number>[]> },
  texts: string[],
  options?: { unknownId?: number | null },
): Promise<TokenizerMetrics>;

// ---- models --------------------------------------------------------------------------------------

export interface Model {
  readonly tokenizer: Tokenizer;
  /** null after free(). */
  readonly info: ModelInfo | null;
  encode: Tokenizer["encode"];
  decode: Tokenizer["decode"];
  /** The items in another order, which `seed` alone decides. */
  shuffle<T>(items: ArrayLike<T>, seed: number | bigint): Promise<T[]>;
  load(source: ModelSource, options?: LoadOptions): Promise<ModelInfo>;
  generate(input: string | Message[], options?: GenerateOptions): Answer;
  replay(record: RunRecord, options?: { signal?: AbortSignal }): Promise<Replay>;
  describeManifest(): Manifest;
  reset(): Promise<void>;
  diagnostics(): Promise<Diagnostics>;
  free(): Promise<void>;
}

export declare function createModel(source: ModelSource, options?: LoadOptions & EngineOptions): Promise<Model>;
export declare function loadTokenizer(source: ModelSource, options?: LoadOptions & EngineOptions): Promise<Tokenizer>;

/** RFC 8785 of integers, strings, booleans, null, arrays and objects; anything else is an LbmError. */
export declare function canonicalJson(value: unknown): string;
/** Sentences about what does not fit together; none for a record that is as it was written. */
export declare function checkRecord(record: RunRecord): string[];
export declare function replay(
  model: Pick<Model, "generate">,
  record: RunRecord,
  options?: { signal?: AbortSignal },
): Promise<Replay>;
