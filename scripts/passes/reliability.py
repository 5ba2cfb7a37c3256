"""M8: the reliability pass (A1 startup marker, A3 models summary, B1 confidence, B2 feedback and outcome, B3 bounded plan).

  reliability --skip-preflight --skip-build              static: what our sources are able to say, seven patterns
  reliability --run-qemu [--accel tcg] [--timeout-sec N]  and at run time: boot in QEMU, run a script, check the serial log
  reliability --log FILE                                  the checks of the run-time part on a log that is there already

The run-time part writes artifacts/m8/m8-qemu-serial.log, checks its markers and hands it to M9 (scripts/guardrails) with the two limits.
The policy loop is not built yet: its checks on our sources and on our own run say `not built`, which neither passes nor fails. A log given
with --log has to have all markers. A log of a boot without a model has no start-up times, so it is not handed to M9.

Exit codes: 0 passed (with what is not built said), 1 something failed, 2 usage.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import List, Optional

from passes import guardrails, markers
from passes.build import make
from passes.markers import SerialLog
from passes.preflight import default_model, is_ready, preflight
from passes.scenario import ACCELERATORS, Scenario, qemu_accelerator, run_scenario
from passes.static_checks import FAILED, NOT_BUILT, PASSED, Check, policy_is_built, static_checks
from passes.tiny_model import write_tiny_model
from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, PassFailed, Voice, shown_path, whole_number

DEFAULT_LOG = ROOT / "artifacts" / "m8" / "m8-qemu-serial.log"
DEFAULT_EFI = ROOT / "build" / "efi" / "BOOTX64.EFI"

# Limits of the passes that follow with the policy loop: name, lowest, highest, default. Their ranges hold already.
POLICY_LIMITS = (
    ("max-harmful-ratio-pct", 0, 100, 40), ("max-consecutive-failures", 1, 100, 2), ("min-auto-apply-samples", 1, 1000, 2),
    ("m11-stable-streak-needed", 1, 100, 3), ("m11-canary-boots", 1, 100, 2), ("m11-min-samples-for-release", 1, 1000, 2),
    ("m11-m9-stable-window", 1, 50, 3), ("m11-m10-stable-window", 1, 50, 3), ("m11-canary-conf-threshold", 0, 100, 20),
    ("m12-early-threshold", 0, 100, 35), ("m12-warm-threshold", 0, 100, 25), ("m12-steady-threshold", 0, 100, 15),
    ("m12-adj-latency-optimization", -100, 100, -5), ("m12-adj-context-expansion", -100, 100, 10), ("m12-adj-mixed", -100, 100, 3),
    ("m12-adj-unknown", -100, 100, 0),
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-preflight", action="store_true", help="do not look at what is installed")
    parser.add_argument("--skip-build", action="store_true", help="take the application that is there")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--run-qemu", action="store_true", help="the run-time part, too")
    source.add_argument("--log", type=Path, metavar="FILE", help="the run-time checks on this log; nothing is built or booted")
    parser.add_argument("--timeout-sec", type=whole_number(15, 600), default=90, metavar="N", help="of the run, 15..600 (default: 90)")
    parser.add_argument("--accel", choices=ACCELERATORS, default="tcg", help="who runs the processor (default: tcg)")
    parser.add_argument("--mem-mb", type=whole_number(1024, 8192), default=4096, metavar="N", help="1024..8192 (default: 4096)")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, metavar="FILE", help="the model to boot with (default: that of `make model`)")
    model.add_argument("--tiny-model", action="store_true", help="boot with a tiny model made on the spot")
    model.add_argument("--no-model", action="store_true", help="boot without a model")
    parser.add_argument("--efi", type=Path, default=DEFAULT_EFI, help="the application (default: build/efi/BOOTX64.EFI)")
    guardrails.add_budget_flags(parser)
    parser.add_argument("--no-drift-check", action="store_true", help="handed to M9")
    parser.add_argument("--no-history-write", action="store_true", help="handed to M9")
    parser.add_argument("--history-path", type=Path, default=guardrails.DEFAULT_HISTORY, help="handed to M9")
    policy = parser.add_argument_group("limits of M10 to M12, which come with the policy loop")
    for name, low, high, default in POLICY_LIMITS:
        policy.add_argument("--" + name, type=whole_number(low, high), default=default, metavar="N", help=f"{low}..{high} (default: {default})")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout, all else on stderr")
    return parser


def tell(checks: List[Check], voice: Voice):
    for check in checks:
        say = {PASSED: voice.ok, FAILED: voice.fail, NOT_BUILT: voice.warn}[check.state]
        say(f"{check.label}: {check.state} ({check.detail})")


def require(checks: List[Check], what: str):
    failed = [check.label for check in checks if check.state == FAILED]
    if failed:
        raise PassFailed(f"{what} failed: {', '.join(failed)}")


def runtime_checks(log: SerialLog, policy_required: bool) -> List[Check]:
    """The markers that a log has to have. Without a model: those of a boot without one."""
    if log.has(markers.READY_NO_MODEL):
        wanted = [("A3 models summary", markers.SUMMARY, False), ("no-model tip", markers.TIP, False)]
    else:
        wanted = [("A1 startup marker", markers.STARTUP, False), ("A3 models summary", markers.SUMMARY, False),
                  ("B1 confidence marker", markers.CONFIDENCE, True), ("B2 feedback marker", markers.FEEDBACK, True),
                  ("B3 plan marker", markers.PLAN, True)]
    checks = []
    for label, marker, is_policy in wanted:
        line = log.first(marker)
        if line is not None:
            checks.append(Check(label, PASSED, line.strip()))
        elif is_policy and not policy_required:
            checks.append(Check(label, NOT_BUILT, "the policy loop has no source yet"))
        else:
            checks.append(Check(label, FAILED, "no such line in the log"))
    return checks


def guardrails_arguments(options, log_path: Path, policy_required: bool) -> List[str]:
    # Times of the tiny model are some milliseconds of chance, and no history of the real one's.
    flags = [("--require-oo-markers", policy_required), ("--no-drift-check", options.no_drift_check or options.tiny_model),
             ("--no-history-write", options.no_history_write or options.tiny_model)]
    return ["--log-path", str(log_path), "--max-model-select-ms", str(options.max_model_select_ms),
            "--max-model-prepare-ms", str(options.max_model_prepare_ms), "--history-path", str(options.history_path),
            *(flag for flag, wanted in flags if wanted)]


class Reliability:
    """One run of the pass; what it found so far is in `result`, whatever comes after."""

    def __init__(self, options, voice: Voice):
        self.options = options
        self.voice = voice
        self.result = {"pass": False, "static": [], "runtime": [], "log_path": None, "guardrails": None, "not_built": [], "failures": []}

    def run(self):
        """Errors: PassFailed."""
        options, voice = self.options, self.voice
        accelerator = qemu_accelerator(options.accel)
        if not options.skip_preflight and options.log is None:
            voice.step("Preflight")
            if not is_ready(preflight(voice)):
                raise PassFailed("preflight is not ready; each [FAIL] above says the way out (or --skip-preflight)")
        self.static_pass()
        if options.log is not None:
            self.log_pass(guardrails.read_log(options.log), options.log, policy_required=True)
            return
        if not options.skip_build:
            voice.step("Build")
            needs_model = options.run_qemu and not (options.model or options.tiny_model or options.no_model)
            make(voice, "efi", *(["model"] if needs_model else []))
        if options.run_qemu:
            self.boot(accelerator)

    def static_pass(self):
        self.voice.step("Static pass")
        checks = static_checks()
        self.result["static"] = [vars(check) for check in checks]
        self.note_not_built(checks)
        tell(checks, self.voice)
        require(checks, "the static pass")
        self.voice.ok("M8 static reliability pass complete")

    def boot(self, accelerator: str):
        options = self.options
        with ExitStack() as stack:
            model = self.find_model(stack)
            scenario = Scenario(options.efi, model, options.mem_mb, accelerator, options.timeout_sec, policy_is_built(), DEFAULT_LOG)
            self.voice.step(f"QEMU: {model.name if model else 'no model'}, {options.mem_mb} MiB, at most {options.timeout_sec} s")
            log = run_scenario(scenario)
        self.log_pass(log, DEFAULT_LOG, scenario.has_policy)

    def find_model(self, stack: ExitStack) -> Optional[Path]:
        options = self.options
        if options.no_model:
            return None
        if options.tiny_model:
            return write_tiny_model(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbm-tiny-"))))
        if options.model is not None:
            if not options.model.is_file():
                raise PassFailed(f"there is no model {options.model}")
            return options.model
        path, reason = default_model()
        if path is None:
            raise PassFailed(f"{reason} (or name one with --model, or use --tiny-model)")
        return path

    def log_pass(self, log: SerialLog, path: Path, policy_required: bool):
        """The run-time checks and M9 over one log."""
        voice, options = self.voice, self.options
        self.result["log_path"] = shown_path(path)
        voice.step(f"Run-time pass over {shown_path(path)}")
        checks = runtime_checks(log, policy_required)
        self.result["runtime"] = [vars(check) for check in checks]
        self.note_not_built(checks)
        tell(checks, voice)
        require(checks, "the run-time pass")
        if log.has(markers.READY_NO_MODEL):
            voice.step("no model was booted, so there are no start-up times for M9 to judge")
        else:
            verdict = guardrails.guard(guardrails.build_parser().parse_args(guardrails_arguments(options, path, policy_required)),
                                       Voice("M9", options.json))
            self.result["guardrails"] = guardrails.as_json(verdict)
            if verdict.failures:
                raise PassFailed("M9 guardrails failed: " + "; ".join(verdict.failures))
        for name in ("M10 quality", "M11 self-heal", "M12 curriculum", "M13 explainability", "M14 coverage"):
            self.result["not_built"].append(name)
        voice.warn("M10 to M14: not built (they come with the policy loop)")
        voice.ok("M8 runtime reliability pass complete")

    def note_not_built(self, checks: List[Check]):
        self.result["not_built"] += [check.label for check in checks if check.state == NOT_BUILT]


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    voice = Voice("M8", options.json)
    reliability = Reliability(options, voice)
    try:
        reliability.run()
        reliability.result["pass"] = True
    except (PassFailed, OSError) as error:
        reliability.result["failures"].append(str(error))
        voice.fail(str(error))
    voice.result(reliability.result)
    return EXIT_PASSED if reliability.result["pass"] else EXIT_FAILED
