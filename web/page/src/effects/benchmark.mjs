// The benchmark of the page: how fast this browser reads a prompt and writes an answer with the loaded model.
// Figures are those of the API (docs/web.md) as this page sees them, workers and messages included.

const PROMPT_TOKENS = 256;
const ANSWER_TOKENS = 64;
const N_RUN = 3;
const SENTENCE = "The light of the stars that we see tonight left them long before anyone wrote of it. ";

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// A prompt of about so many tokens, other text in each run, so that nothing of it was evaluated before.
async function makePrompt(model, run, nToken) {
  const ids = await model.encode(`Run ${run}. ${SENTENCE.repeat(Math.ceil(nToken / 8))}`);
  return model.decode([...ids].slice(0, nToken));
}

export async function runBenchmark({ model, info, capabilities, now, signal, onRun }) {
  const nPrompt = Math.min(PROMPT_TOKENS, Math.floor(info.nCtx / 2));
  const nAnswer = Math.min(ANSWER_TOKENS, Math.floor(info.nCtx / 4));
  const runs = [];
  for (let run = 0; run < N_RUN; ++run) {
    onRun(run + 1, N_RUN);
    await model.reset();
    const prompt = await makePrompt(model, run, nPrompt);
    const times = [];
    const began = now();
    const stream = model.generate(prompt, {
      raw: true,
      temperature: 0,
      seed: 0,
      maxTokens: nAnswer,
      ignoreEnd: true,
      speculate: false,
      signal,
    });
    let state = null;
    for (;;) {
      const { done, value } = await stream.next();
      if (done) {
        state = value ?? null;
        break;
      }
      if (value.id !== null) times.push(now());
    }
    const gaps = times
      .slice(1)
      .map((at, i) => at - times[i])
      .sort((a, b) => a - b);
    const nEvaluated = state?.n_evaluated ?? nPrompt;
    runs.push({
      n_prompt: nEvaluated,
      n_answer: times.length,
      first_token_ms: times[0] - began,
      prompt_per_second: (nEvaluated * 1000) / (times[0] - began),
      answer_per_second: ((times.length - 1) * 1000) / (times.at(-1) - times[0]),
      token_ms_p50: gaps[Math.floor(gaps.length * 0.5)],
      token_ms_p95: gaps[Math.floor(gaps.length * 0.95)],
    });
  }
  await model.reset();
  const of = (name) => median(runs.map((run) => run[name]));
  return {
    format: "lbm-page-benchmark",
    version: 1,
    model: { name: info.name, sha256: info.sha256, bytes: info.bytes, n_ctx: info.nCtx },
    engine: { kernels: info.kernels, threads: info.threads, backend: info.backend },
    browser: {
      user_agent: globalThis.navigator?.userAgent ?? null,
      threads: capabilities?.hardwareConcurrency ?? null,
      isolated: capabilities?.crossOriginIsolated ?? null,
    },
    median: {
      prompt_per_second: of("prompt_per_second"),
      answer_per_second: of("answer_per_second"),
      first_token_ms: of("first_token_ms"),
      token_ms_p50: of("token_ms_p50"),
      token_ms_p95: of("token_ms_p95"),
    },
    load_ms: info.loadMs ?? null,
    runs,
  };
}
