"""Histories of the passes: JSON Lines, one compact object a line, only ever appended to."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import List

from passes.voice import PassFailed


def read_rows(path: Path) -> List[dict]:
    """The objects of a history, oldest first. Blank lines, junk and what is no object are skipped; no file is no rows."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise PassFailed(f"the history {path} can not be read: {error.strerror}. Name another one with --history-path") from error
    rows = []
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def append_row(path: Path, row: dict):
    """Adds one line. A line that a crash left unfinished stays a line of its own, which readers skip."""
    line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode("utf-8"))
    except OSError as error:
        raise PassFailed(f"the history {path} can not be written: {error.strerror}. "
                         "Name another place with --history-path, or none with --no-history-write") from error


def utc_now() -> str:
    """Now as ISO 8601 in UTC, with the seven digits of a second that the specified rows have."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
