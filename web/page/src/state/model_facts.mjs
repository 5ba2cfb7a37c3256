// What the page says of a loaded model, from what the engine, the store, the file and the catalog say of it.

// general.file_type of GGUF.
const FILE_TYPES = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  24: "IQ1_S",
  25: "IQ4_NL",
  30: "IQ4_XS",
  32: "BF16",
  38: "MXFP4_MOE",
};

// The quantization that a file name tells, as quantization tools write it.
export function quantizationIn(name) {
  return /(?:^|[._-])((?:I?Q\d(?:_[A-Z0-9]+)*)|F16|BF16|F32|MXFP4)(?=[._-]|$)/i.exec(name)?.[1].toUpperCase() ?? null;
}

// The entry of the catalog that has these bytes, or, where no hash is known, this name.
export function inCatalog(catalog, { sha256, name }) {
  return (
    catalog.find((model) => model.sha256 && model.sha256 === sha256) ??
    catalog.find((model) => !(model.sha256 && sha256) && model.file === name) ??
    null
  );
}

// `about`: { name, bytes, origin }; `entry`: that of the store or null; `info`: Model.info of the API, which may
// be absent; `diagnostics`: of the API. null stands for what is not known.
export function modelFacts({ about, entry, info, diagnostics, catalog, loadMs }) {
  const { model } = diagnostics;
  const values = info?.values ?? {};
  const stated = (key) => (typeof values[key] === "string" && values[key] !== "" ? values[key] : null);
  const sha256 =
    entry?.files?.[0]?.sha256 ?? info?.modelHash ?? (/^0*$/.test(model.sha256 ?? "") ? null : model.sha256);
  const known = inCatalog(catalog, { sha256, name: about.name });
  const isSame = known !== null && known.sha256 !== null && known.sha256 === sha256;
  return {
    name: about.name,
    title: stated("general.name") ?? known?.title ?? null,
    bytes: about.bytes ?? info?.bytes ?? null,
    origin: about.origin,
    sha256,
    catalog:
      known === null
        ? null
        : isSame
          ? `${known.title}: the bytes are those of the catalog`
          : `${known.title}, by its name alone`,
    signature: entry?.signature ?? null,
    version: entry?.version ?? null,
    stored: entry !== null,
    licence: stated("general.license") ?? known?.licence ?? null,
    architecture: stated("general.architecture") ?? known?.architecture ?? null,
    quantization: FILE_TYPES[values["general.file_type"]] ?? quantizationIn(about.name),
    chat: known?.chat ?? null,
    templateNote: model.template_note,
    hasTemplate: model.has_template,
    tokenizer: model.tokenizer,
    pretokenizer: model.pretokenizer,
    nCtx: model.n_ctx,
    nCtxTrain: model.n_ctx_train,
    nVocab: model.n_vocab,
    nLayer: model.n_layer,
    weightBytes: model.weight_bytes,
    kvBytes: model.kv_bytes,
    threads: diagnostics.n_thread,
    kernels: diagnostics.kernels,
    backend: info?.backend ?? diagnostics.backend ?? "wasm",
    reasons: [...(info?.reasons ?? []), ...(info?.notes ?? [])],
    loadMs,
  };
}
