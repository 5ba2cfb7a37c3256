"""Writes .xz files whose bytes do not depend on the machine: one stream of blocks of a fixed size, however many processors.

A block is compressed by itself, so blocks of zeros, of which a disk image has hundreds, are compressed once. The .xz File
Format Specification 1.1.0 has the structures; liblzma makes the blocks, each as a stream of its own, and its index is read back.
"""

import binascii
import hashlib
import lzma
import os
import struct
from concurrent.futures import ThreadPoolExecutor

BLOCK = 16 << 20
STREAM_HEADER = b"\xfd7zXZ\0" + b"\0\x04" + struct.pack("<I", binascii.crc32(b"\0\x04"))  # blocks end with a CRC64
FOOTER_BYTES = 12


def put_number(value):
    """A number as the format stores them: seven bits a byte, the lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def get_number(data, at):
    """(number, where it ends)"""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def compress_block(data, level):
    """(the block, its unpadded size): the only one of a stream that liblzma makes."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": BLOCK}]
    stream = lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=filters)
    index_bytes = 4 * (struct.unpack_from("<I", stream, len(stream) - 8)[0] + 1)
    index_at = len(stream) - FOOTER_BYTES - index_bytes
    unpadded, _ = get_number(stream, index_at + 2)  # behind the indicator and the count, which is 1
    return stream[len(STREAM_HEADER):index_at], unpadded


def read_blocks(file, digest):
    while data := file.read(BLOCK):
        digest.update(data)
        yield data


def in_order(pool, function, items, n_ahead):
    """map() that reads only `n_ahead` items ahead: they are large."""
    waiting = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > n_ahead:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


def compress_file(source, target, level=9):
    """Writes `source` to `target` as .xz; returns the SHA-256 of what it unpacks to."""
    digest = hashlib.sha256()
    zeros = bytes(BLOCK)
    known = {}

    def compress(data):
        if data != zeros:
            return compress_block(data, level), len(data)
        if "zeros" not in known:
            known["zeros"] = compress_block(data, level)
        return known["zeros"], len(data)

    records = []
    n_worker = os.cpu_count() or 1
    with open(source, "rb") as file, open(target, "wb") as out, ThreadPoolExecutor(n_worker) as pool:
        out.write(STREAM_HEADER)
        for (block, unpadded), n_byte in in_order(pool, compress, read_blocks(file, digest), n_worker):
            out.write(block)
            records.append(put_number(unpadded) + put_number(n_byte))
        index = b"\0" + put_number(len(records)) + b"".join(records)
        index += bytes(-len(index) % 4)
        out.write(index + struct.pack("<I", binascii.crc32(index)))
        footer = struct.pack("<I", (len(index) + 4) // 4 - 1) + STREAM_HEADER[6:8]
        out.write(struct.pack("<I", binascii.crc32(footer)) + footer + b"YZ")
    return digest.hexdigest()
