#!/usr/bin/env python3
"""Checks that the documents speak of things that exist.

  check_docs.py [--root DIR]

In every *.md of the project:
  - a relative link leads to a file, and its #anchor to a heading of that file;
  - a path in backticks that begins with a folder or file of this project exists (`core/base/*.h` matches something,
    `tests/{hosted,bare}` both exist). Outputs (build/, images/*.img, models/cache/, repl.cfg) and
    paths with a placeholder (NAME, ROOM, NNNN, STAGE, FILE) need not.
  - a `make target`, in backticks or at the start of a line of a code block, is a target of the Makefile.

Exit codes: 0 nothing found, 1 findings (one a line: file:line: what), 2 usage.
"""

import argparse
import itertools
import re
import sys
from pathlib import Path
from urllib.parse import unquote

# What the build and the user make; named in documents before it exists.
OUTPUTS = re.compile(r"(build|artifacts|models/cache)(/|$)|images/[^/]*\.img|repl\.cfg$")
IGNORED_FOLDERS = {".git", "build", "cache", "node_modules", "__pycache__"}

LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE_SPAN = re.compile(r"(`+)(.+?)\1")
PATH = re.compile(r"[A-Za-z0-9_.][\w.*{},+-]*(?:/[\w.*{},+-]+)*/?")
MAKE = re.compile(r"(?:^|[\s;&|(`$])make((?:\s+(?:-\w+|\w+=\S*|[a-z][\w-]*))+)")
TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)
PLACEHOLDER = re.compile(r"NAME|ROOM|NNNN|STAGE|FILE")  # words that stand for a name of yours
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")


def expand_braces(text):
    """'a{b,c}d' -> ['abd', 'acd']."""
    parts = [part[1:-1].split(",") if part.startswith("{") else [part] for part in re.split(r"(\{[^{}]*\})", text)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def anchor_of(heading):
    """The anchor that the usual renderers give a heading."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text))


def lines_with_fences(text):
    """Yields (line number, line, whether it is inside a fenced code block)."""
    fence = None
    for number, line in enumerate(text.split("\n"), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and (fence is None or line.strip() == fence):
            fence = None if fence else mark[1]
            continue
        yield number, line, fence is not None


def anchors_in(path):
    anchors = set()
    for _, line, in_code in lines_with_fences(path.read_text(encoding="utf-8")):
        if not in_code and (match := HEADING.match(line)):
            anchor = anchor_of(match[1])
            n = sum(1 for a in anchors if a == anchor or re.fullmatch(re.escape(anchor) + r"-\d+", a))
            anchors.add(f"{anchor}-{n}" if n else anchor)
    return anchors


class Documents:
    def __init__(self, root):
        self.root = root
        self.targets = set()
        for file in [root / "Makefile", *sorted(root.glob("mk/*.mk"))]:
            if file.exists():
                self.targets |= set(TARGET.findall(file.read_text(encoding="utf-8")))
        self.top_level = {entry.name for entry in root.iterdir() if entry.name not in {".git"}}
        # A folder that no file is in yet (git does not keep those) still begins a path of ours.
        self.top_level |= {"build", "core", "kernels", "efi", "tools", "web", "tests", "scripts", "docs", "models", "images", "mk"}

    def check(self):
        for file in sorted(self.root.rglob("*.md")):
            if not IGNORED_FOLDERS & set(file.relative_to(self.root).parts):
                yield from self.check_file(file)

    def check_file(self, file):
        name = file.relative_to(self.root).as_posix()
        for number, line, in_code in lines_with_fences(file.read_text(encoding="utf-8")):
            if in_code:
                command = re.split(r"\s{2,}|\s#", line.strip())[0]  # what follows is its explanation
                problems = self.make_problems(command) if re.match(r"(\$ )?make\s", command) else []
            else:
                spans = [match[2].strip() for match in CODE_SPAN.finditer(line)]
                problems = itertools.chain(
                    self.link_problems(file, CODE_SPAN.sub("", line)),
                    *(self.make_problems(span) for span in spans if span.startswith("make ")),
                    *(self.path_problems(file, span) for span in spans))
            for problem in problems:
                yield f"{name}:{number}: {problem}"

    def link_problems(self, file, line):
        for target in LINK.findall(line):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):  # http:, mailto:
                continue
            path, _, anchor = unquote(target).partition("#")
            there = (file.parent / path) if path else file
            if not there.exists():
                yield f"links to {target}, which is not there"
            elif anchor and there.suffix == ".md" and anchor not in anchors_in(there):
                yield f"links to {target}: there is no such heading"

    def path_problems(self, file, span):
        span = re.sub(r":\d+$", "", span)
        if not PATH.fullmatch(span):
            return
        for path in expand_braces(span):
            first = path.split("/")[0]
            if first not in self.top_level or OUTPUTS.match(path) or PLACEHOLDER.search(path):
                continue
            # Beside the document, or from the root.
            found = any(next(base.glob(path.rstrip("/")), None) for base in (self.root, file.parent))
            if not found:
                yield f"names {path}, which is not there"

    def make_problems(self, text):
        for words in MAKE.findall(text):
            for word in words.split():
                if not word.startswith("-") and "=" not in word and word not in self.targets:
                    yield f"names 'make {word}', which is no target"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args(arguments)
    findings = list(Documents(options.root).check())
    for finding in findings:
        print(finding)
    print(f"documents: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
