// Chromium for tests: a fresh profile each time, and everything that a page complains about is kept.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const ARGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync"];
// A software adapter, so that WebGPU is there on every machine.
// SwiftShader takes ten times as long to compile shaders whose workgroup memory is zeroed first.
const GPU_ARGS = [
  "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-dawn-features=disable_workgroup_init",
];

export function findChromium() {
  if (process.env.LBM_CHROMIUM) return process.env.LBM_CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync) ?? null;
}

function playwright() {
  const fromWeb = createRequire(new URL("../../web/package.json", import.meta.url));
  try {
    return fromWeb("playwright-core");
  } catch (error) {
    throw new Error("playwright-core is not installed: run `npm ci` in web/, or `make web`", { cause: error });
  }
}

// What is written on consoles of pages, of their workers, and errors that nobody caught. Pages that
// expect one take it out of `problems`.
export class Browser {
  #profile;
  #context;
  messages = [];
  problems = [];

  static async launch({ gpu = false, args = [], profile = null } = {}) {
    const executablePath = findChromium();
    if (executablePath === null) throw new Error("there is no Chromium (make deps, or LBM_CHROMIUM=path)");
    const self = new Browser();
    self.#profile = profile ?? (await mkdtemp(join(tmpdir(), "lbm-chromium-")));
    self.ownsProfile = profile === null;
    self.#context = await playwright().chromium.launchPersistentContext(self.#profile, {
      executablePath,
      headless: true,
      args: [...ARGS, ...(gpu ? GPU_ARGS : []), ...args],
    });
    for (const event of ["console", "weberror"]) {
      self.#context.on(event, (what) => self.#hear(event === "console" ? what : null, event === "weberror" ? what.error() : null));
    }
    return self;
  }

  static version() {
    return execFileSync(findChromium(), ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  }

  #hear(message, error) {
    if (error !== null) {
      this.problems.push(`uncaught: ${error.stack ?? error}`);
      return;
    }
    const line = `${message.type()}: ${message.text()}`;
    this.messages.push(line);
    if (message.type() === "error") this.problems.push(`${line} (${message.location().url})`);
  }

  get context() {
    return this.#context;
  }

  // A new tab at `url`.
  async open(url, options = {}) {
    const page = await this.#context.newPage();
    if (options.before) await options.before(page);
    await page.goto(url, { waitUntil: "load" });
    return page;
  }

  // The most memory that a process with pages of this browser has held, and what it holds now (Linux).
  async peakBytes() {
    return this.#rendererMemory("VmHWM");
  }
  async residentBytes() {
    return this.#rendererMemory("VmRSS");
  }
  async #rendererMemory(field) {
    const ids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
    const sizes = await Promise.all(ids.map(async (id) => {
      const command = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
      if (!command.includes("--type=renderer") || !command.includes(this.#profile)) return 0;
      const status = await readFile(`/proc/${id}/status`, "utf8").catch(() => "");
      return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
    }));
    return Math.max(0, ...sizes);
  }

  async close() {
    await this.#context.close().catch(() => {});
    if (this.ownsProfile) await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
