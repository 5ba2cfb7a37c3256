"""M9: the regression guardrails. Reads a serial log of M8; holds its markers, start-up times and their drift against limits.

  guardrails [--log-path FILE] [--max-model-select-ms N] [--max-model-prepare-ms N] [--require-oo-markers]
             [--no-drift-check] [--no-history-write] [--history-path FILE] [--drift-window N]
             [--max-select-drift-pct N] [--max-prepare-drift-pct N] [--json]

Mandatory are the start-up marker with both of its times and the summary of models; the first of each counts. A value that equals its
limit passes. Drift is how far a time lies above its mean over the last rows of the history, failed runs included; without rows, or with
a mean of 0, there is none. The row of this run is appended before the verdict, whatever that is.

Exit codes: 0 all guardrails hold, 1 one does not (or there is no log), 2 usage.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional

from passes import markers
from passes.history import append_row, read_rows, utc_now
from passes.markers import SerialLog
from passes.voice import EXIT_FAILED, EXIT_PASSED, ROOT, PassFailed, Voice, shown_path, whole_number

DEFAULT_LOG = ROOT / "artifacts" / "m8" / "m8-qemu-serial.log"
DEFAULT_HISTORY = ROOT / "artifacts" / "m9" / "history.jsonl"
SELECT_LIMIT_MS = 2000
PREPARE_LIMIT_MS = 12000
POLICY_MARKERS = {"oo_confidence": markers.CONFIDENCE, "oo_feedback": markers.FEEDBACK, "oo_plan": markers.PLAN}


@dataclass
class Drift:
    """How one time compares with those of the last runs."""
    key: str
    n_row: int               # rows that the mean is of
    mean: float
    pct: Optional[float]     # None: nothing to compare with
    limit_pct: int
    holds: bool


@dataclass
class Verdict:
    row: dict
    failures: List[str] = field(default_factory=list)
    drifts: List[Drift] = field(default_factory=list)


def add_budget_flags(parser: argparse.ArgumentParser):
    """The two limits that M8 and M9 share."""
    parser.add_argument("--max-model-select-ms", type=whole_number(0, 120000), default=SELECT_LIMIT_MS, metavar="N",
                        help=f"most milliseconds for choosing the model, 0..120000 (default: {SELECT_LIMIT_MS})")
    parser.add_argument("--max-model-prepare-ms", type=whole_number(0, 120000), default=PREPARE_LIMIT_MS, metavar="N",
                        help=f"most milliseconds for loading it, 0..120000 (default: {PREPARE_LIMIT_MS})")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="guardrails", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log-path", type=Path, default=DEFAULT_LOG, help="the log (default: artifacts/m8/m8-qemu-serial.log)")
    add_budget_flags(parser)
    parser.add_argument("--require-oo-markers", action="store_true", help="confidence, feedback and plan have to be there, too")
    parser.add_argument("--no-drift-check", action="store_true", help="do not compare with earlier runs")
    parser.add_argument("--no-history-write", action="store_true", help="do not append this run")
    parser.add_argument("--history-path", type=Path, default=DEFAULT_HISTORY,
                        help="the history (default: artifacts/m9/history.jsonl)")
    parser.add_argument("--drift-window", type=whole_number(2, 50), default=5, metavar="N",
                        help="rows that the mean is of, 2..50 (default: 5)")
    parser.add_argument("--max-select-drift-pct", type=whole_number(1, 1000), default=250, metavar="N", help="1..1000 (default: 250)")
    parser.add_argument("--max-prepare-drift-pct", type=whole_number(1, 1000), default=250, metavar="N", help="1..1000 (default: 250)")
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object on stdout, all else on stderr")
    return parser


def read_log(path: Path) -> SerialLog:
    try:
        return SerialLog(path.read_bytes().decode("utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise PassFailed(f"there is no log {shown_path(path)}; make one with: scripts/reliability --run-qemu") from error
    except OSError as error:
        raise PassFailed(f"the log {shown_path(path)} can not be read: {error.strerror}") from error


def measure(log: SerialLog, options) -> Verdict:
    """The row of this run, and what its markers and times fail of."""
    times = log.groups(markers.STARTUP)
    row = {
        "ts_utc": utc_now(),
        "log_path": shown_path(options.log_path),
        "model_select_ms": int(times["select"]) if times else None,
        "model_prepare_ms": int(times["prepare"]) if times else None,
        **{key: options.require_oo_markers and log.has(marker) for key, marker in POLICY_MARKERS.items()},
        "max_model_select_ms": options.max_model_select_ms,
        "max_model_prepare_ms": options.max_model_prepare_ms,
        "require_oo_markers": options.require_oo_markers,
    }
    verdict = Verdict(row)
    if times is None:
        verdict.failures.append("startup marker missing: [obs][startup] model_select_ms=N model_prepare_ms=N format=...")
    else:
        for key in ("model_select_ms", "model_prepare_ms"):
            if row[key] > row["max_" + key]:
                verdict.failures.append(f"{key}={row[key]} is over its limit {row['max_' + key]}")
    if not log.has(markers.SUMMARY):
        verdict.failures.append("models summary missing: '  summary: total=N bin=N gguf=N bytes=N'")
    if options.require_oo_markers:
        verdict.failures += [f"{marker.name} marker missing: OK: OO {marker.name}: ..."
                             for key, marker in POLICY_MARKERS.items() if not row[key]]
    return verdict


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and abs(value) != float("inf")


def compare(key: str, value: int, rows: List[dict], window: int, limit_pct: int) -> Drift:
    """Drift of one time over the newest `window` rows that have it."""
    baseline = [row[key] for row in rows if is_number(row.get(key))][-window:]
    total = sum(baseline)
    if total <= 0:
        return Drift(key, len(baseline), 0.0, None, limit_pct, True)
    mean = total / len(baseline)
    # (value - mean) / mean * 100 <= limit, multiplied out: a drift that equals its limit passes, to the last bit.
    holds = (value * len(baseline) - total) * 100 <= limit_pct * total
    return Drift(key, len(baseline), mean, (value - mean) / mean * 100, limit_pct, holds)


def guard(options, voice: Voice) -> Verdict:
    """The whole pass; the verdict's row has been appended to the history. Errors: PassFailed."""
    log = read_log(options.log_path)
    verdict = measure(log, options)
    row = verdict.row
    if not options.no_drift_check and row["model_select_ms"] is not None:
        rows = read_rows(options.history_path)
        verdict.drifts = [
            compare("model_select_ms", row["model_select_ms"], rows, options.drift_window, options.max_select_drift_pct),
            compare("model_prepare_ms", row["model_prepare_ms"], rows, options.drift_window, options.max_prepare_drift_pct)]
        verdict.failures += [f"{drift.key}={row[drift.key]} is {drift.pct:.1f} % over the mean {drift.mean:.1f} of the last "
                             f"{drift.n_row}; the limit is {drift.limit_pct} %" for drift in verdict.drifts if not drift.holds]
    row["pass"] = not verdict.failures
    if not options.no_history_write:
        append_row(options.history_path, row)
    tell(verdict, voice)
    return verdict


def tell(verdict: Verdict, voice: Voice):
    row = verdict.row
    if row["model_select_ms"] is not None:
        voice.step(f"model_select_ms={row['model_select_ms']} (limit {row['max_model_select_ms']}) "
                   f"model_prepare_ms={row['model_prepare_ms']} (limit {row['max_model_prepare_ms']})")
    for drift in verdict.drifts:
        if drift.pct is None:
            voice.step(f"drift of {drift.key}: nothing to compare with yet")
        else:
            voice.step(f"drift of {drift.key}: {drift.pct:+.1f} % of the mean {drift.mean:.1f} over {drift.n_row} "
                       f"(limit {drift.limit_pct} %)")
    for failure in verdict.failures:
        voice.fail(failure)
    if not verdict.failures:
        voice.ok("Guardrails hold")


def as_json(verdict: Verdict) -> dict:
    return {"pass": not verdict.failures, "failures": verdict.failures, "row": verdict.row,
            "drift": [{"key": drift.key, "rows": drift.n_row, "mean": drift.mean, "pct": drift.pct, "limit_pct": drift.limit_pct,
                       "pass": drift.holds} for drift in verdict.drifts]}


def main(arguments) -> int:
    options = build_parser().parse_args(arguments)
    voice = Voice("M9", options.json)
    try:
        verdict = guard(options, voice)
    except PassFailed as error:
        voice.fail(str(error))
        voice.result({"pass": False, "failures": [str(error)]})
        return EXIT_FAILED
    voice.result(as_json(verdict))
    return EXIT_FAILED if verdict.failures else EXIT_PASSED
