#!/usr/bin/env python3
"""Writes the corpus of hostile model files, and the table of what must happen to each.

Every file is one valid small model (two layers of a llama, 288 tokens, F32) with one thing wrong, so that the only way to refuse
it is to see that thing. The ids G01 ... G43 and T04 ... T09 number the recipes; docs/formats/gguf.md has the rules behind them.

    generate.py [FOLDER]        writes the files and FOLDER/INDEX.tsv (default: build/hostile)
    generate.py --write-index   rewrites tests/hostile/INDEX.tsv, the copy that is kept with the sources
    generate.py --check         says whether that copy is current

Python's standard library only; the same bytes on every machine.
"""
import argparse
import sys
from pathlib import Path

import recipes_metadata  # noqa: F401  each of these adds its recipes to the list
import recipes_tensors  # noqa: F401
import recipes_model  # noqa: F401
import recipes_vocabulary  # noqa: F401
from recipe import RECIPES

HERE = Path(__file__).resolve().parent
INDEX_HEADER = "#id\tfile\terror\tstage\toffset\tsource\n"


def rows():
    """(row of INDEX.tsv, bytes) for every file."""
    names = set()
    for ident, source, function in RECIPES:
        for name, data, error, stage, offset in function():
            file = f"{ident}-{name}.gguf"
            assert file not in names, file
            names.add(file)
            yield f"{ident}\t{file}\t{error}\t{stage}\t{'-' if offset is None else offset}\t{source}\n", file, data


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent.parent / "build" / "hostile")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write-index", action="store_true")
    action.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    if options.check or options.write_index:
        index = INDEX_HEADER + "".join(row for row, _, _ in rows())
        kept = HERE / "INDEX.tsv"
        if options.write_index:
            kept.write_text(index)
            return 0
        if kept.exists() and kept.read_text() == index:
            return 0
        print("tests/hostile/INDEX.tsv is not current; run tests/hostile/generate.py --write-index", file=sys.stderr)
        return 1
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    index = INDEX_HEADER
    for row, file, data in rows():
        index += row
        (folder / file).write_bytes(data)
    # Last, so that an index is a sign of a complete corpus.
    (folder / "INDEX.tsv").write_text(index)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
