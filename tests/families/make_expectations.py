#!/usr/bin/env python3
"""Evaluates every case with Hugging Face transformers and writes tests/expected/families/NAME.json, and the table in docs/families.md.

    make_expectations.py [--only NAME]... [--peer PROGRAM] [--table FILE]

Not part of the tests: it is run by hand when the table of cases changes, with (as it last was)

    Python 3.11, torch 2.15.0, transformers 5.23.0, numpy 2.4.6      pip install torch==2.15.0 transformers==5.23.0 numpy

on the CPU. The weights are those of the file (hf_weights.py says how they get there, hf_models.py what is configured), converted
to f64; attention and experts are the "eager" implementations, the ones written out in the class. A few operations of some
classes are in f32 even so (norms, softmax, angles).

Of each case it keeps, for 160 tokens evaluated at once, the logits of 24 entries of the vocabulary at 12 positions with the sum and
the sum of squares over the whole vocabulary there, and the 16 tokens of a greedy continuation of the first 32, with their margins.
12 positions cross every window of the cases, the 64 positions of an attention tile and the 64 tokens of a delta net's chunk.

--peer is the second opinion: reference/peer_logits.cpp linked to llama.cpp, which reads the same file token by token. The largest
difference to transformers goes into the table; one of more than 2e-3 is an error, but for cases that say they differ (hf_models.py).
The library is one built without its table of GELU in f16 (undefine GGML_GELU_FP16 in ggml/src/ggml-cpu/vec.h), which alone moves
logits by up to 5e-3.
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from cases import CASES
from generate import EXPECTED
from hf_models import REFERENCE, create, reference_name
from hf_weights import state_dict
from model_parts import build
from weights import token_ids

N_TOKEN, N_PROMPT, N_GREEDY, N_ENTRY = 160, 32, 16, 24
POSITIONS = [0, 1, 5, 17, 31, 32, 63, 64, 65, 100, 129, 159]
MIN_MARGIN = 0.01  # a greedy continuation is an expectation only where rounding can not change it


class Reference:
    def __init__(self, case, model):
        weights, self.bias = state_dict(case, model)
        self.model = create(case, weights)
        if self.bias is not None and "lm_head.bias" in weights:
            self.bias = None

    def logits(self, tokens):
        with torch.no_grad():
            out = self.model(torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()
        return out if self.bias is None else out + self.bias

    def greedy(self, prompt):
        """(ids, margins) of the continuation."""
        tokens, margins = list(prompt), []
        for _ in range(N_GREEDY):
            last = self.logits(tokens)[-1]
            second, first = np.sort(last)[-2:]
            margins.append(float(first - second))
            tokens.append(int(np.argmax(last)))
        return tokens[len(prompt):], margins


def peer_logits(program, data, tokens, n_vocab, n_ctx):
    with tempfile.TemporaryDirectory() as folder:
        model, out = Path(folder) / "model.gguf", Path(folder) / "logits.f32"
        model.write_bytes(data)
        subprocess.run([program, model, out, str(n_ctx), "0", *map(str, tokens)], check=True, stdout=subprocess.DEVNULL)
        return np.fromfile(out, "<f4").reshape(-1, n_vocab)


def digits(values):
    return [float(f"{v:.7g}") for v in values]


def expectation(case, options):
    """(what is kept of a case, its row of the table)"""
    model = build(case)
    data = model.build()
    n_vocab = case.shape.vocab
    tokens = token_ids(case.seed, N_TOKEN, n_vocab)
    entries = sorted(set(token_ids(case.seed + 1000, 2 * N_ENTRY, n_vocab)))[:N_ENTRY]
    reference = Reference(case, model)
    logits = reference.logits(tokens)
    greedy, margins = reference.greedy(tokens[:N_PROMPT])
    peer = None
    if options.peer:
        peer = float(np.abs(peer_logits(options.peer, data, tokens, n_vocab, case.shape.context) - logits).max())
    rows = logits[POSITIONS]
    kept = {"architecture": case.family.arch, "reference": REFERENCE[reference_name(case)][0], "sha256": hashlib.sha256(data).hexdigest(),
            "n_vocab": n_vocab, "tokens": tokens, "n_prompt": N_PROMPT, "greedy": greedy,
            "greedy_margins": [float(f"{m:.4g}") for m in margins],
            "positions": POSITIONS, "entries": entries, "logits": [digits(row[entries]) for row in rows],
            "sums": digits(rows.sum(axis=1)), "sums_of_squares": digits((rows * rows).sum(axis=1))}
    return kept, (case.name, case.family.arch, kept["reference"], float(np.sqrt((logits * logits).mean())), min(margins), peer)


def as_text(kept):
    """One line a key, one line a row of logits."""
    lines = []
    for key, value in kept.items():
        if key == "logits":
            value = "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "]"
        else:
            value = json.dumps(value)
        lines.append(f' "{key}": {value}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="this case; may be given again")
    parser.add_argument("--peer", help="the program of reference/peer_logits.cpp")
    parser.add_argument("--table", type=Path, help="write the table's rows there")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    EXPECTED.mkdir(parents=True, exist_ok=True)
    n_wrong, table = 0, []
    for case in CASES:
        if options.only and case.name not in options.only:
            continue
        try:
            kept, row = expectation(case, options)
        except Exception as error:  # the other cases are worth having
            print(f"{case.name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            n_wrong += 1
            continue
        name, arch, cls, rms, margin, peer = row
        good = margin >= MIN_MARGIN and (peer is None or peer <= 2e-3 or case.reference.get("peer_differs", False))
        n_wrong += not good
        peer_text = "-" if peer is None else f"{peer:.1e}"
        print(f"{'ok   ' if good else 'WRONG'} {name:<26} {cls:<28} rms {rms:7.3f}  margin {margin:.4f}  peer {peer_text}", flush=True)
        table.append(f"| {name} | {cls} | {rms:.2f} | {margin:.3f} | {peer_text} |\n")
        if good:
            (EXPECTED / f"{name}.json").write_text(as_text(kept))
    if options.table:
        options.table.write_text("".join(table))
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
