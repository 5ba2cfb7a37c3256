"""The static pass of M8: what our sources have to be able to say.

The seven patterns are the specification's; the list of sources is ours. A1 and A3 belong to the chat, which is there. B1 to B3 belong to
the policy loop: as long as it has no source, they are reported as not built, which is neither passed nor failed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Tuple

from passes.voice import ROOT

SOURCES = ("core/chat/*.cpp", "core/govern/*.cpp", "core/journal/*.cpp", "efi/*.cpp")
POLICY_SOURCES = "core/govern/*.cpp"

PASSED = "passed"
FAILED = "failed"
NOT_BUILT = "not built"


@dataclass(frozen=True)
class Pattern:
    label: str
    pattern: str
    is_policy: bool


PATTERNS = (
    Pattern("A1 startup marker exists", r"\[obs\]\[startup\]\s+model_select_ms=", False),
    Pattern("A3 models summary exists", r"summary:\s+total=", False),
    Pattern("B1 confidence marker exists", r"OK:\s+OO confidence:", True),
    Pattern("B2 feedback marker exists", r"OK:\s+OO feedback:", True),
    Pattern("B2 outcome log append exists", r"OOOUTCOME\.LOG", True),
    Pattern("B3 plan marker exists", r"OK:\s+OO plan:", True),
    Pattern("B3 hard-stop event exists", r"plan_hard_stop\s+reason=", True),
)


@dataclass
class Check:
    label: str
    state: str   # PASSED, FAILED or NOT_BUILT
    detail: str  # where it was found, or what is missing


def policy_is_built(root: Path = ROOT) -> bool:
    return any(root.glob(POLICY_SOURCES))


def source_lines(root: Path) -> Iterator[Tuple[str, str]]:
    """(file:line, text) of all sources. Lines that only comment are left out: a marker there is never said."""
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
                if not line.lstrip().startswith("//"):
                    yield f"{path.relative_to(root).as_posix()}:{number}", line


def static_checks(root: Path = ROOT) -> List[Check]:
    lines = list(source_lines(root))
    has_policy = policy_is_built(root)
    checks = []
    for wanted in PATTERNS:
        place = next((place for place, line in lines if re.search(wanted.pattern, line)), None)
        if place is not None:
            checks.append(Check(wanted.label, PASSED, place))
        elif wanted.is_policy and not has_policy:
            checks.append(Check(wanted.label, NOT_BUILT, f"the policy loop has no source yet ({POLICY_SOURCES})"))
        else:
            checks.append(Check(wanted.label, FAILED, f"no line of {', '.join(SOURCES)} has /{wanted.pattern}/"))
    return checks
