#!/usr/bin/env python3
"""Builds a commit twice, in two folders and two surroundings, and compares what comes out byte for byte.

  reproducible_build.py [--commit HEAD] [--target efi/BOOTX64.EFI]... [--jobs N]

The folders have names of different lengths; time zone, language, user name and file mode mask differ. Compilers are called without
a cache, so it takes as long as two builds. Nothing is left behind.

Exit codes: 0 the same bytes, 1 they differ or a build failed, 2 usage.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SURROUNDINGS = (("a", 0o022, {"TZ": "UTC", "LC_ALL": "C", "USER": "first"}),
                ("another/and-deeper", 0o077, {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "USER": "second"}))


def run(*command, **options):
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, **options)


def unpack(commit, folder):
    folder.mkdir(parents=True)
    archive = folder.parent / (folder.name + ".tar")
    run("git", "-C", ROOT, "archive", "--output", archive, commit)
    run("tar", "-xf", archive, "-C", folder)
    archive.unlink()


def build(options, commit, folder, mask, variables):
    """Returns the hashes of the targets."""
    unpack(commit, folder)
    targets = [f"out/{target}" for target in options.target]
    environment = {**os.environ, **variables, "CCACHE_DISABLE": "1"}
    # The version names the commit, which a checkout without its history cannot tell.
    run("make", f"-j{options.jobs}", "BUILD=out", f"VERSION_COMMIT={commit[:7]}", *targets, cwd=folder, env=environment, umask=mask)
    return {target: hashlib.sha256((folder / target).read_bytes()).hexdigest() for target in targets}


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commit", default="HEAD", help="what to build (default: HEAD)")
    parser.add_argument("--target", action="append", help="in the build folder; may be given again (default: efi/BOOTX64.EFI)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    options = parser.parse_args(arguments)
    options.target = options.target or ["efi/BOOTX64.EFI"]
    try:
        commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--verify", f"{options.commit}^{{commit}}"], check=True,
                                capture_output=True, text=True).stdout.strip()
        with tempfile.TemporaryDirectory(prefix="lbm-twice-") as folder:
            first, second = (build(options, commit, Path(folder) / name, mask, variables) for name, mask, variables in SURROUNDINGS)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"reproducible_build: {error}", file=sys.stderr)
        return 1
    for target in first:
        print(f"{'same  ' if first[target] == second[target] else 'DIFFER'} {first[target]} {target.removeprefix('out/')}")
    return 0 if first == second else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
