// The page as a person uses it: loads models, asks, stops, looks. Elements are found by their
// data-testid (web/page/src/parts).

import { basename } from "node:path";

const LOAD_MS = 60_000;
const ANSWER_MS = 90_000;

export class PageDriver {
  constructor(page) {
    this.page = page;
    this.requests = [];
    page.on("request", (request) => this.requests.push(`${request.method()} ${request.url()}`));
  }

  static async open(browser, url) {
    const page = await browser.context.newPage();
    const self = new PageDriver(page);
    await page.goto(url, { waitUntil: "load" });
    await self.started();
    return self;
  }

  at(testId, more = "") {
    return this.page.locator(`[data-testid="${testId}"]${more}`);
  }
  // The page has its engine.
  async started() {
    await this.at("model-chip").waitFor();
  }
  async reload() {
    await this.page.reload({ waitUntil: "load" });
    await this.started();
  }

  // ---- dialogs ----------------------------------------------------------------------------------

  async openPanel(name) {
    await this.at(`open-${name}`).click();
    await this.at("panel").waitFor();
  }
  async closePanel() {
    await this.at("panel-close").click();
    await this.at("panel").waitFor({ state: "detached" });
  }
  async set(settings) {
    await this.openPanel("settings");
    for (const [key, value] of Object.entries(settings)) {
      const field = this.at(`setting-${key}`);
      if ((await field.evaluate((element) => element.tagName)) === "SELECT") await field.selectOption(String(value));
      else await field.fill(String(value));
    }
    await this.closePanel();
  }

  // ---- models -----------------------------------------------------------------------------------

  // A model is there; with a name: that one.
  async ready(name = "", timeout = LOAD_MS) {
    const failed = this.at("model-error");
    const ready = this.at("model-chip", '[data-state="ready"]').filter({ hasText: name });
    await ready.or(failed).first().waitFor({ timeout });
    if (!(await ready.isVisible())) throw new Error(`the model was not loaded: ${await failed.innerText()}`);
  }
  // The panel of models stands on the page itself until there is a model.
  async #models() {
    if (!(await this.at("model-file").count())) await this.openPanel("models");
  }
  async #leaveModels() {
    if (await this.at("panel").count()) await this.closePanel();
  }
  async beginFile(path) {
    await this.#models();
    await this.at("model-file").setInputFiles(path);
  }
  async loadFile(path) {
    await this.beginFile(path);
    await this.ready(basename(path));
    await this.#leaveModels();
  }
  async beginAddress(address) {
    await this.#models();
    await this.at("model-url").fill(address);
    await this.at("model-url-load").click();
  }
  async loadAddress(address) {
    await this.beginAddress(address);
    await this.ready(basename(address));
    await this.#leaveModels();
  }
  // What the store says it has: the states of its entries.
  async storeStates() {
    return this.at("store-entry").evaluateAll((entries) => entries.map((entry) => entry.dataset.state));
  }

  // ---- answers ----------------------------------------------------------------------------------

  async begin(question) {
    await this.at("question").fill(question);
    await this.at("send").click();
    await this.at("answer").last().waitFor();
  }
  // Waits for the end of the newest answer: { text, state, figures }.
  async answered(timeout = ANSWER_MS) {
    await this.at("stop").waitFor({ state: "detached", timeout });
    const answer = this.at("answer").last();
    const state = await answer.getAttribute("data-state");
    const text = (await answer.locator(".markdown").innerText().catch(() => "")).trim();
    return { text, state, figures: await answer.locator('[data-testid="figures"]').innerText().catch(() => "") };
  }
  async ask(question) {
    await this.begin(question);
    return this.answered();
  }
  // Waits until the newest answer has some text; the first characters may be markup alone ("1.").
  async hasText() {
    await this.page.waitForFunction(() => {
      const answers = document.querySelectorAll('[data-testid="answer"] .markdown');
      return answers.length > 0 && answers[answers.length - 1].textContent.trim().length >= 20;
    });
  }

  // What `work` gives, and how long the page's thread could not do anything else meanwhile (gap_watch.mjs).
  async withGaps(work) {
    await this.page.evaluate(async () => {
      const { GapWatch } = await import("/tests/web/gap_watch.mjs");
      window.gapWatch = new GapWatch();
    });
    const value = await work();
    return { value, gaps: await this.page.evaluate(() => window.gapWatch.end()) };
  }
}
