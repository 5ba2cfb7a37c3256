"""How the passes speak and what they accept: `[M8] step`, `[M8][OK] ...`, `[M8][WARN] ...`, numbers with their range."""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class PassFailed(Exception):
    """A pass can not go on; the text names the thing and the way out."""


class Voice:
    """The lines of one pass. With JSON asked for they go to stderr, so that stdout is one object and nothing else."""

    def __init__(self, name: str, as_json: bool = False):
        self.name = name
        self.as_json = as_json
        self.stream = sys.stderr if as_json else sys.stdout

    def step(self, text: str):
        self.line(f"[{self.name}] {text}")

    def ok(self, text: str):
        self.line(f"[{self.name}][OK] {text}")

    def warn(self, text: str):
        self.line(f"[{self.name}][WARN] {text}")

    def fail(self, text: str):
        self.line(f"[{self.name}][FAIL] {text}")

    def line(self, text: str):
        print(text, file=self.stream, flush=True)

    def result(self, value: dict):
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False), flush=True)


def whole_number(low: int, high: int):
    """An argparse type: a whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def shown_path(path: Path) -> str:
    """Short where it lies in the project; with forward slashes, so that a record reads the same everywhere."""
    try:
        return path.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return path.as_posix()
