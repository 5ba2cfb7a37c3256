// What an application writes, for the compiler of TypeScript, which holds lbm.d.ts against it. It is never run.
//   tsc --project tests/node/types_tsconfig.json
import {
  type Answer, type Capabilities, type Diagnostics, type GeneratedToken, LbmError, type Manifest, type Model,
  type ModelInfo, type Replay, type RunRecord, type TokenizerMetrics, canonicalJson, capabilities, capabilityLines,
  checkRecord, createModel, gpuCapabilities, loadTokenizer, replay, tokenizerMetrics,
} from "llm-baremetal";

export async function chat(file: File, signal: AbortSignal): Promise<string> {
  const found: Capabilities = capabilities();
  const lines: string[] = capabilityLines(found, await gpuCapabilities());
  const model: Model = await createModel(file, {
    backend: "auto",
    threads: "auto",
    nCtx: 2048,
    kv: "q8_0",
    onProgress: ({ phase, done, total }) => lines.push(`${phase} ${done / total}`),
    onEvent: (event) => {
      if (event.type === "answer") lines.push(event.record.run_id);
      else if (event.type === "load") lines.push(...event.reasons);
    },
  });
  const answer: Answer = model.generate([{ role: "user", content: "?" }], { seed: 7n, topK: 40, signal });
  let text = "";
  for await (const token of answer) {
    const { id, text: piece }: GeneratedToken = token;
    text += id === null ? piece : piece.trim();
  }
  const record: RunRecord = await answer.record;
  const again: Replay = await model.replay(record, { signal });
  const elsewhere: Replay = await replay(model, record);
  const manifest: Manifest = model.describeManifest();
  const info: ModelInfo | null = model.info;
  const diagnostics: Diagnostics = await model.diagnostics();
  const shuffled: string[] = await model.shuffle(["a", "b"], 1);
  await model.load(new Uint8Array(8), { transfer: true, sha256: "00" });
  await model.reset();
  await model.free();
  const problems: string[] = checkRecord(record);
  return [text, canonicalJson(record), again.equal, elsewhere.differs, manifest.weights.sha256, info?.backend,
    diagnostics.model?.n_past, shuffled, problems].join();
}

export async function metricsOf(url: URL): Promise<TokenizerMetrics> {
  const tokenizer = await loadTokenizer(url, { worker: false });
  const one: Uint32Array = await tokenizer.encode("a");
  const many: Uint32Array[] = await tokenizer.encode(["a", "b"], { addSpecial: true });
  const text: string = await tokenizer.decode(one);
  const texts: string[] = await tokenizer.decode(many);
  try {
    return await tokenizerMetrics(tokenizer, [text, ...texts]);
  } catch (error) {
    if (error instanceof LbmError && error.kind === "freed") console.error(error.code);
    // @ts-expect-error: there is no such kind
    if (error instanceof LbmError && error.kind === "tired") console.error(error.code);
    throw error;
  } finally {
    await tokenizer.free();
  }
}
