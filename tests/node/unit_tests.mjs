// Runs every test case of a test module: unit_tests.mjs MODULE.wasm [PART OF A NAME OR TAG]

import { startModule, TestReport } from "./module.mjs";

const [path, filter = ""] = process.argv.slice(2);
const { exports, text } = startModule(path);
const report = new TestReport();
const stackTop = exports.__stack_pointer.value;

for (let i = 0; i < exports.test_count(); ++i) {
  const name = text(exports.test_name(i));
  if (!name.includes(filter) && !text(exports.test_tags(i)).includes(filter)) continue;
  report.run(name, () => {
    let trap = "";
    try {
      if (exports.test_run(i) === 0) return;
    } catch (error) {
      // A failed REQUIRE, a panic, or a real one: the next case starts on a fresh stack.
      exports.__stack_pointer.value = stackTop;
      trap = text(exports.lbm_panic_message()) || error.stack;
    }
    const failures = text(exports.test_failures());
    throw new Error(failures + (failures === "" ? trap : ""));
  });
}
console.log(`${exports.test_n_check()} checks`);
report.finish();
