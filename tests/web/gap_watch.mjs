// Runs in a page: how long its thread could not do anything else. It asks for a turn every millisecond and
// notes when it gets one.

export class GapWatch {
  #gaps = [];
  #last = performance.now();
  #longTaskMs = 0;
  #timer = setInterval(() => this.#look(), 1);
  #observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) this.#longTaskMs = Math.max(this.#longTaskMs, duration);
  });

  constructor() {
    this.#observer.observe({ entryTypes: ["longtask"] });
  }

  #look() {
    const now = performance.now();
    this.#gaps.push(now - this.#last);
    this.#last = now;
  }

  // Milliseconds: of 95 turns in 100, and the longest; and the longest task that the browser tells of.
  end() {
    this.#look();
    clearInterval(this.#timer);
    this.#observer.disconnect();
    const sorted = this.#gaps.sort((a, b) => a - b);
    return { p95Ms: sorted[Math.floor(0.95 * (sorted.length - 1))], maxMs: sorted.at(-1), longTaskMs: this.#longTaskMs };
  }
}
