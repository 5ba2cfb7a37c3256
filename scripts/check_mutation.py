#!/usr/bin/env python3
"""Takes out each check of the parsers in turn, and looks whether a test notices.

  check_mutation.py [--build build] [--room ROOM | --file FILE]... [--sample N --seed S] [--list] [--report FILE]

A check is an `if` whose branch refuses (fail(), keep(), refuse(), return of an error, return false), or a range that is given to a
reader of numbers. Its mutants:

  delete      the condition is false
  invert      the condition is its opposite
  term N      one term of an || is false, of an && true
  limit N     > becomes >=, < becomes <=, and the other way round
  low, high   a range is one wider at that end; of reals, open

All mutants of a file are compiled at once, each behind a number; a run with that number is that mutant. First every hostile file is
replayed (tests/hosted/mutant_test.cpp); what survives that meets the unit tests.

A line of a source that ends with `// mutants: REASON` says why its mutants can not be told from the original; they are listed, not
counted.

Exit codes: 0 at least 98 % of the mutants were caught (of a sample: all but one), 1 fewer, 2 usage.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from parser_build import PARSERS, ROOT, HostedTests, parser_files

LEAST_CAUGHT = 0.98
REFUSES = re.compile(r"\bfail\(|\bkeep\(|\brefuse\(|\breturn (s|status|error|found)\b|\.error\(\)|\breturn false;|\bok_ = false|"
                     r"\bthrow |\bthrow_error\(|\breturn fail_")
RANGE_CALL = re.compile(r"(?:\.|->)(get_u64|get_u64_or|get_f64|get_f64_or|required|optional|number|number_or|integer_or)\(")
REASON = re.compile(r"// mutants: (.*)")
# A unit test may compare files, too; it is what a person runs who has changed a parser.
UNIT_TAGS = {"format": "[format],[hostile],[model]", "model": "[model],[hostile],[format]", "tokenizer": "[tokenizer],[hostile]",
             "settings": "[chat],[settings]", "template": "[chat],[template]", "tools": "[tools],[hostile],[convert]"}
RUN_TIMEOUT_S = 300


@dataclass
class Mutant:
    ident: int
    file: str
    line: int
    kind: str
    text: str
    reason: str = ""


# ---- finding checks --------------------------------------------------------------------------------------------------


def blanked(text):
    """`text` with comments, strings and characters replaced by spaces, of the same length."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def closing(code, at):
    """The index of the bracket that closes the one at `at`."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    stack = []
    for i in range(at, len(code)):
        if code[i] in pairs:
            stack.append(pairs[code[i]])
        elif stack and code[i] == stack[-1]:
            stack.pop()
            if not stack:
                return i
    raise ValueError(f"nothing closes the bracket at {at}")


def split_top(code, begin, end, separator):
    """(begin, end) of the parts of code[begin:end] between separators outside of brackets."""
    parts, depth, start, i = [], 0, begin, begin
    while i < end:
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and code.startswith(separator, i):
            parts.append((start, i))
            i += len(separator)
            start = i
            continue
        i += 1
    return parts + [(start, end)]


FLIPPED = {" > ": " >= ", " >= ": " > ", " < ": " <= ", " <= ": " < "}


def comparisons(code, begin, end):
    """Places of the comparisons of code[begin:end] outside of brackets; of templates there are none, thanks to the formatter."""
    found, depth = [], 0
    for i in range(begin, end):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and code[i] == " ":
            found += [(i, op) for op in FLIPPED if code.startswith(op, i)]
    return found


class FileMutants:
    """The checks of one file, and its text with all mutants in it."""

    def __init__(self, name, text, first_ident):
        self.name, self.text, self.code = name, text, blanked(text)
        self.next, self.mutants = first_ident, []
        edits = [edit for edit in self.conditions()] + [edit for edit in self.ranges()]
        out, at = [], 0
        for begin, end, new in sorted(edits):
            if begin < at:
                continue  # inside of another check
            out += [text[at:begin], new]
            at = end
        self.mutated = "".join(out + [text[at:]])

    def add(self, at, kind, text):
        line = self.text.count("\n", 0, at) + 1
        end = self.text.find("\n", at)
        last = self.text[self.text.rfind("\n", 0, at) + 1:end if end >= 0 else len(self.text)]
        reason = REASON.search(last)
        self.mutants.append(Mutant(self.next, self.name, line, kind, " ".join(text.split()), reason[1] if reason else ""))
        self.next += 1
        return self.mutants[-1].ident

    def conditions(self):
        for match in re.finditer(r"\bif \(", self.code):
            opened = match.end() - 1
            closed = closing(self.code, opened)
            if not REFUSES.search(self.branch(closed + 1)):
                continue
            parts = split_top(self.code, opened + 1, closed, ";")
            begin, end = parts[-1]
            if len(parts) == 1 and re.search(r"[^=!<>]=[^=]", self.code[begin:end]):
                continue  # a declaration is its condition
            yield begin, end, self.schema(begin, end)

    def branch(self, at):
        """What the check guards: a statement or a block."""
        while self.code[at] in " \n":
            at += 1
        if self.code[at] == "{":
            return self.code[at:closing(self.code, at)]
        return self.code[at:self.code.index(";", at) + 1]

    def schema(self, begin, end):
        original = self.text[begin:end].strip()
        whole = [(self.add(begin, "delete", original), "false"), (self.add(begin, "invert", original), f"!({original})")]
        separator, neutral = " || ", "false"
        terms = split_top(self.code, begin, end, separator)
        if len(terms) == 1:
            separator, neutral = " && ", "true"
            terms = split_top(self.code, begin, end, separator)
        written = []
        for number, (a, b) in enumerate(terms):
            term = self.text[a:b].strip()
            choices = [(self.add(a, f"term {number + 1}", term), neutral)] if len(terms) > 1 else []
            for place, op in comparisons(self.code, a, b):
                flipped = self.text[a:place] + FLIPPED[op] + self.text[place + len(op):b]
                choices.append((self.add(a, f"limit {number + 1}", term), flipped.strip()))
            written.append(chosen(choices, term))
        return chosen(whole, separator.join(written))

    def ranges(self):
        for match in RANGE_CALL.finditer(self.code):
            opened = match.end() - 1
            arguments = split_top(self.code, opened + 1, closing(self.code, opened), ",")
            if len(arguments) < 3:
                continue
            real = "f64" in match[1] or match[1].startswith("number")
            for which, (begin, end) in zip(("low", "high"), arguments[-2:]):
                value = self.text[begin:end].strip()
                if value in ("low", "high") or (which == "low" and not real and value == "0"):
                    continue
                wider = {"low": "-1e300" if real else f"({value}) - 1", "high": "1e300" if real else f"({value}) + 1"}[which]
                ident = self.add(begin + len(self.text[begin:end]) - len(self.text[begin:end].lstrip()), which, f"{match[1]}(... {value})")
                yield begin, end, " " + chosen([(ident, wider)], value)


def chosen(choices, original):
    text = f"({original})"
    for ident, mutant in reversed(choices):
        text = f"(lbm_is_mutant({ident}) ? ({mutant}) : {text})"
    return text


PRELUDE = """extern "C" unsigned lbm_mutant;
constexpr bool lbm_is_mutant(unsigned ident) { return !__builtin_is_constant_evaluated() && lbm_mutant == ident; }
"""


def find_mutants(files):
    found, ident = {}, 1
    for name in files:
        found[name] = FileMutants(name, (ROOT / name).read_text(), ident)
        ident = found[name].next
    return found


# ---- running ---------------------------------------------------------------------------------------------------------


def build_mutants(files, found, options, folder):
    tests = HostedTests(options.build, options.jobs, options.cxx)
    folder.mkdir(parents=True, exist_ok=True)
    prelude = folder / "mutants.h"
    prelude.write_text(PRELUDE)
    objects = tests.compile(files, folder, ["-O1", "-w", "-include", str(prelude)], lambda name: found[name].mutated)
    program = folder / "mutant_tests"
    tests.link(objects, program, [])
    return program


def replay_corpus(program, mutants, jobs, hostile):
    """{ident: caught} by the hostile files alone."""
    verdicts = {}

    def some(part):
        environment = {**os.environ, "LBM_MUTANTS": " ".join(str(m.ident) for m in part), "LBM_HOSTILE": str(hostile)}
        done = subprocess.run([program, "[.mutants]"], cwd=ROOT, env=environment, capture_output=True, text=True)
        return re.findall(r"^mutant (\d+) (caught|survived)", done.stdout, re.MULTILINE)

    parts = [mutants[i::jobs] for i in range(jobs) if mutants[i::jobs]]
    with ThreadPoolExecutor(jobs) as pool:
        for answers in pool.map(some, parts):
            verdicts.update((int(ident), verdict == "caught") for ident, verdict in answers)
    return verdicts


def room_of(name):
    return next(room for room in PARSERS if name in parser_files([room]))


def survives_unit_tests(program, mutant, hostile):
    environment = {**os.environ, "LBM_MUTANT": str(mutant.ident), "LBM_HOSTILE": str(hostile)}
    try:
        done = subprocess.run([program, UNIT_TAGS[room_of(mutant.file)], "--abort"], cwd=ROOT, env=environment, capture_output=True,
                              timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def run_mutants(program, mutants, options):
    """{ident: "corpus", "unit" or "" (survived)}."""
    hostile = Path(options.build).resolve() / "hostile"
    if survives_unit_tests(program, Mutant(0, mutants[0].file, 0, "", ""), hostile) is False:
        raise RuntimeError("the tests fail without any mutant")
    by_corpus = replay_corpus(program, mutants, options.jobs, hostile)
    verdicts = {m.ident: "corpus" for m in mutants if by_corpus.get(m.ident, True)}
    rest = [m for m in mutants if m.ident not in verdicts]
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, survived in zip(rest, pool.map(lambda m: survives_unit_tests(program, m, hostile), rest)):
            verdicts[mutant.ident] = "" if survived else "unit"
    return verdicts


# ---- reporting -------------------------------------------------------------------------------------------------------


def show(mutants, verdicts, seconds):
    """Prints what survived and what share was caught; returns whether that is enough."""
    counted = [m for m in mutants if not m.reason]
    caught = [m for m in counted if verdicts[m.ident]]
    for mutant in mutants:
        if not verdicts[mutant.ident]:
            reason = f"   (equivalent: {mutant.reason})" if mutant.reason else ""
            print(f"survived: {mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}{reason}")
    files = sorted({m.file for m in mutants})
    for name in files:
        own = [m for m in counted if m.file == name]
        print(f"{name}: {sum(bool(verdicts[m.ident]) for m in own)} of {len(own)}")
    share = len(caught) / len(counted) if counted else 1.0
    by_corpus = sum(verdicts[m.ident] == "corpus" for m in counted)
    print(f"{len(caught)} of {len(counted)} mutants caught ({100 * share:.1f} %), {by_corpus} by the hostile files alone; "
          f"{len(mutants) - len(counted)} are equivalent; {seconds:.0f} s")
    n_survived = len(counted) - len(caught)
    return n_survived <= max(1, int((1 - LEAST_CAUGHT) * len(counted)))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="a build folder with the tests (make build-tests)")
    parser.add_argument("--room", action="append", choices=PARSERS, help="only this room; may be given again")
    parser.add_argument("--file", action="append", help="only this file; may be given again")
    parser.add_argument("--sample", type=int, help="only this many mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cxx", help="the compiler, where it is not the one that make finds")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--report", type=Path, help="write the verdicts as JSON")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    files = options.file or parser_files(options.room)
    found = find_mutants(files)
    mutants = [m for name in files for m in found[name].mutants]
    if options.sample is not None:
        mutants = sorted(random.Random(options.seed).sample(mutants, min(options.sample, len(mutants))), key=lambda m: m.ident)
        files = [name for name in files if any(m.file == name for m in mutants)]
    if options.list:
        print("".join(f"{m.ident} {m.file}:{m.line}: {m.kind}: {m.text}\n" for m in mutants), end="")
        return 0
    if not mutants:
        print("there are no checks in these files", file=sys.stderr)
        return 2
    try:
        program = build_mutants(files, found, options, Path(options.build).resolve() / "mutation")
        verdicts = run_mutants(program, mutants, options)
    except RuntimeError as error:
        print(f"check_mutation.py: {error}", file=sys.stderr)
        return 1
    if options.report:
        rows = [{"file": m.file, "line": m.line, "kind": m.kind, "text": m.text, "caught": verdicts[m.ident], "reason": m.reason}
                for m in mutants]
        options.report.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if show(mutants, verdicts, time.monotonic() - started) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
