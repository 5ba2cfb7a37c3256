#!/usr/bin/env python3
"""Golden vectors of top-p sampling, from its definition: prints the table of tests/infer/top_p_test.cpp.

    python3 tests/expected/top_p_vectors.py

Softmax of logits / T in f64, tokens by probability (ties: the lower id), kept until their sum reaches top_p (the one that
crosses is kept, at least one), one uniform number u for each draw, and the first token whose running sum of kept probability
passes u times all that was kept. u is the core's PCG32 with the sampler's stream. A vector whose decision is nearer than 1e-6 to
a border is refused: another order of additions might fall on the other side.
"""

import math

MASK = (1 << 64) - 1
STREAM = 0x73616D70


def uniforms(seed):
    increment = ((STREAM << 1) | 1) & MASK
    state = 0

    def step():
        nonlocal state
        old = state
        state = (old * 6364136223846793005 + increment) & MASK
        shifted = (((old >> 18) ^ old) >> 27) & 0xFFFFFFFF
        rotation = old >> 59
        return ((shifted >> rotation) | (shifted << (-rotation & 31))) & 0xFFFFFFFF

    step()
    state = (state + seed) & MASK
    step()
    while True:
        yield step() / 2**32


def draws(logits, temperature, top_p, seed, n):
    largest = max(logits)
    weights = [math.exp((x - largest) / temperature) for x in logits]
    total = sum(weights)
    order = sorted(range(len(logits)), key=lambda i: (-weights[i], i))
    kept, mass = [], 0.0
    for i in order:
        kept.append(i)
        mass += weights[i] / total
        if abs(mass - top_p) < 1e-6 and len(set(logits)) > 1:
            raise SystemExit("a vector is on the border of top_p")
        if mass >= top_p:
            break
    out = []
    for u in uniforms(seed):
        if len(out) == n:
            return kept, out
        running = 0.0
        chosen = kept[0]  # rounding: the most probable one
        for i in kept:
            running += weights[i] / total
            if abs(running - u * mass) < 1e-6:
                raise SystemExit("a vector is on the border of a draw")
            if u * mass < running:
                chosen = i
                break
        out.append(chosen)


CASES = [
    ((0.5, 2.0, -1.0, 2.0, 1.25, 0.0, -3.0, 1.0), 1.0, 0.9, 1),
    ((0.5, 2.0, -1.0, 2.0, 1.25, 0.0, -3.0, 1.0), 0.7, 0.6, 2),
    ((0.5, 2.0, -1.0, 2.0, 1.25, 0.0, -3.0, 1.0), 2.0, 0.95, 3),
    ((0.5, 2.0, -1.0, 2.0, 1.25, 0.0, -3.0, 1.0), 1.0, 0.05, 4),
    ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.0, 0.5, 5),
    ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 3.0, 0.3, 6),
    ((-8.0, -4.0, -2.0, -1.0, -0.5, -0.25, -0.125, 0.0), 1.5, 0.8, 7),
    ((30.0, 10.0, 5.0, 2.5, 29.0, 0.0, -30.0, 28.5), 1.0, 0.99, 8),
]

for logits, temperature, top_p, seed in CASES:
    kept, out = draws(logits, temperature, top_p, seed, 12)
    print("    {{%s}, %sf, %sf, %d, {%s}, %d, {%s}}," % (
        ", ".join(f"{x}f" for x in logits), temperature, top_p, seed, ", ".join(map(str, kept + [0] * (8 - len(kept)))), len(kept),
        ", ".join(map(str, out))))
