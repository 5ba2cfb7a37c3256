#!/usr/bin/env python3
"""Writes a tiny model for every case of the families' table: what tests/hosted/family_golden_test.cpp evaluates.

    generate.py [FOLDER]        writes FOLDER/NAME.gguf and, last, FOLDER/INDEX (default: build/families)
    generate.py --check         says whether the files are those that tests/expected/families speaks of

Python's standard library only; the same bytes on every machine. How the expectations came about: make_expectations.py.
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

from cases import CASES
from model_parts import build

ROOT = Path(__file__).resolve().parent.parent.parent
EXPECTED = ROOT / "tests" / "expected" / "families"


def check():
    """The names of the cases whose file is not the one that was given to the reference."""
    wrong = []
    for case in CASES:
        path = EXPECTED / f"{case.name}.json"
        digest = hashlib.sha256(build(case).build()).hexdigest()
        if not path.exists() or json.loads(path.read_text())["sha256"] != digest:
            wrong.append(case.name)
    known = {case.name for case in CASES}
    return wrong + [path.name for path in sorted(EXPECTED.glob("*.json")) if path.stem not in known]


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "families")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    if options.check:
        wrong = check()
        for name in wrong:
            print(f"tests/expected/families: {name} is not current; run tests/families/make_expectations.py", file=sys.stderr)
        return 1 if wrong else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        (options.folder / f"{case.name}.gguf").write_bytes(build(case).build())
    # Last, so that an index is a sign of a complete set.
    (options.folder / "INDEX").write_text("".join(case.name + "\n" for case in CASES))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
