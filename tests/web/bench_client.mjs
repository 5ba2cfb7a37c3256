// The page's half of bench.mjs: one engine loads a model and answers; times are taken here, with the
// same clock and at the same places for every engine.

// Arrival of each token after the request: { nPrompt, firstMs, gapsMs }.
async function timeAnswer(begin) {
  const started = performance.now();
  const arrivals = [];
  const { nPrompt, own } = await begin(() => arrivals.push(performance.now()));
  const gapsMs = arrivals.slice(1).map((at, i) => at - arrivals[i]);
  return { nPrompt, firstMs: arrivals[0] - started, gapsMs, own };
}

async function fetchBlob(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.blob();
}

// spec: { model, prompts, nDecode, nCtx, threads, module, seed }
export async function runOurs(spec) {
  const { createModel } = await import("/lib/lbm.mjs");
  const blob = await fetchBlob(spec.model);
  const started = performance.now();
  // Without its SHA-256, as a model of the store is loaded, whose hash is known; the peer computes none.
  const model = await createModel(blob, { nCtx: spec.nCtx, threads: spec.threads, backend: "wasm", hash: false,
                                          ...(spec.module ? { module: spec.module } : {}) });
  const loadMs = performance.now() - started;
  const answers = [];
  for (const prompt of spec.prompts) {
    await model.reset();
    answers.push(await timeAnswer(async (onToken) => {
      const settings = { raw: true, temperature: 0, seed: spec.seed, maxTokens: spec.nDecode, ignoreEnd: true };
      for await (const { id } of model.generate(prompt, settings)) if (id !== null) onToken();
      return { nPrompt: (await model.diagnostics()).answer.n_prompt, own: null };
    }));
  }
  const diagnostics = await model.diagnostics();
  await model.free();
  return { loadMs, answers, nThreads: diagnostics.n_thread, kernels: diagnostics.kernels };
}

// wllama, as its manual says; its own timings are kept beside ours.
export async function runPeer(spec) {
  const { Wllama } = await import("/peer/esm/index.js");
  const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
  const peer = new Wllama({ default: "/peer/esm/wasm/wllama.wasm" }, { logger: quiet, suppressNativeLog: true });
  const blob = await fetchBlob(spec.model);
  const started = performance.now();
  await peer.loadModel([blob], { n_ctx: spec.nCtx, n_threads: spec.threads, n_gpu_layers: 0, n_parallel: 1, seed: spec.seed });
  const loadMs = performance.now() - started;
  const answers = [];
  for (const prompt of spec.prompts) {
    answers.push(await timeAnswer(async (onToken) => {
      let own = null;
      const stream = await peer.createCompletion({ prompt, max_tokens: spec.nDecode, temperature: 0, seed: spec.seed,
                                                   ignore_eos: true, cache_prompt: false, stream: true });
      for await (const chunk of stream) {
        if ((chunk.choices[0]?.text ?? "") !== "") onToken();
        own = chunk.timings ?? own;
      }
      return { nPrompt: own?.prompt_n ?? 0, own };
    }));
  }
  const nThreads = peer.isMultithread() ? peer.getNumThreads() : 1;
  await peer.exit();
  return { loadMs, answers, nThreads, kernels: Wllama.getLibllamaVersion?.() ?? "" };
}
