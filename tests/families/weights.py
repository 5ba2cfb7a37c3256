"""Weights that are the same on every machine: SHAKE-256 of the tensor's name and the case's seed, 16 bits a value.

A value is centre + amplitude * u with u one of 65536 equidistant numbers in (-1, 1); the few operations are exact or correctly
rounded by IEEE-754, so that a file's bytes depend on nothing but the table of cases.
"""
import array
import functools
import hashlib
import math
import sys


@functools.cache
def _values(centre, amplitude):
    """What each of the 65536 patterns stands for."""
    return array.array("f", (centre + amplitude * ((pattern - 32767.5) / 32768.0) for pattern in range(65536)))


def f32(values):
    """The bytes of an array of floats, little-endian."""
    out = array.array("f", values)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def draw(seed, name, count, centre, amplitude):
    """`count` values for the tensor `name`, as the bytes of F32."""
    patterns = array.array("H", hashlib.shake_256(f"{seed}/{name}".encode()).digest(2 * count))
    if sys.byteorder == "big":
        patterns.byteswap()
    table = _values(centre, amplitude)
    return f32(map(table.__getitem__, patterns))


def amplitude_of_matrix(n_in, gain=1.0):
    """Of a uniform distribution for which the output of a row has `gain` times the size of its input."""
    return gain * math.sqrt(3.0 / n_in)


def token_ids(seed, count, n_vocab):
    """The tokens that a case is evaluated on."""
    raw = hashlib.shake_256(f"{seed}/tokens".encode()).digest(4 * count)
    return [int.from_bytes(raw[4 * i:4 * i + 4], "little") % n_vocab for i in range(count)]
