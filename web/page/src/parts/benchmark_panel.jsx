// Speed of the loaded model in this browser, as figures and as JSON to copy.

import { useState } from "preact/hooks";
import { formatRate, formatSeconds } from "../state/progress.mjs";

export function BenchmarkPanel({ page, state }) {
  const { benchmark, model, answering } = state;
  const [label, setLabel] = useState("Copy JSON");
  const running = benchmark.state === "running";
  const json = benchmark.result ? JSON.stringify(benchmark.result, null, 1) : "";
  const copy = () =>
    navigator.clipboard.writeText(json).then(
      () => setLabel("Copied"),
      () => setLabel("Not allowed"),
    );
  const middle = benchmark.result?.median;
  return (
    <div class="benchmark">
      <p>
        Reads a prompt of 256 tokens and writes 64, three times. What was evaluated is forgotten; conversations stay.
      </p>
      <div class="row">
        {running ? (
          <button type="button" class="stop" onClick={() => page.stopBenchmark()}>
            Stop
          </button>
        ) : (
          <button
            type="button"
            class="primary"
            data-testid="benchmark-run"
            disabled={model.state !== "ready" || answering !== null}
            onClick={() => page.runBenchmark()}
          >
            Run
          </button>
        )}
        {running && benchmark.run > 0 && (
          <span class="hint" role="status">
            Run {benchmark.run} of {benchmark.nRun}
          </span>
        )}
        {model.state !== "ready" && <span class="hint">Load a model first.</span>}
      </div>
      {benchmark.error && (
        <p class="error" role="alert">
          {benchmark.error}
        </p>
      )}
      {middle && (
        <>
          <dl class="facts">
            <div>
              <dt>Prompt</dt>
              <dd>{formatRate(middle.prompt_per_second, "tok/s")}</dd>
            </div>
            <div>
              <dt>Answer</dt>
              <dd>{formatRate(middle.answer_per_second, "tok/s")}</dd>
            </div>
            <div>
              <dt>First token</dt>
              <dd>{formatSeconds(middle.first_token_ms / 1000)}</dd>
            </div>
            <div>
              <dt>Between tokens</dt>
              <dd>
                {formatSeconds(middle.token_ms_p50 / 1000)} (95 % within {formatSeconds(middle.token_ms_p95 / 1000)})
              </dd>
            </div>
            {benchmark.result.load_ms && (
              <div>
                <dt>Load</dt>
                <dd>{formatSeconds(benchmark.result.load_ms / 1000)}</dd>
              </div>
            )}
          </dl>
          <pre class="json" tabIndex={0} data-testid="benchmark-json">
            {json}
          </pre>
          <button type="button" onClick={copy} onBlur={() => setLabel("Copy JSON")}>
            {label}
          </button>
        </>
      )}
    </div>
  );
}
