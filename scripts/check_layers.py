#!/usr/bin/env python3
"""Checks the walls between the rooms: who includes whom, and the rules of form that a script can see.

  check_layers.py [--root DIR] [--lengths]

The table RULES is the layering of docs/architecture.md. Besides it:
  - every project include is written from the root and exists; no file includes itself through others;
  - core and kernels include no library header but the few named here, and know no operating system (#ifdef);
  - a source begins with a comment saying what it is, a header has #pragma once, all is ASCII, no line is over 120 columns;
  - no file has more than 700 lines (unicode tables, which are generated, excepted). --lengths lists those past the habit:
    150 lines of a header, 400 of a .cpp.

Exit codes: 0 nothing found, 1 findings (one a line: file:line: what), 2 usage.
"""

import argparse
import re
import sys
from pathlib import Path

# Who may include whom: a folder (or file) and the path prefixes that it may include. The longest match decides.
BASE = ("core/base/",)
PLATFORM = ("core/platform.h",)
CHOOSING_KERNELS = ("kernels/kernel_table.h", "kernels/select.h", "kernels/cpu_features.h")
RULES = {
    "core/platform.h": BASE,
    "core/base/": BASE,
    "core/tensor/": BASE + ("core/tensor/",),
    "core/format/": BASE + PLATFORM + ("core/tensor/", "core/format/"),
    "core/model/": BASE + PLATFORM + ("core/tensor/", "core/format/", "core/model/"),
    "core/tokenizer/": BASE + ("core/format/", "core/tokenizer/"),
    "core/screen/": BASE + PLATFORM + ("core/screen/",),
    "core/infer/": BASE + PLATFORM + ("core/tensor/", "core/model/", "core/infer/", "kernels/kernel_table.h"),
    "core/state/": BASE + PLATFORM + ("core/state/",),
    "core/chat/": BASE + PLATFORM + ("core/format/", "core/model/", "core/infer/", "core/tokenizer/", "core/state/", "core/chat/",
                                     "kernels/kernel_table.h"),
    # Plain data and raw pointers, and the formula files that are written over the vocabulary.
    "kernels/": ("core/base/types.h", "core/tensor/dtype.h", "core/tensor/blocks.h", "core/tensor/grid.h", "core/base/fmath.inl.h",
                 "core/base/sha256_rounds.inl.h", "core/tensor/f16.inl.h", "kernels/"),
    "efi/": ("core/", "efi/") + CHOOSING_KERNELS,
    "tools/": ("core/", "tools/") + CHOOSING_KERNELS,
    "scripts/": ("core/",),
    "web/": ("core/", "web/") + CHOOSING_KERNELS,
    # Tests of a room also run on bare metal, so they share builders with each other but know no host.
    "tests/": ("core/", "kernels/", "tests/test.h", "tests/base/", "tests/tensor/", "tests/format/", "tests/model/",
               "tests/tokenizer/", "tests/infer/", "tests/chat/", "tests/screen/", "tests/state/", "tests/kernels/", "tests/hostile/"),
    "tests/hosted/": ("core/", "kernels/", "tools/", "tests/"),
    "tests/fuzz/": ("core/", "kernels/", "tools/", "tests/"),
    "tests/node/": ("core/", "kernels/", "web/", "tests/test.h", "tests/format/", "tests/hostile/", "tests/node/"),
    "tests/bare/": ("core/", "kernels/", "efi/", "tests/test.h", "tests/hostile/", "tests/state/", "tests/bare/"),
}

# Library headers, where they are limited. Others take what they need.
LIBRARY_HEADERS = {
    "core/": {"stdint.h", "stddef.h"},
    "kernels/": {"stdint.h", "stddef.h", "immintrin.h", "cpuid.h", "wasm_simd128.h"},
}
OPERATING_SYSTEMS = re.compile(
    r"\b(_WIN32|_WIN64|__linux__|__linux|linux|__unix__|__unix|unix|__APPLE__|__FreeBSD__|__ANDROID__|__EMSCRIPTEN__|"
    r"__MINGW32__|__MINGW64__|__CYGWIN__|_MSC_VER|__wasi__|EFIAPI|LBM_TEST_BARE|LBM_EFI|LBM_HOSTED)\b")

FOLDERS = ("core", "kernels", "efi", "tools", "web", "tests", "scripts")
SUFFIXES = {".h", ".cpp"}
MAX_COLUMNS = 120
MAX_LINES = 700
HABIT_LINES = {".h": 150, ".cpp": 400}

INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CONDITION = re.compile(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b(.*)")


def longest_match(table, path):
    """The entry of `table` whose key is the longest prefix of `path`, or None."""
    keys = [key for key in table if path == key or (key.endswith("/") and path.startswith(key))]
    return table[max(keys, key=len)] if keys else None


def source_files(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


def may_include(path, included):
    allowed = longest_match(RULES, path)
    return any(included == entry or (entry.endswith("/") and included.startswith(entry)) for entry in allowed or ())


def check_includes(root, path, lines, graph):
    """Yields findings about the include lines of one file, and adds them to `graph`."""
    library = longest_match(LIBRARY_HEADERS, path)
    for number, line in enumerate(lines, 1):
        if not (match := INCLUDE.match(line)):
            continue
        project, header = match.groups()
        if header:
            if library is not None and header not in library:
                yield number, f"includes <{header}>: {path.split('/')[0]} has no library under it"
        elif project.startswith(".") or not (root / project).is_file():
            yield number, f'includes "{project}", which is no path from the root'
        else:
            graph.setdefault(path, []).append(project)
            if not may_include(path, project):
                yield number, f'includes "{project}", which is behind a wall (docs/architecture.md, who may include whom)'


def check_form(path, text, lines):
    if not text.isascii():
        number = next(i for i, line in enumerate(lines, 1) if not line.isascii())
        yield number, "is not ASCII"
    is_shim = path.startswith(("tests/", "kernels/select"))
    if not lines or (not lines[0].startswith("//") and not is_shim and not path.endswith(".cpp")):
        yield 1, "does not begin with a comment that says what it is"
    if path.endswith(".h") and not path.endswith(".inl.h") and "#pragma once" not in text:
        yield 1, "has no #pragma once"
    if path.startswith(("core/", "kernels/")):
        for number, line in enumerate(lines, 1):
            match = CONDITION.match(line)
            if match and (system := OPERATING_SYSTEMS.search(match[1])):
                yield number, f"asks for {system[0]}: core and kernels know no host"
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield number, f"has {len(line)} columns, more than {MAX_COLUMNS} (make fmt)"
    if len(lines) > MAX_LINES and "unicode_tables" not in path:
        yield len(lines), f"has {len(lines)} lines, more than {MAX_LINES}: it is probably two ideas"


def find_cycle(graph):
    """A list of files that include each other in a ring, or None."""
    state = {}

    def visit(node, trail):
        state[node] = "open"
        for following in graph.get(node, ()):
            if state.get(following) == "open":
                return trail[trail.index(following):] + [following]
            if following not in state and (cycle := visit(following, trail + [following])):
                return cycle
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state and (cycle := visit(node, [node])):
            return cycle
    return None


def check(root):
    """All findings below `root` as (file, line, what), and how many lines each file has."""
    findings = []
    lengths = {}
    graph = {}
    for file in source_files(root):
        path = file.relative_to(root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            findings.append((path, 1, "is not text"))
            continue
        lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        lengths[path] = len(lines)
        if longest_match(RULES, path) is None:
            findings.append((path, 1, "is in a room that RULES of scripts/check_layers.py does not know"))
            continue
        findings += [(path, *finding) for finding in check_includes(root, path, lines, graph)]
        findings += [(path, *finding) for finding in check_form(path, text, lines)]
    if cycle := find_cycle(graph):
        findings.append((cycle[0], 1, "includes itself: " + " -> ".join(cycle)))
    return findings, lengths


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--lengths", action="store_true", help="also list the files that are past the habit of length")
    options = parser.parse_args(arguments)
    findings, lengths = check(options.root)
    for path, line, what in findings:
        print(f"{path}:{line}: {what}")
    long_files = {path: n for path, n in lengths.items()
                  if n > HABIT_LINES[Path(path).suffix] and "unicode_tables" not in path}
    if options.lengths:
        for path, n in sorted(long_files.items(), key=lambda item: -item[1]):
            print(f"{path}: {n} lines (habit: {HABIT_LINES[Path(path).suffix]})")
    print(f"layers: {len(lengths)} files, {len(findings)} findings, {len(long_files)} longer than the habit")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
