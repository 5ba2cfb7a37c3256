#!/usr/bin/env python3
"""Writes the corpus of hostile files, and the table of what must happen to each.

Every file is a valid small one (a model: two layers of a llama, 288 tokens, F32) with one thing wrong, so that the only way to
refuse it is to see that thing. docs/hostile.md has the recipes by their ids, and the published reports behind them.

    generate.py [FOLDER]        writes the files, FOLDER/INDEX.tsv, and all of it as one file, FOLDER/HOSTILE.PAK, for hosts without
                                folders (default: build/hostile)
    generate.py --write-index   rewrites tests/hostile/INDEX.tsv and the table of docs/hostile.md, which are kept with the sources
    generate.py --check         says whether those are current, whether every published report has its file, and every bad file its
                                offset
    generate.py --record FILE   takes the offsets that no recipe names from FILE, the output of hosted_tests "[.offsets]", into
                                offsets.tsv; look at each

Python's standard library only; the same bytes on every machine.
"""
import argparse
import re
import struct
import sys
from pathlib import Path

import published
import recipes_artifacts  # noqa: F401  each of these adds its recipes to the list
import recipes_families  # noqa: F401
import recipes_json  # noqa: F401
import recipes_llama2c  # noqa: F401
import recipes_metadata  # noqa: F401
import recipes_tensors  # noqa: F401
import recipes_model  # noqa: F401
import recipes_settings  # noqa: F401
import recipes_slm  # noqa: F401
import recipes_split  # noqa: F401
import recipes_templates  # noqa: F401
import recipes_vocabulary  # noqa: F401
from recipe import RECIPES

HERE = Path(__file__).resolve().parent
OFFSETS = HERE / "offsets.tsv"
NOT_RECORDED = "?"
INDEX_HEADER = "#id\tfile\terror\tstage\toffset\tsource\n"


def name_of(ident, name, suffix):
    whole = name.startswith("=")
    if whole and name.count(".") == 1:
        return name[1:]  # tokenizer.bin, which any model may have beside it
    return f"{ident}-{name[1:]}" if whole else f"{ident}-{name}.{suffix}"


def rows():
    """(row of INDEX.tsv, bytes) for every file."""
    names = set()
    recorded = dict(line.split("\t") for line in OFFSETS.read_text().splitlines()) if OFFSETS.exists() else {}
    for ident, source, suffix, function in RECIPES:
        for name, data, error, stage, offset in function():
            file = name_of(ident, name, suffix)
            assert file not in names, file
            names.add(file)
            if offset is None:
                offset = "-" if stage in ("ok", "beside") else recorded.get(file, NOT_RECORDED)
            yield f"{ident}\t{file}\t{error}\t{stage}\t{offset}\t{source}\n", file, data


def pack(entries):
    """One file of all: a count, then (name, error, stage, offset, place, size) of each, then the bytes. tests/hostile/pack.h reads
    it."""
    head = struct.calcsize(PACK_HEAD) + len(entries) * struct.calcsize(PACK_ENTRY)
    table, body = [], []
    for row, file, data in entries:
        _, _, error, stage, offset, _ = row.rstrip("\n").split("\t")
        table.append(struct.pack(PACK_ENTRY, file.encode(), error.encode(), stage.encode(),
                                 int(offset) if offset.isdigit() else 2**64 - 1, head, len(data)))
        body.append(data)
        head += len(data)
    return struct.pack(PACK_HEAD, b"LBMPACK1", len(entries)) + b"".join(table + body)


PACK_HEAD, PACK_ENTRY = "<8sQ", "<96s24s16sQQQ"
DOCUMENT = HERE.parent.parent / "docs" / "hostile.md"
TABLE_START, TABLE_END = "<!-- reports: written by tests/hostile/generate.py -->\n", "<!-- end of reports -->\n"


def document(reports):
    """docs/hostile.md with its table of published reports as it has to be."""
    before, _, rest = DOCUMENT.read_text().partition(TABLE_START)
    return before + TABLE_START + published.table(reports) + TABLE_END + rest.partition(TABLE_END)[2]


def record(output):
    """Adds the lines "offset of FILE: N" of `output` to offsets.tsv, and drops those whose offset a recipe names now."""
    told = dict(re.findall(r"^offset of (\S+): (\d+|none)$", output, re.MULTILINE))
    old = dict(line.split("\t") for line in OFFSETS.read_text().splitlines()) if OFFSETS.exists() else {}
    wanted = [name_of(ident, name, suffix) for ident, _, suffix, function in RECIPES
              for name, _, _, stage, offset in function() if offset is None and stage not in ("ok", "beside")]
    OFFSETS.write_text("".join(f"{name}\t{told.get(name, old.get(name))}\n" for name in sorted(wanted) if name in told or name in old))


def check(index, reports):
    """What is not as it should be, one line each."""
    if not (HERE / "INDEX.tsv").exists() or (HERE / "INDEX.tsv").read_text() != index:
        yield "tests/hostile/INDEX.tsv is not current; run tests/hostile/generate.py --write-index"
    if document(reports) != DOCUMENT.read_text():
        yield "the table of docs/hostile.md is not current; run tests/hostile/generate.py --write-index"
    without_offset = [line.split("\t")[1] for line in index.splitlines() if f"\t{NOT_RECORDED}\t" in line]
    if without_offset:
        yield f"{len(without_offset)} files have no offset (the first: {without_offset[0]}); name it in the recipe, or record it (--record)"
    without_file, unknown = published.missing(reports)
    for report in without_file:
        yield f"{report} has no file: name it in the source of a recipe, or say why in tests/hostile/published.py"
    for report in unknown:
        yield f"{report} is the source of a recipe, but is not listed in tests/hostile/published.py"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent.parent / "build" / "hostile")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write-index", action="store_true")
    action.add_argument("--check", action="store_true")
    action.add_argument("--record", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.record:
        record(options.record.read_text())
        return 0
    entries = list(rows())
    index = INDEX_HEADER + "".join(row for row, _, _ in entries)
    if options.check or options.write_index:
        columns = [row.rstrip("\n").split("\t") for row, _, _ in entries]
        reports = [(fields[0], fields[5]) for fields in columns]
        if options.write_index:
            (HERE / "INDEX.tsv").write_text(index)
            DOCUMENT.write_text(document(reports))
        wrong = list(check(index, reports))
        print("".join(line + "\n" for line in wrong), end="", file=sys.stderr)
        return 1 if wrong else 0
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for _, file, data in entries:
        (folder / file).write_bytes(data)
    (folder / "HOSTILE.PAK").write_bytes(pack(entries))
    # Last, so that an index is a sign of a complete corpus.
    (folder / "INDEX.tsv").write_text(index)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
