// Named tests that wait for something, one after the other; the last line is the one that
// scripts/run_tests.py reads.

const STACK_LINES = 12;

export class WebReport {
  #passed = 0;
  #failed = 0;
  #deadlineMs;

  // A test that takes longer than the deadline has failed, and the next one begins.
  constructor({ deadlineMs = 60_000 } = {}) {
    this.#deadlineMs = deadlineMs;
  }

  // Runs a test; what it returns is returned, undefined where it failed.
  async run(name, test, { deadlineMs = this.#deadlineMs } = {}) {
    const start = performance.now();
    let timer;
    let failure = "";
    let value;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`did not end within ${deadlineMs} ms`)), deadlineMs);
      });
      value = await Promise.race([test(), late]);
      ++this.#passed;
    } catch (error) {
      const lines = String(error?.stack ?? error).split("\n");
      failure = lines.slice(0, STACK_LINES).map((line) => `\n    ${line}`).join("");
      ++this.#failed;
    } finally {
      clearTimeout(timer);
    }
    console.log(`[${failure ? "FAILED" : "ok"}] ${name} (${Math.round(performance.now() - start)} ms)${failure}`);
    return value;
  }

  // What could not be tried, and why.
  skip(what) {
    console.log(`skipped: ${what}`);
  }

  // A figure that is told and not judged.
  note(text) {
    console.log(`note: ${text}`);
  }

  finish() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exitCode = this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

export function expectEqual(actual, expected, what) {
  const [left, right] = [actual, expected].map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
  if (left !== right) throw new Error(`${what}: ${left} instead of ${right}`);
}

// A thread that is not blocked. On a quiet machine 50 ms is never reached; here the bound is one that other work on
// the machine does not reach, and the longest gap, which such work decides, is told alone.
export function expectUnblocked(report, what, { p95Ms, maxMs, longTaskMs }) {
  report.note(`${what}: the page's thread was blocked for at most ${maxMs.toFixed(1)} ms, 95 of 100 times for less than ` +
              `${p95Ms.toFixed(1)} ms, longest task ${longTaskMs.toFixed(1)} ms`);
  if (p95Ms >= 200) throw new Error(`${what}: the page's thread was blocked for ${p95Ms} ms (95 of 100), ${maxMs} ms (longest)`);
}
