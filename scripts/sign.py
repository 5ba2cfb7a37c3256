#!/usr/bin/env python3
"""Signs a UEFI application for Secure Boot, with a key of your own (docs/secure_boot.md says how a PC learns to trust it).

  sign.py --key db.key --cert db.crt --out BOOTX64.signed.EFI build/efi/BOOTX64.EFI

The file is linted first (check_pe.py) and its signature verified afterwards. Needs sbsigntool. Keys are read, never written.

Exit codes: 0 done, 1 it could not be signed, 2 usage.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import check_pe


class SignError(Exception):
    """What went wrong, and the way out."""


def run(*command):
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
    except FileNotFoundError as error:
        raise SignError(f"{command[0]} is missing. Install it with:  scripts/deps.sh release") from error
    if done.returncode != 0:
        raise SignError(f"{command[0]} failed: {done.stdout.strip()}")


def sign(source, target, key, certificate):
    """Writes `source`, signed, to `target`. Raises SignError."""
    for path, what in ((source, "program"), (key, "KEY, a private key"), (certificate, "CERT, its certificate")):
        if str(path) in ("", ".") or not path.is_file():
            raise SignError(f"{what} is needed: there is no {path}" if str(path) not in ("", ".") else
                            f"{what} is needed:  make sign KEY=db.key CERT=db.crt")
    findings = check_pe.check(source.read_bytes())
    if findings:
        raise SignError(f"{source} is not signed: it {findings[0]}")
    with tempfile.TemporaryDirectory(prefix=".sign-", dir=target.parent) as folder:
        signed = Path(folder) / "signed"
        run("sbsign", "--key", key, "--cert", certificate, "--output", signed, source)
        run("sbverify", "--cert", certificate, signed)
        os.replace(signed, target)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the application")
    parser.add_argument("--key", type=Path, required=True, help="private key (PEM)")
    parser.add_argument("--cert", type=Path, required=True, help="certificate (PEM)")
    parser.add_argument("--out", type=Path, required=True, help="the signed application")
    options = parser.parse_args(arguments)
    try:
        sign(options.source, options.out, options.key, options.cert)
    except (SignError, OSError) as error:
        print(f"sign: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: signed, and verified against {options.cert}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
