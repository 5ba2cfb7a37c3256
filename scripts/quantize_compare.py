#!/usr/bin/env python3
"""Compares our quantizer with llama-quantize: size and perplexity of every type.

Both quantize the same model, and `lbm perplexity` evaluates both results, so the only difference is
the quantizer. Prints the table of docs/quantize.md.

  scripts/quantize_compare.py --peer PATH-TO-llama-quantize -m model-F16.gguf -f text.txt
  scripts/quantize_compare.py ... --types Q4_0,Q4_K_M --chunks 5     quicker
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TYPES = ("Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K "
         "IQ4_NL IQ4_XS").split()


def run(command):
    """Runs a command and returns its stdout; a failure ends the script with the command's stderr."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def perplexity(args, model):
    """The perplexity of `model` on the text, in our engine."""
    out = run([args.lbm, "perplexity", "-q", "--json", "-m", model, "-f", args.file, "-c", args.ctx,
               "--chunks", args.chunks])
    return json.loads(out)["ppl"]


def compare(args, name, folder):
    """One row: quantizes with both, evaluates both, removes both."""
    ours, theirs = folder / "ours.gguf", folder / "peer.gguf"
    imatrix = ["--imatrix", args.imatrix] if args.imatrix else []
    run([args.lbm, "quantize", "-q", args.model, ours, name, *imatrix])
    run([args.peer, *imatrix, args.model, theirs, name])
    row = {"type": name, "bytes": ours.stat().st_size, "peer_bytes": theirs.stat().st_size,
           "ppl": perplexity(args, ours), "peer_ppl": perplexity(args, theirs)}
    ours.unlink()
    theirs.unlink()
    return row


def format_row(row):
    """A line of the Markdown table."""
    change = 100 * (row["ppl"] / row["peer_ppl"] - 1)
    return (f"| {row['type']} | {row['bytes'] / 2**20:.1f} | {row['peer_bytes'] / 2**20:.1f} "
            f"| {row['ppl']:.3f} | {row['peer_ppl']:.3f} | {change:+.2f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lbm", default="build/lbm", type=pathlib.Path)
    parser.add_argument("--peer", required=True, type=pathlib.Path, help="llama-quantize")
    parser.add_argument("-m", "--model", required=True, type=pathlib.Path, help="F16 or F32 GGUF")
    parser.add_argument("-f", "--file", required=True, type=pathlib.Path, help="text to score")
    parser.add_argument("-c", "--ctx", default=512, type=int)
    parser.add_argument("--chunks", default=20, type=int)
    parser.add_argument("--imatrix", type=pathlib.Path, help="importance matrix, given to both")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead")
    args = parser.parse_args()
    if not args.json:
        print("| type | MiB | peer MiB | perplexity | peer perplexity | change |")
        print("|---|---:|---:|---:|---:|---:|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.types.split(","):
            row = compare(args, name, pathlib.Path(folder))
            worst = max(worst, row["ppl"] / row["peer_ppl"] - 1)
            print(json.dumps(row) if args.json else format_row(row), flush=True)
    return 0 if worst <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
