"""All cases: every family of docs/families.md with its variants, in shapes that are odd on purpose.

Windows, caps and scales are unrealistically small or large so that a missing one is visible; widths, head sizes and vocabularies
are no multiples of what kernels like. The margins of the greedy continuation were looked at when the seeds were chosen.
"""
from cases_dense import CASES as DENSE
from cases_experts import CASES as EXPERTS
from cases_hybrid import CASES as HYBRID
from cases_layer_norm import CASES as LAYER_NORM

CASES = DENSE + LAYER_NORM + EXPERTS + HYBRID
