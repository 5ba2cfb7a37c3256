"""The lines of the serial log that checks read: their exact shapes, and a log as lines.

A marker is a whole line from column 0. Lines are found without regard to case, numbers are taken with it, as the host checks of
the specification do. Policy markers (`OK: OO ...`) are those of the policy loop; a log without that loop has none.
"""

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from qemu_machine import ESCAPE

REASON = r"(?: reason_id=OO_[A-Z_]+)?"
ACTION = r"(?:reduce_ctx|reduce_seq|increase_ctx)"
GATE = r"gate=(?:enforced|log_only) pass=(?:yes|no)"


@dataclass(frozen=True)
class Marker:
    name: str
    pattern: str  # of the whole line; its named groups are what a check reads


STARTUP = Marker("startup", r"\[obs\]\[startup\] model_select_ms=(?P<select>\d{1,15}) model_prepare_ms=(?P<prepare>\d{1,15}) "
                            r"format=(?:gguf|bin|unknown)")
SUMMARY = Marker("summary", r"  summary: total=(?P<total>\d+) bin=\d+ gguf=\d+ bytes=\d+")
READY = Marker("ready", r"OK: REPL ready \(/help\)")
READY_NO_MODEL = Marker("ready without a model", r"OK: REPL ready \(no model\)\. Type /help")
TIP = Marker("no-model tip", r"Tip: in no-model REPL use /models and /model_info <path>")
VERSION = Marker("version", r"OK: Version: \S.*")
MODEL_LOADED = Marker("model loaded", r"OK: Model loaded: \S.*")
GGUF_DETECTED = Marker("GGUF detected", r"GGUF detected: ctx=\d+ dim=\d+ layers=\d+ heads=\d+ kv_heads=\d+")
GGUF_ENABLED = Marker("GGUF enabled", r"OK: GGUF inference enabled \(F16/F32/Q4/Q5/Q8\)\.")
ZONE_B = Marker("memory", r"\[llmk\] Zone B: base=0x[0-9a-fA-F]+ size=\d+ MiB")
AUTORUN_LINE = Marker("autorun line", r"You \(autorun\): (?P<command>.*)")
AUTORUN_DONE = Marker("autorun done", r"\[autorun\] done")
STATS = Marker("statistics", r"\[stats\] tokens=(?P<tokens>\d+) .*")

CONFIDENCE = Marker("confidence", r"OK: OO confidence: score=\d+ threshold=\d+ " + GATE + REASON)
FEEDBACK = Marker("feedback", r"OK: OO feedback: good=\d+ bad=\d+ bias=-?\d+")
PLAN = Marker("plan", r"OK: OO plan: enabled=(?:yes|no) max=\d used=\d remain=\d hard_stop=(?:yes|no)" + REASON)
POLICY = (
    CONFIDENCE, FEEDBACK, PLAN,
    Marker("boot", r"OK: OO boot_count=\d+ mode=(?:NORMAL|DEGRADED|SAFE)"),
    Marker("suggested", r"OK: OO LLM suggested: [ -~]{0,120}"),
    Marker("auto-apply", rf"OK: OO auto-apply: {ACTION} \(old=\d+ new=\d+ check=pass(?: mode=aggressive)?{REASON}\)"),
    Marker("auto-apply failed", r"ERROR: OO auto-apply verification failed: \S+ \(reason=.*\)"),
    Marker("decided", r"OK: OO policy decided: (?:system_stable|logged_only|ignored) \(reason=.*\)"),
    Marker("blocked", rf"OK: OO policy blocked: (?:{ACTION}|increase) \(reason=.*\)"),
    Marker("throttled", rf"OK: OO policy throttled: {ACTION} \(reason=plan_budget_exhausted.*\)"),
    Marker("simulation", rf"OK: OO policy simulation: {ACTION} \(would_apply_if_enabled.*\)"),
    Marker("batch", r"OK: OO policy batch: \d+ actions applied, \d+ blocked"),
    Marker("consult logged", r"OK: OO consult logged to OOCONSULT\.LOG"),
    Marker("consult metric", r"OK: OO consult metric: action=\S+ improved=[01]"),
)


class SerialLog:
    """A serial log as lines, without escape sequences; of what was drawn over itself by CR, the last."""

    def __init__(self, text: str):
        # Not splitlines(): U+2028 or a form feed in an answer begins no line on a serial port.
        lines = ESCAPE.sub("", text).replace("\0", "").split("\n")
        if lines[-1] == "":
            lines.pop()
        self.lines: List[str] = [line.rstrip().rpartition("\r")[2] for line in lines]

    def first(self, marker: Marker) -> Optional[str]:
        """The first line that is this marker."""
        compiled = re.compile(marker.pattern, re.IGNORECASE | re.ASCII)
        return next((line for line in self.lines if compiled.fullmatch(line)), None)

    def has(self, marker: Marker) -> bool:
        return self.first(marker) is not None

    def groups(self, marker: Marker) -> Optional[Dict[str, str]]:
        """The named groups of the first line that is this marker; None where there is no such line, or it is spelled in other case."""
        line = self.first(marker)
        match = re.fullmatch(marker.pattern, line, re.ASCII) if line is not None else None
        return match.groupdict() if match else None

    def text(self) -> str:
        """As it is kept in a file: lines end in CRLF."""
        return "".join(line + "\r\n" for line in self.lines)
