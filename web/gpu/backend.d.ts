// Types of the WebGPU backend (backend.mjs). docs/webgpu.md explains it.

/** One tensor of a model's description: a matrix [n_row, n_col] or a vector [n], and its place in the file. */
export interface DescribedTensor {
  role: string;
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
  bytes: number;
}

export interface DescribedRope {
  freq_base: number;
  freq_scale: number;
  scaling: "none" | "linear" | "yarn" | "longrope";
  layout: "neighbours" | "halves";
  n_rot: number;
  n_ctx_orig: number;
  yarn_ext_factor: number;
  attn_factor: number;
  yarn_beta_fast: number;
  yarn_beta_slow: number;
}

/** What lbm_model_description() gives; web/model_description.h has the meaning of every member. */
export interface ModelDescription {
  family: string;
  n_vocab: number;
  n_embd: number;
  n_layer: number;
  n_ff: number;
  n_head: number;
  n_head_kv: number;
  head_dim: number;
  n_ctx: number;
  norm: string;
  norm_eps: number;
  activation: string;
  parallel: boolean;
  qk_norm: string;
  qk_norm_after_rope: boolean;
  gated_attention: boolean;
  embedding_scale: number;
  residual_scale: number;
  attention_scale: number;
  logit_scale: number;
  attention_soft_cap: number;
  logit_soft_cap: number;
  window: number;
  rope: DescribedRope;
  rope_local: DescribedRope | null;
  experts: null | {
    n_expert: number;
    n_used: number;
    n_ff: number;
    n_ff_shared: number;
    gating: string;
    normalised: boolean;
    scale: number;
  };
  layers: { kind: string; rope: boolean; windowed: boolean; experts: boolean; n_head_kv: number }[];
  tied: boolean;
  tensors: DescribedTensor[];
}

export interface AdapterSummary {
  name: string;
  vendor: string;
  architecture: string;
  /** A software adapter: slower than WebAssembly. */
  software: boolean;
  f16: boolean;
  subgroups: boolean;
  packedDot: boolean;
  maxBindingBytes: number;
}

export interface GpuCapabilities {
  available: boolean;
  adapter: AdapterSummary | null;
  /** Sentences for a person: what is missing, and what that means. */
  notes: string[];
}

export interface GpuBackendOptions {
  /** navigator.gpu by default. Its adapter of high performance is asked for a device. */
  gpu?: GPU;
  /** A device to use instead; the caller keeps it, and its pipelines are shared between models. */
  device?: GPUDevice;
  description: ModelDescription;
  /** Bytes of the model file; fewer only where the file ends. */
  read(offset: number, size: number): Promise<Uint8Array>;
  /** Tokens of context; default: the description's. */
  nCtx?: number;
  /** Tokens of one submit; default 128. */
  nBatch?: number;
  /** Type of the cache; default "f16". */
  kv?: "f16" | "f32";
  onProgress?(progress: { phase: "gpu" | "compile"; done: number; total: number }): void;
  signal?: AbortSignal;
  /**
   * false leaves a variant that the device has; `subgroups: true` takes them on a software adapter, too;
   * `packedDot: true` makes the products of single tokens with 8-bit activations, as the core does.
   */
  variants?: { f16?: boolean; subgroups?: boolean; packedDot?: boolean };
}

export interface Candidates {
  /** By logit descending; ties go to the lower id. */
  ids: Uint32Array;
  logits: Float32Array;
}

export interface GpuBackend {
  readonly info: Partial<AdapterSummary> & {
    /** Most candidates of evaluate(); beyond that it gives all logits. */
    topK: number;
    variant: { nCtx: number; nBatch: number; kv: string; half: boolean; subgroups: boolean; packedDot: boolean };
  };
  /** Bytes on the GPU: weights, cache and work buffers. */
  readonly bytes: number;
  /**
   * Evaluates `tokens` behind the first nPast of those before, and forgets what was behind them. Gives the
   * logits of the last token, or its `topK` best candidates where 1 <= topK <= info.topK. One at a time.
   * Rejects with GpuDeviceError, GpuNumericError, or the reason of `signal`.
   */
  evaluate(
    tokens: ArrayLike<number>, nPast: number, options?: { topK?: number; signal?: AbortSignal },
  ): Promise<{ logits: Float32Array } | Candidates>;
  /** Keeps the first nPast tokens. */
  rewind(nPast: number): void;
  destroy(): void;
  /** Fulfilled with an error when the device is lost; after destroy(), too. */
  readonly lost: Promise<GpuDeviceError>;
}

/** This model or this device is nothing the backend runs; the message names every reason. */
export class GpuUnsupportedError extends Error {}
/** The device was lost, ran out of memory, or refused a command. */
export class GpuDeviceError extends Error {}
/** NaN or infinity among the logits. */
export class GpuNumericError extends Error {}

/** Puts a model on the GPU. Rejects with GpuUnsupportedError or GpuDeviceError; nothing is left behind then. */
export function createGpuBackend(options: GpuBackendOptions): Promise<GpuBackend>;

/** What WebGPU offers here. Never rejects. */
export function gpuCapabilities(gpu?: GPU): Promise<GpuCapabilities>;
