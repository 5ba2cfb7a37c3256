#!/usr/bin/env python3
"""How much of the parsers the corpus and the unit tests run: lines and branches, by llvm-cov.

  coverage.py [--build build] [--room ROOM]... [--show] [TAGS]

The parsers (scripts/parser_build.py) are compiled with counters and linked with what `make build-tests` has made; then the hosted
tests of TAGS run (default: all that concern parsers). Prints a line for each file, and with --show every line and branch that nothing
reaches. A line that ends with `// coverage: REASON` is not counted.

Exit codes: 0 all lines and at least 95 % of the branches, 1 fewer, 2 usage.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from parser_build import PARSERS, ROOT, HostedTests, parser_files

LEAST_BRANCHES = 0.95
TAGS = "[format],[hostile],[model],[tokenizer],[chat],[settings],[template],[tools],[convert]"
COUNTERS = ["-fprofile-instr-generate", "-fcoverage-mapping"]
REASON = re.compile(r"// coverage: ")


def llvm_tool(name):
    """The newest `name` that is installed, with its version."""
    for version in (19, 18, 17, 16, 20, 21):
        if subprocess.run(["sh", "-c", f"command -v {name}-{version}"], capture_output=True).returncode == 0:
            return f"{name}-{version}"
    raise RuntimeError(f"{name} is missing: run 'make deps'")


def measure(options, files):
    """What llvm-cov exports of `files`."""
    tests = HostedTests(options.build, options.jobs, options.cxx)
    folder = Path(options.build).resolve() / "coverage"
    folder.mkdir(parents=True, exist_ok=True)
    objects = tests.compile(files, folder, ["-O0", *COUNTERS])
    program, raw, data = folder / "coverage_tests", folder / "raw.profraw", folder / "all.profdata"
    tests.link(objects, program, ["-fprofile-instr-generate"])
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(raw), "LBM_HOSTILE": str(Path(options.build).resolve() / "hostile")}
    done = subprocess.run([program, options.tags], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print("\n".join(done.stdout.splitlines()[-40:]), file=sys.stderr)
        raise RuntimeError("the tests fail")
    subprocess.run([llvm_tool("llvm-profdata"), "merge", "-sparse", raw, "-o", data], check=True)
    exported = subprocess.run([llvm_tool("llvm-cov"), "export", program, f"-instr-profile={data}"], check=True,
                              capture_output=True, text=True)
    return json.loads(exported.stdout)["data"][0]


class FileCoverage:
    """Lines and branches of one file: {line: count}, and [(line, column, taken true, taken false)]."""

    def __init__(self, name, report):
        self.name = name
        text = (ROOT / name).read_text().splitlines()
        excused = {number for number, line in enumerate(text, 1) if REASON.search(line)}
        self.lines = {}
        count, counted = 0, False
        segments = sorted(report["segments"])
        starts = {}
        for segment in segments:
            starts.setdefault(segment[0], []).append(segment)
        for number in range(1, len(text) + 1):
            here = starts.get(number, [])
            best, is_code = (count, counted)
            for _, _, new_count, has_count, is_entry, *rest in here:
                gap = rest[0] if rest else False
                count, counted = new_count, has_count and not gap
                if counted and is_entry:
                    best, is_code = max(best, count) if is_code else count, True
            if is_code and number not in excused and text[number - 1].strip() not in ("", "}", "};"):
                self.lines[number] = best
        # A template or a constant has a branch in each of its instances.
        merged = {}
        for branch in report.get("branches", []):
            place = tuple(branch[:4])
            taken, not_taken = branch[4], branch[5]
            before = merged.get(place, (0, 0))
            merged[place] = (before[0] + taken, before[1] + not_taken)
        self.branches = {place: counts for place, counts in merged.items() if place[0] not in excused}

    def missed_lines(self):
        return [number for number, count in self.lines.items() if count == 0]

    def missed_branches(self):
        """(line, column, "true" or "false") that nothing took."""
        return [(place[0], place[1], which) for place, counts in sorted(self.branches.items())
                for which, count in zip(("true", "false"), counts) if count == 0]

    def n_branch(self):
        return 2 * len(self.branches)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tags", nargs="?", default=TAGS, help="Catch2 tests to run")
    parser.add_argument("--build", default="build", help="a build folder with the tests (make build-tests)")
    parser.add_argument("--room", action="append", choices=PARSERS, help="only this room; may be given again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cxx", help="the compiler, where it is not the one that make finds")
    parser.add_argument("--show", action="store_true", help="show what is missed")
    options = parser.parse_args(arguments)
    files = parser_files(options.room)
    try:
        exported = measure(options, files)
    except RuntimeError as error:
        print(f"coverage.py: {error}", file=sys.stderr)
        return 1
    # The prefix map leaves names relative to the root.
    by_name = {os.path.relpath(report["filename"], ROOT) if os.path.isabs(report["filename"]) else report["filename"]: report
               for report in exported["files"]}
    total = [0, 0, 0, 0]
    for name in files:
        if name not in by_name:
            print(f"{name}: nothing of it runs")
            continue
        file = FileCoverage(name, by_name[name])
        lines, branches = file.missed_lines(), file.missed_branches()
        total = [a + b for a, b in zip(total, (len(file.lines), len(lines), file.n_branch(), len(branches)))]
        print(f"{name:<46} lines {len(file.lines) - len(lines):>4} of {len(file.lines):>4}   "
              f"branches {file.n_branch() - len(branches):>4} of {file.n_branch():>4}")
        if options.show:
            print("".join(f"  {name}:{number}: never runs\n" for number in lines), end="")
            print("".join(f"  {name}:{line}:{column}: never {which}\n" for line, column, which in branches), end="")
    n_line, no_line, n_branch, no_branch = total
    share = 1 - no_branch / max(n_branch, 1)
    print(f"lines {n_line - no_line} of {n_line} ({100 * (1 - no_line / max(n_line, 1)):.1f} %), "
          f"branches {n_branch - no_branch} of {n_branch} ({100 * share:.1f} %)")
    return 0 if no_line == 0 and share >= LEAST_BRANCHES else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
