"""The command line under test as a process: where it is, how it is run, and the data that tests need.

$LBM names the binary (else build/lbm), $LBM_GOLDEN the golden data (else ../shared/golden beside the checkout), $LBM_MODEL the default
model (else models/cache). Tests that need what is absent are skipped and say so.
"""

import array
import glob
import json
import os
import resource
import struct
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LBM = os.path.abspath(os.environ.get("LBM", os.path.join(ROOT, "build", "lbm")))
GOLDEN = os.environ.get("LBM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
TIMEOUT_S = 300

# The environment of the tests is theirs: a user's settings must not decide them.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("LBM_", "XDG_"))}
ENVIRONMENT["HOME"] = tempfile.gettempdir() + "/lbm-cli-test-no-home"

OK, RUNTIME, USAGE, MODEL, MEMORY, CONTEXT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


def golden(*parts):
    path = os.path.join(GOLDEN, *parts)
    if not os.path.exists(path):
        raise unittest.SkipTest("no golden data: " + path)
    return path


def default_model():
    given = os.environ.get("LBM_MODEL")
    found = [given] if given else glob.glob(os.path.join(ROOT, "models", "cache", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not found or not os.path.exists(found[0]):
        raise unittest.SkipTest("the default model was not fetched (make model)")
    return found[0]


def lbm(*arguments, stdin=b"", code=OK, limit_bytes=None):
    """Runs lbm; returns (stdout, stderr) and checks the exit code."""
    if isinstance(stdin, str):
        stdin = stdin.encode()

    def limit():
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))

    done = subprocess.run([LBM, *map(str, arguments)], input=stdin, capture_output=True, timeout=TIMEOUT_S,
                          env=ENVIRONMENT, preexec_fn=limit if limit_bytes else None, check=False)
    if done.returncode != code:
        raise AssertionError(f"lbm {' '.join(map(str, arguments))}: exit code {done.returncode}, expected {code}\n"
                             f"stdout: {done.stdout[-2000:]!r}\nstderr: {done.stderr[-2000:]!r}")
    return done.stdout, done.stderr.decode()


def lbm_json(*arguments, **options):
    return json.loads(lbm(*arguments, **options)[0])


def floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def gguf(metadata=(), tensors=(), version=3):
    """A GGUF file of string and u32 metadata and empty-named tensors: enough to be refused in interesting ways."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata:
        out += text(key) + (struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value))
    for name, dtype, n in tensors:
        out += text(name) + struct.pack("<IQIQ", 1, n, dtype, 0)
    return out + b"\0" * (-len(out) % 32)


if not os.path.exists(LBM):
    raise SystemExit(f"{LBM} is not there: build it (make cli), or name a binary with LBM=")
