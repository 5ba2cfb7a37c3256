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

All mutants of a file are compiled at once, each behind a number; a run with that number is that mutant. One run without any notes which
mutants would have decided otherwise in which hostile file and in which test case. A mutant then meets only those: first the hostile
files (tests/hosted/mutant_test.cpp), and what survives them the test cases. What nothing tells from the original is "not reached".

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
QUICK_S = 0.2  # test cases that take longer run after the others
# What a comparison may call and still be asked twice.
PURE_CALLS = {"size", "static_cast", "ok", "error", "value", "empty", "n_byte", "min_u64", "max_u64", "sizeof"}


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


FLIPPED = {">": ">=", ">=": ">", "<": "<=", "<=": "<"}


def comparisons(code, begin, end):
    """Places of the comparisons of code[begin:end] outside of brackets; of templates there are none, thanks to the formatter."""
    found, depth = [], 0
    for i in range(begin, end):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and (match := re.match(r" ([<>]=?)\s", code[i:i + 4])):
            found.append((i + 1, match[1]))
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
        delete, invert = self.add(begin, "delete", original), self.add(begin, "invert", original)
        separator, neutral = "||", "false"
        terms = split_top(self.code, begin, end, separator)
        if len(terms) == 1:
            separator, neutral = "&&", "true"
            terms = split_top(self.code, begin, end, separator)
        written = []
        for number, (a, b) in enumerate(terms):
            term = self.text[a:b].strip()
            choices, noted = [], term
            if len(terms) > 1:
                choices.append((self.add(a, f"term {number + 1}", term), neutral))
                ident = choices[0][0]
                noted = f"lbm_decides({term}, 0, {f'{ident}, 0' if neutral == 'false' else f'0, {ident}'})"
            for place, op in comparisons(self.code, a, b):
                flipped = (self.text[a:place] + FLIPPED[op] + self.text[place + len(op):b]).strip()
                choices.append((self.add(a, f"limit {number + 1}", term), flipped))
                differs = f"({flipped}) != ({term})" if is_pure(self.code[a:b]) else "true"
                noted = f"(lbm_note({choices[-1][0]}, {differs}), {noted})"
            written.append(chosen(choices, noted))
        noted = f"lbm_decides({f' {separator} '.join(written)}, {invert}, {delete}, 0)"
        return chosen([(delete, "false"), (invert, f"!({original})")], noted)

    def ranges(self):
        for match in RANGE_CALL.finditer(self.code):
            opened = match.end() - 1
            arguments = split_top(self.code, opened + 1, closing(self.code, opened), ",")
            if len(arguments) < 3:
                continue
            # Fields of the tools (strict_json.h) are whole numbers, and what stands for an absent one comes last.
            of_tools = self.name.startswith("tools/")
            real = "f64" in match[1] or (match[1].startswith("number") and not of_tools)
            for which, (begin, end) in zip(("low", "high"), arguments[1:3] if of_tools else arguments[-2:]):
                value = self.text[begin:end].strip()
                if value in ("low", "high") or (which == "low" and not real and value == "0"):
                    continue
                wider = {"low": "-1e300" if real else f"({value}) - 1", "high": "1e300" if real else f"({value}) + 1"}[which]
                ident = self.add(begin + len(self.text[begin:end]) - len(self.text[begin:end].lstrip()), which, f"{match[1]}(... {value})")
                yield begin, end, " " + chosen([(ident, wider)], f"lbm_note({ident}, true), {value}")


def is_pure(code):
    """Whether the term can be asked twice."""
    return set(re.findall(r"(\w+)(?:<[^()]*>)?\(", code)) <= PURE_CALLS and not re.search(r"\+\+|--", code)


def chosen(choices, original):
    text = f"({original})"
    for ident, mutant in reversed(choices):
        text = f"(lbm_is_mutant({ident}) ? ({mutant}) : {text})"
    return text


PRELUDE = """extern "C" unsigned lbm_mutant, lbm_clock, lbm_noted[];
constexpr bool lbm_is_mutant(unsigned ident) { return !__builtin_is_constant_evaluated() && lbm_mutant == ident; }
constexpr void lbm_note(unsigned ident, bool differs) {
  if (!__builtin_is_constant_evaluated() && differs) lbm_noted[ident] = ++lbm_clock;
}
template <class Value>
constexpr bool lbm_decides(const Value& value, unsigned always, unsigned when_true, unsigned when_false) {
  const bool yes = static_cast<bool>(value);
  lbm_note(always, true);
  lbm_note(yes ? when_true : when_false, true);
  return yes;
}
"""
MOST_MUTANTS = 1 << 14  # of lbm_noted[]


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


def environment(hostile, **more):
    return {**os.environ, "LBM_HOSTILE": str(hostile), **{name: str(value) for name, value in more.items()}}


def replay_corpus(program, mutants, jobs, hostile):
    """{ident: "caught", "survived" or "unreached"} by the hostile files alone."""

    def some(part):
        numbers = " ".join(str(m.ident) for m in part)
        done = subprocess.run([program, "[.mutants]"], cwd=ROOT, env=environment(hostile, LBM_MUTANTS=numbers), capture_output=True, text=True)
        answers = re.findall(r"^mutant (\d+) (caught|survived|unreached)", done.stdout, re.MULTILINE)
        if len(answers) != len(part):
            raise RuntimeError("the hostile files fail without any mutant\n" + done.stdout[-2000:])
        return answers

    parts = [mutants[i::jobs] for i in range(jobs) if mutants[i::jobs]]
    with ThreadPoolExecutor(jobs) as pool:
        return {int(ident): verdict for answers in pool.map(some, parts) for ident, verdict in answers}


def room_of(name):
    return next(room for room in PARSERS if name in parser_files([room]))


@dataclass
class TestCase:
    name: str
    seconds: float
    shows: set  # the mutants that would have decided otherwise in it


def note_tests(program, mutants, folder, hostile):
    """The test cases that concern the rooms of `mutants`, with what they show."""
    tags = dict.fromkeys(",".join(UNIT_TAGS[room_of(name)] for name in sorted({m.file for m in mutants})).split(","))
    notes = folder / "test_notes.tsv"
    notes.unlink(missing_ok=True)
    done = subprocess.run([program, ",".join(tags)], cwd=ROOT, env=environment(hostile, LBM_MUTANT_NOTES=notes), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("the tests fail without any mutant\n" + done.stdout[-2000:])
    rows = [line.split("\t") for line in notes.read_text().splitlines()]
    return [TestCase(name, float(seconds), {int(ident) for ident in idents.split()}) for seconds, name, idents in rows]


def survives_tests(program, mutant, tests, folder, hostile):
    names = folder / f"tests_of_{mutant.ident}.txt"
    # A comma would end the name.
    names.write_text("".join(test.name.replace(",", "\\,") + "\n" for test in tests))
    try:
        done = subprocess.run([program, "--input-file", str(names), "--abort"], cwd=ROOT, env=environment(hostile, LBM_MUTANT=mutant.ident),
                              capture_output=True, timeout=10 + 20 * sum(test.seconds for test in tests))
    except subprocess.TimeoutExpired:
        return False
    finally:
        names.unlink()
    return done.returncode == 0


def run_mutants(program, mutants, options, folder):
    """{ident: "corpus", "unit", "" (survived) or "unreached"}."""
    hostile = Path(options.build).resolve() / "hostile"
    verdicts = replay_corpus(program, mutants, options.jobs, hostile)
    rest = [m for m in mutants if verdicts[m.ident] != "caught"]
    tests = note_tests(program, rest, folder, hostile) if rest else []

    def verdict(mutant):
        shows = [test for test in tests if mutant.ident in test.shows]
        if not shows:
            return "unreached" if verdicts[mutant.ident] == "unreached" else ""
        quick = [test for test in shows if test.seconds <= QUICK_S]
        slow = [test for test in shows if test.seconds > QUICK_S]
        return "" if all(survives_tests(program, mutant, some, folder, hostile) for some in (quick, slow) if some) else "unit"

    with ThreadPoolExecutor(options.jobs) as pool:
        by_tests = dict(zip((m.ident for m in rest), pool.map(verdict, rest)))
    return {m.ident: by_tests.get(m.ident, "corpus") for m in mutants}


# ---- reporting -------------------------------------------------------------------------------------------------------


def show(mutants, verdicts, seconds):
    """Prints what survived and what share was caught; returns whether that is enough."""
    counted = [m for m in mutants if not m.reason]
    is_caught = {m.ident: verdicts[m.ident] in ("corpus", "unit") for m in mutants}
    caught = [m for m in counted if is_caught[m.ident]]
    for mutant in mutants:
        if not is_caught[mutant.ident]:
            reason = f"   (equivalent: {mutant.reason})" if mutant.reason else ""
            how = "not reached" if verdicts[mutant.ident] == "unreached" else "survived"
            print(f"{how}: {mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}{reason}")
    files = sorted({m.file for m in mutants})
    for name in files:
        own = [m for m in counted if m.file == name]
        print(f"{name}: {sum(is_caught[m.ident] for m in own)} of {len(own)}")
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
    if not mutants or mutants[-1].ident >= MOST_MUTANTS:
        print("there are no checks in these files, or too many", file=sys.stderr)
        return 2
    try:
        folder = Path(options.build).resolve() / "mutation"
        program = build_mutants(files, found, options, folder)
        verdicts = run_mutants(program, mutants, options, folder)
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
