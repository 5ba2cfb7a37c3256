// What this browser has of what the engine can use; of each thing that is missing, why and what helps.

const GIB = 2 ** 30;

// [{ name, has, value, why, help }] of capabilities() (web/lib) and of what only a page knows.
export function capabilityRows(found, { secure = true, storage = true, usage = null, adapter = undefined } = {}) {
  const https = "Open the page by https, or from localhost.";
  const gpuWhy = secure
    ? "This browser offers no WebGPU, or its graphics driver is on a block list."
    : "WebGPU needs a secure context.";
  const rows = [
    {
      name: "WebAssembly SIMD",
      has: found.simd,
      why: "This browser has none: no model can be run.",
      help: "A newer browser (Chrome 91, Firefox 89, Safari 16.4 or later).",
    },
    {
      name: "Relaxed SIMD",
      has: found.relaxedSimd,
      why: "Slower kernels are used; the answers are the same.",
      help: "A newer browser (Chrome 114, Firefox 145 or later).",
    },
    {
      name: "Threads",
      has: found.sharedMemory,
      value: `${found.autoThreads ?? found.hardwareConcurrency} of ${found.hardwareConcurrency} in use`,
      why: "The page is not isolated from other sites, so memory can not be shared: one thread.",
      help: secure
        ? "The page adds the headers itself after one reload; lbm serve sends them."
        : https,
    },
    {
      name: "WebGPU",
      has: found.webgpu,
      why: gpuWhy,
      help: secure ? "A newer browser or driver; models run on the processor meanwhile." : https,
    },
  ];
  if (found.webgpu) {
    const f16 = adapter?.features?.has?.("shader-f16") ?? false;
    rows.push(
      adapter === null
        ? {
            name: "WebGPU adapter",
            has: false,
            why: "The browser has WebGPU and gives no adapter.",
            help: "See chrome://gpu; models run on the processor meanwhile.",
          }
        : {
            name: "16-bit floats on the GPU",
            has: f16,
            why: adapter === undefined ? "Not asked yet." : "The adapter has no shader-f16: 32-bit kernels are used.",
            help: "A newer graphics driver may have them.",
          },
    );
  }
  const opfs = found.opfs ?? storage;
  rows.push(
    {
      name: "Storage (OPFS)",
      has: opfs,
      value: usage ? `${(usage.quota / GIB).toFixed(1)} GiB may be used` : undefined,
      why: "Models can not be kept in this browser.",
      help: secure ? "Private windows of some browsers have none; models can be loaded from files." : https,
    },
    {
      name: "Memory",
      has: true,
      value: found.deviceMemoryGiB ? `${found.deviceMemoryGiB} GiB or more` : "not told by this browser",
    },
    { name: "Largest model", has: true, value: `${(found.maxModelBytes / GIB).toFixed(1)} GiB with its context` },
  );
  return rows;
}
