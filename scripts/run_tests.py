#!/usr/bin/env python3
"""Runs everything that `make test` promises, one stage after the other, and adds up.

  run_tests.py [--build build] [--model FILE] [--only STAGE]...

  hosted      the Catch2 tests on this machine                   (build/test/hosted_tests)
  cli         the command line, as a user calls it                (tests/hosted/cli_*test.py)
  efi         the same test sources as an EFI application in QEMU (build/efi/tests.efi)
  wasm        the same test sources, and digests of models, as WebAssembly in Node (build/web, build/wasm, tests/node)
  web         the JavaScript API, the store and WebGPU in Node, then all of it and the page in Chromium (build/web, tests/web)
  boot        one boot and chat in QEMU, its digest held against that of lbm on this machine
  screen      display and keyboard of a machine in QEMU           (tests/hosted/screen_*test.py)
  matrix      some machines of the boot matrix: each ends in a chat or in a named refusal (scripts/boot_matrix.py)
  power       some hundred states that a power cut leaves behind: no record is lost (scripts/power_cut.py)
  secure      Secure Boot and measured boot in QEMU (scripts/secure_boot_test.py)
  fuzz        every fuzzer of a parser for some seconds, with the hostile files as seeds (build/san/fuzz)
  mutants     10 checks of the parsers taken out, others with every commit: a test has to notice (scripts/check_mutation.py)
  scripts     the unit tests of the Python scripts                (tests/scripts)
  structure   layers, symbols, PE file, documents, hostile files, families, example config; each counts as one test

Each stage prints one line; the output of one that failed follows it, and all of it is in BUILD/test/STAGE.log. A stage that
crashes, hangs or prints no result counts as one failure. The last line is "N passed, N failed".

Exit codes: 0 all passed, 1 something failed, 2 usage.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(os.environ.get("LBM_GOLDEN", ROOT.parent / "shared" / "golden"))
TAIL_LINES = 200
CLOSING_LINE = re.compile(r"^(\d+) passed, (\d+) failed\b", re.MULTILINE)

PROMPT = "What is the capital of France?"
N_TOKEN = 8


@dataclass
class Outcome:
    n_passed: int
    n_failed: int
    output: str
    note: str = ""


class StageFailed(Exception):
    """A stage that came to no result; the text says why, `output` what it had printed."""

    def __init__(self, reason, output=""):
        super().__init__(reason)
        self.output = output


RUNNING = set()  # processes that run() waits for, in whichever thread


def run(command, timeout_s, **environment):
    """Runs a command in the project's root; returns (exit code, its output). It and its children end with the time.

    `environment` are variables added to ours.
    """
    try:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, env={**os.environ, **environment}, errors="replace", start_new_session=True)
    except OSError as error:
        raise StageFailed(f"cannot run {command[0]}: {error.strerror}") from error
    RUNNING.add(process)
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise StageFailed(f"did not end within {timeout_s} s", output) from error
        raise
    finally:
        RUNNING.discard(process)
    return process.returncode, output


def closing_counts(code, output):
    """The counts of the last closing line, held against the exit code: a crash after the line is a failure, too."""
    counts = CLOSING_LINE.findall(output)
    if not counts:
        raise StageFailed(f"ended with exit code {code} and no closing line 'N passed, N failed'", output)
    n_passed, n_failed = map(int, counts[-1])
    if code != 0 and n_failed == 0:
        raise StageFailed(f"says that nothing failed, but ended with exit code {code}", output)
    if n_passed + n_failed == 0:
        raise StageFailed("ran no test", output)
    return n_passed, n_failed


# ---- the stages ------------------------------------------------------------------------------------------------------


def run_with_closing_line(command, timeout_s):
    code, output = run(command, timeout_s)
    n_passed, n_failed = closing_counts(code, output)
    n_skipped = len(set(re.findall(r"skipped: .*", output)))
    return Outcome(n_passed, n_failed, output, f"{n_skipped} skip for want of data" if n_skipped else "")


def stage_hosted(options):
    return run_with_closing_line([options.build / "test" / "hosted_tests"], 600)


def stage_efi(options):
    # Two cores: tests/bare/workers_test.cpp wants another one.
    return run_with_closing_line([sys.executable, "scripts/qemu.py", "test", options.build / "efi" / "tests.efi",
                                  "--smp", "2", "--hostile", options.build / "hostile" / "HOSTILE.PAK"], 600)


def last_json_line(output):
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise ValueError("no JSON line")


def stage_boot(options):
    """Bare metal and this machine must give the same bits: the same answer and the same run digest."""
    if options.model is None or not options.model.is_file():
        raise StageFailed(f"there is no model at {options.model}; fetch it with: make model")
    common = ["--temp", "0", "-n", str(N_TOKEN)]
    _, on_host = run([options.build / "lbm", "run", "-m", options.model, "-p", PROMPT, "--chat", "--json", *common], 120)
    _, on_metal = run([sys.executable, "scripts/qemu.py", "chat", "--efi", options.build / "efi" / "BOOTX64.EFI",
                       "--model", options.model, "--prompt", PROMPT, *common], 600)
    output = f"--- lbm ---\n{on_host}\n--- QEMU ---\n{on_metal}\n"
    try:
        host, metal = last_json_line(on_host), last_json_line(on_metal)
        host_digest, metal_digest = host["digest"], metal["digest"]
        text = metal["text"]
    except (ValueError, KeyError) as error:
        raise StageFailed(f"no answer to compare: {error}", output) from error
    checks = {
        f"answers '{PROMPT}' with Paris ({text!r})": "Paris" in text,
        f"text is equal: {text!r} and {host['text']!r}": text.strip() == host["text"].strip(),
        f"digest is equal: {metal_digest} and {host_digest}": bool(metal_digest) and metal_digest == host_digest,
    }
    output += "".join(f"{'ok    ' if passed else 'FAILED'} {name}\n" for name, passed in checks.items())
    n_passed = sum(checks.values())
    note = ", ".join(f"{key} {metal[key]:g}" for key in ("boot_s", "load_s", "decode_tok_s") if key in metal)
    return Outcome(n_passed, len(checks) - n_passed, output, note)


def stage_matrix(options):
    return run_with_closing_line([sys.executable, "scripts/boot_matrix.py", "--short", "--efi", options.build / "efi" / "BOOTX64.EFI",
                                  "--logs", options.build / "test" / "matrix"], 900)


def stage_power(options):
    code, output = run([sys.executable, "scripts/power_cut.py", "--short", "--efi", options.build / "efi" / "BOOTX64.EFI"], 900)
    states = re.search(r"^(\d+) states ", output, re.MULTILINE)
    if not states:
        raise StageFailed(f"ended with exit code {code}", output)
    return Outcome(int(code == 0), int(code != 0), output, f"{states[1]} states")


def stage_secure(options):
    code, output = run([sys.executable, "scripts/secure_boot_test.py", "--efi", options.build / "efi" / "BOOTX64.EFI",
                        "--tests", options.build / "efi" / "tests.efi",
                        "--model", options.build / "families" / "gemma-odd.gguf"], 600)
    if code == 0 and "0 passed, 0 failed" in output:
        return Outcome(0, 0, output, "skipped: no firmware with Secure Boot, and no TPM to emulate (make deps)")
    n_passed, n_failed = closing_counts(code, output)
    return Outcome(n_passed, n_failed, output)


NODE_PROBE = "process.exit(WebAssembly.validate(require('fs').readFileSync(process.argv[1])) ? 0 : 3)"
# Node 20 knows relaxed SIMD only when asked, and gets it right only without its quick compiler.
NODE_RELAXED_FLAGS = ([], ["--experimental-wasm-relaxed-simd", "--no-liftoff"])


def node_flags_for(node, module):
    """The options with which this Node accepts a module with relaxed SIMD, or None."""
    return next((flags for flags in NODE_RELAXED_FLAGS if run([node, *flags, "-e", NODE_PROBE, module], 60)[0] == 0), None)


def stage_wasm(options):
    """The shared tests, and digests against those of lbm; for engines without relaxed SIMD and with it.

    The last part lets Node choose its compiler: where that one is wrong, the known-answer test has to notice.
    """
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        return Outcome(0, 0, "", "skipped: there is no Node.js (make deps)")
    web, tests = options.build / "web", options.build / "wasm"
    digests = ["tests/node/digest_test.mjs", "--lbm", options.build / "lbm", "--modules", web, "--golden", GOLDEN / "quantized"]
    model = ["--model", options.model] if options.model and options.model.is_file() else []
    relaxed = node_flags_for(node, tests / "tests-relaxed.wasm")
    parts = [["tests/node/unit_tests.mjs", tests / "tests.wasm"], [*digests, "--module", "lbm", "--threads", "2"]]
    parts[1] += model if relaxed is None else []
    if relaxed is not None:
        parts += [[*relaxed, "tests/node/unit_tests.mjs", tests / "tests-relaxed.wasm"],
                  [*relaxed, *digests, *model, "--module", "lbm-relaxed", "--threads", "3"],
                  [*relaxed[:1], "tests/node/unit_tests.mjs", tests / "tests-relaxed.wasm", "[kernels]"]]
    api = ["tests/node/api_test.mjs", "--lbm", options.build / "lbm", "--golden", GOLDEN / "quantized"]
    parts.append([*api, "--module", web / "lbm.wasm"] if relaxed is None else
                 [*relaxed, *api, *model, "--module", web / "lbm-relaxed.wasm"])
    parts.append(["tests/node/hostile_test.mjs", tests / "tests.wasm", options.build / "hostile" / "HOSTILE.PAK"])
    outcomes = [run_with_closing_line([node, *part], 300) for part in parts]
    notes = {outcome.note for outcome in outcomes if outcome.note}
    if not model:
        notes.add("skipped: no default model")
    if relaxed is None:
        notes.add("skipped: relaxed SIMD, which this Node.js has not got")
    return Outcome(sum(outcome.n_passed for outcome in outcomes), sum(outcome.n_failed for outcome in outcomes),
                   "".join(outcome.output for outcome in outcomes), ", ".join(sorted(notes)))


# What the stage web runs, the longest ones first: tests in Node, and those of tests/web, which start Chromium.
WEB_TESTS = ("tests/web/store_*_test.mjs", "tests/node/gpu_*test.mjs", "tests/web/*_test.mjs", "tests/node/lib_*test.mjs",
             "tests/node/store_*test.mjs", "tests/node/page_*test.mjs", "tests/node/openai_*test.mjs")
WEB_TEST_SECONDS = 600
WEB_JOBS = 2  # most of them wait for most of their time
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def require_web_tools():
    """Node.js, or StageFailed: what is missing here is a failure, since nothing else tries the page."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise StageFailed("there is no Node.js (make deps)")
    if not (ROOT / "web" / "node_modules").is_dir():
        raise StageFailed("web/node_modules is missing: make web")
    if not os.environ.get("LBM_CHROMIUM") and not any(map(shutil.which, BROWSERS)):
        raise StageFailed("there is no Chromium: make deps, or LBM_CHROMIUM=path")
    return node


def stage_web(options):
    """Every test script has the same options; one that comes to no result is one failure, and the others still run."""
    node = require_web_tools()
    common = ["--lbm", options.build / "lbm", "--modules", options.build / "web", "--golden", GOLDEN / "quantized"]
    common += ["--model", options.model] if options.model and options.model.is_file() else []

    def run_script(script):
        started = time.monotonic()
        try:
            code, output = run([node, script, *common], WEB_TEST_SECONDS)
            outcome = Outcome(*closing_counts(code, output), output)
        except StageFailed as error:
            outcome = Outcome(0, 1, f"{error.output}\n{script}: {error}\n")
        print(f"     {script}: {outcome.n_passed} passed, {outcome.n_failed} failed   {time.monotonic() - started:.1f} s", flush=True)
        return Outcome(outcome.n_passed, outcome.n_failed, f"--- {script} ---\n{outcome.output}")

    scripts = list(dict.fromkeys(path.relative_to(ROOT) for pattern in WEB_TESTS for path in sorted(ROOT.glob(pattern))))
    pool = ThreadPoolExecutor(WEB_JOBS)
    try:
        outcomes = list(pool.map(run_script, scripts))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    pool.shutdown()
    output = "".join(outcome.output for outcome in outcomes)
    n_passed, n_failed = sum(outcome.n_passed for outcome in outcomes), sum(outcome.n_failed for outcome in outcomes)
    if n_passed + n_failed == 0:
        raise StageFailed("ran no test", output)
    n_skipped = len(set(re.findall(r"skipped: .*", output)))
    return Outcome(n_passed, n_failed, output, f"{n_skipped} skip for want of data" if n_skipped else "")


CLI_TESTS = ("cli_*test.py", "openai_*test.py")


def run_unittest(command, timeout_s, **environment):
    code, output = run([sys.executable, *command], timeout_s, **environment)
    ran = re.search(r"^Ran (\d+) tests?", output, re.MULTILINE)
    if not ran or int(ran[1]) == 0:
        raise StageFailed(f"ran no test (exit code {code})", output)
    n_failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    n_skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output))
    if code != 0 and n_failed == 0:
        raise StageFailed(f"ended with exit code {code}", output)
    return Outcome(int(ran[1]) - n_failed - n_skipped, n_failed, output, f"{n_skipped} skipped" if n_skipped else "")


def stage_cli(options):
    """The command line, and lbm serve as clients of strangers use it; these clients are in BUILD/python."""
    environment = {"LBM": str(options.build / "lbm"), "PYTHONPATH": str(options.build / "python")}
    discover = ["-m", "unittest", "discover", "-s", "tests/hosted", "-t", "tests/hosted", "-p"]
    outcomes = [run_unittest([*discover, pattern], 900, **environment) for pattern in CLI_TESTS if any((ROOT / "tests" / "hosted").glob(pattern))]
    return Outcome(sum(outcome.n_passed for outcome in outcomes), sum(outcome.n_failed for outcome in outcomes),
                   "".join(outcome.output for outcome in outcomes), ", ".join(outcome.note for outcome in outcomes if outcome.note))


def stage_screen(options):
    """Display and keyboard of a machine under QEMU."""
    discover = ["-m", "unittest", "discover", "-s", "tests/hosted", "-t", "tests/hosted", "-p", "screen_*test.py"]
    return run_unittest(discover, 900, EFI=str(options.build / "efi" / "BOOTX64.EFI"))


def stage_scripts(_options):
    return run_unittest(["-m", "unittest", "discover", "-s", "tests/scripts", "-t", "tests/scripts"], 300)


FUZZ_SECONDS = 20
N_MUTANT = 10


def stage_fuzz(options):
    fuzzers = options.build / "san" / "fuzz"
    names = sorted(path.name for path in fuzzers.glob("*_fuzz") if path.name != "kernels_fuzz")
    if not names:
        return Outcome(0, 0, "", f"skipped: there are no fuzzers in {fuzzers} (make test builds them)")
    return run_with_closing_line([sys.executable, "scripts/fuzz.py", "--fuzzers", fuzzers, "--corpus", options.build / "hostile",
                                  "--seconds", str(FUZZ_SECONDS), "--jobs", str(os.cpu_count() or 1), *names], 900)


def stage_mutants(options):
    """Others with every commit, the same ones for the same commit."""
    _, commit = run(["git", "rev-parse", "HEAD"], 30)
    seed = int(commit[:7], 16) if re.match(r"[0-9a-f]{40}", commit) else 0
    code, output = run([sys.executable, "scripts/check_mutation.py", "--build", options.build, "--sample", str(N_MUTANT), "--seed", str(seed)], 600)
    counted = re.search(r"^(\d+) of (\d+) mutants caught", output, re.MULTILINE)
    if not counted:
        raise StageFailed(f"ended with exit code {code}", output)
    return Outcome(int(counted[1]), 0 if code == 0 else int(counted[2]) - int(counted[1]), output, f"seed {seed}")


def check_example_config(options):
    """repl.cfg.example is what the settings' own table writes: no key is forgotten, none is left over."""
    code, output = run([options.build / "test" / "write_example_config"], 30)
    if code != 0:
        return code, output
    if output == (ROOT / "repl.cfg.example").read_text(encoding="utf-8"):
        return 0, ""
    return 1, "repl.cfg.example differs from the settings. Write it again with: make example-config\n"


def stage_structure(options):
    build = options.build
    checks = {
        "layers": lambda: run([sys.executable, "scripts/check_layers.py"], 60),
        "symbols": lambda: run([sys.executable, "scripts/check_symbols.py", build], 60),
        "pe": lambda: run([sys.executable, "scripts/check_pe.py", build / "efi" / "BOOTX64.EFI"], 60),
        "documents": lambda: run([sys.executable, "scripts/check_docs.py"], 60),
        "hostile files": lambda: run([sys.executable, "tests/hostile/generate.py", "--check"], 300),
        "families": lambda: run([sys.executable, "tests/families/generate.py", "--check"], 60),
        "example config": lambda: check_example_config(options),
    }
    n_failed = 0
    output = ""
    for name, check in checks.items():
        code, text = check()
        n_failed += code != 0
        output += f"{'FAILED' if code else 'ok    '} {name}\n{text}"
    return Outcome(len(checks) - n_failed, n_failed, output)


STAGES = {"hosted": stage_hosted, "cli": stage_cli, "efi": stage_efi, "wasm": stage_wasm, "web": stage_web,
          "boot": stage_boot,
          "screen": stage_screen, "matrix": stage_matrix, "power": stage_power, "secure": stage_secure,
          "fuzz": stage_fuzz, "mutants": stage_mutants, "scripts": stage_scripts, "structure": stage_structure}


# ---- the run ---------------------------------------------------------------------------------------------------------


def run_stage(name, options):
    """Runs one stage and shows its line; returns its outcome."""
    started = time.monotonic()
    try:
        outcome = STAGES[name](options)
    except (StageFailed, OSError) as error:
        outcome = Outcome(0, 1, getattr(error, "output", "") + f"\n{name}: {error}\n", str(error))
    seconds = time.monotonic() - started
    note = f"   ({outcome.note})" if outcome.note else ""
    # Not the plain closing line: that one stands alone, at the end.
    print(f"test {name + ':':<11} {outcome.n_passed:>4} passed, {outcome.n_failed} failed   {seconds:5.1f} s{note}", flush=True)
    log = options.build / "test" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(outcome.output, encoding="utf-8")
    if outcome.n_failed:
        lines = outcome.output.rstrip().splitlines()
        if len(lines) > TAIL_LINES:
            print(f"    | ... ({len(lines) - TAIL_LINES} lines before are in {log})")
        for line in lines[-TAIL_LINES:]:
            print("    | " + line)
    return outcome


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build"), help="the build folder (default: build)")
    parser.add_argument("--model", type=Path, help="the model of the boot stage")
    parser.add_argument("--only", action="append", choices=STAGES, help="run this stage; may be given again")
    options = parser.parse_args(arguments)
    options.build = (ROOT / options.build).resolve()
    if options.model:
        options.model = (ROOT / options.model).resolve()
    outcomes = [run_stage(name, options) for name in options.only or STAGES]
    n_failed = sum(outcome.n_failed for outcome in outcomes)
    print(f"{sum(outcome.n_passed for outcome in outcomes)} passed, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
