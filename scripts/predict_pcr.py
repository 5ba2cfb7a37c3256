#!/usr/bin/env python3
"""Predicts PCR 12 of a TPM after llm-baremetal has measured its settings and models (docs/secure_boot.md).

  predict_pcr.py repl.cfg SmolLM2-135M-Instruct.Q4_1.gguf     the files in the order in which they were used

A PCR begins as 32 bytes of zeros and becomes SHA-256(old || SHA-256(data)); the data is the SHA-256 of the file, 32 bytes, which is
what the program knows a model by. --from HEX continues from another value.

Exit codes: 0 done, 1 a file can not be read, 2 usage.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from checksums import sha256_of

START = bytes(32)


def extend(pcr, data):
    """The value of the PCR after a measurement of `data`."""
    return hashlib.sha256(pcr + hashlib.sha256(data).digest()).digest()


def predict(pcr, files):
    for path in files:
        pcr = extend(pcr, bytes.fromhex(sha256_of(path)))
    return pcr


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="settings and models, in the order in which they were used")
    parser.add_argument("--from", dest="start", default=START.hex(), help="the value before, as 64 hexadecimal digits")
    options = parser.parse_args(arguments)
    try:
        print(predict(bytes.fromhex(options.start), options.files).hex())
    except (OSError, ValueError) as error:
        print(f"predict_pcr: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
