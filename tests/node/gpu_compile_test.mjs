// Every shader of web/gpu compiles, in every variant, under both compilers of WGSL (CSS-6): Tint (Dawn,
// the npm package webgpu) and naga (wgpu, the Python package of that name). What is compiled is the text
// that ships: modules are composed by the same functions.
//
//   node tests/node/gpu_compile_test.mjs [--modules BUILD/web]
//
// Dawn's null backend has every feature, so it checks f16 and subgroups without an adapter for them.
// naga runs where python3 has the package wgpu (in BUILD/python, too), or LBM_NAGA_PYTHON names one that
// does. It needs an adapter; Chromium's has no f16, Mesa's lavapipe has. It knows no subgroups yet.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AsyncReport, SWIFTSHADER, check, openGpu, options } from "./gpu_device.mjs";
import { allShaders } from "./gpu_shaders.mjs";

const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
const packages = [process.env.PYTHONPATH, options.modules && join(options.modules, "..", "python")].filter(Boolean);
const env = {
  VK_ICD_FILENAMES: existsSync(LAVAPIPE) ? LAVAPIPE : SWIFTSHADER, XDG_RUNTIME_DIR: "/tmp", ...process.env,
  PYTHONPATH: packages.join(delimiter),
};
const report = new AsyncReport();
const shaders = allShaders();

const { gpu, why } = await openGpu(["backend=null"]);
if (!gpu) {
  console.log(`skipped: ${why}`);
} else {
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice({ requiredFeatures: ["shader-f16", "subgroups"] });

  await report.run("CSS-6 every shader compiles under Tint", async () => {
    for (const { label, text } of shaders) {
      const module = device.createShaderModule({ code: text });
      const { messages } = await module.getCompilationInfo();
      const bad = messages.filter(({ type }) => type !== "info");
      check(bad.length === 0, `${label}: line ${bad[0]?.lineNum}: ${bad[0]?.message}`);
    }
    return `${shaders.length} shaders`;
  });

  await report.run("CSS-6 every shader fits its bindings and the default limits", async () => {
    const { pipelinesOf } = await import("../../web/gpu/pipelines.mjs");
    await pipelinesOf(device).compile(shaders);
    const most = Math.max(...shaders.map(({ storage }) => storage.length));
    check(most <= 8, `${most} storage buffers, and devices promise 8`);
    return `at most ${most} storage buffers`;
  });

  await report.run("CSS-6 the check sees a fault", async () => {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code: shaders[0].text.replace("n_unit", "n_units") });
    const { messages } = await module.getCompilationInfo();
    await device.popErrorScope();
    check(messages.some(({ type }) => type === "error"), "a member that does not exist was accepted");
  });
}

const NAGA = fileURLToPath(new URL("naga_compile.py", import.meta.url));
const python = process.env.LBM_NAGA_PYTHON ?? "python3";
if (spawnSync(python, ["-c", "import wgpu"], { env }).status !== 0) {
  console.log(`skipped: naga (${python} has no package wgpu)`);
} else {
  await report.run("CSS-6 every shader compiles under naga", async () => {
    const given = shaders.filter(({ text }) => !text.includes("enable subgroups"));
    const { status, stdout, stderr } = spawnSync(python, [NAGA], {
      input: JSON.stringify(given.map(({ label, text }) => ({ label, text }))), encoding: "utf8", env,
    });
    if (status === 77) return `skipped: ${stdout.trim()}`;
    check(status === 0, `${stdout}${stderr}`);
    return stdout.trim();
  });
}
report.finish();
