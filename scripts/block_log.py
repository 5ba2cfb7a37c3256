"""What a disk may look like after a power cut: the write log of QEMU's blklogwrites, and the crash states that follow from it.

The log (dm-log-writes): a superblock of one sector, then entries, each a header in a sector of its own and its data. Between two
flushes a disk may have kept any of the writes; of one write, any sectors in front, with a sector that came out as garbage.
"""

import random
import struct
from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
N_RANDOM = 8


class BadLog(Exception):
    """Not a log, or one that was cut."""


@dataclass(frozen=True)
class Write:
    index: int   # among all entries
    end: int     # of the entry, in bytes of the log
    sector: int
    data: bytes

    def sectors(self) -> Dict[int, bytes]:
        return {self.sector + i: self.data[i * SECTOR:(i + 1) * SECTOR] for i in range(len(self.data) // SECTOR)}


@dataclass(frozen=True)
class Epoch:
    """The writes between two flushes. The last one of a log may have no flush behind it."""
    writes: Tuple[Write, ...]
    end: int       # of the flush, in bytes of the log
    flushed: bool


@dataclass(frozen=True)
class CrashState:
    kind: str                # prefix, drop-one, only-one, random, torn, garbage
    delta: Dict[int, bytes]  # sector -> bytes, on top of what was stable before the epoch
    issued: int              # bytes of the log when the disk had answered last before the cut


def read_log(data: bytes) -> List[Epoch]:
    magic, version, _, sector_bytes = struct.unpack_from("<QQQI", data)
    if magic != MAGIC or version != 1 or sector_bytes != SECTOR:
        raise BadLog("no write log of QEMU with sectors of 512 bytes")
    epochs, writes, at, index = [], [], SECTOR, 0
    while at + 32 <= len(data):
        sector, n_sector, flags, n_byte = struct.unpack_from("<QQQQ", data, at)
        if sector == n_sector == flags == n_byte == 0:
            break
        begin = at + SECTOR
        at = begin + (0 if flags & (FLUSH | DISCARD) and n_byte == 0 else n_sector * SECTOR)
        if at > len(data):
            raise BadLog(f"entry {index} is cut off")
        if flags & DISCARD:
            writes.append(Write(index, at, sector, bytes(n_sector * SECTOR)))
        elif n_sector:
            writes.append(Write(index, at, sector, data[begin:at]))
        index += 1
        if flags & (FLUSH | FUA):
            epochs.append(Epoch(tuple(writes), at, True))
            writes = []
    if writes:
        epochs.append(Epoch(tuple(writes), at, False))
    return epochs


def merged(writes) -> Dict[int, bytes]:
    delta = {}
    for write in writes:
        delta.update(write.sectors())
    return delta


def crash_states(epoch: Epoch, draw: random.Random) -> Iterator[CrashState]:
    """Every prefix; every write left out, and alone; some random choices; every write torn behind each of its sectors, and with
    each of its sectors turned to garbage."""
    writes = epoch.writes
    n = len(writes)
    seen = set()

    def choice(kind, kept, issued):
        if kept in seen:
            return None
        seen.add(kept)
        return CrashState(kind, merged(w for i, w in enumerate(writes) if i in kept), issued)

    states = [choice("prefix", frozenset(range(k)), writes[k - 1].end if k else 0) for k in range(1, n + 1)]
    last = writes[-1].end if writes else 0  # the flush has not come yet
    states += [choice("drop-one", frozenset(range(n)) - {i}, last) for i in range(n)]
    states += [choice("only-one", frozenset({i}), last) for i in range(n)]
    states += [choice("random", frozenset(i for i in range(n) if draw.random() < 0.5), last) for _ in range(N_RANDOM if n > 2 else 0)]
    yield from (state for state in states if state is not None)
    before: Dict[int, bytes] = {}
    for write in writes:
        begun = write.end - 1  # it is not done yet
        whole = write.sectors()
        order = sorted(whole)
        for k in range(1, len(order)):
            yield CrashState("torn", {**before, **{s: whole[s] for s in order[:k]}}, begun)
        for bad in order:
            yield CrashState("garbage", {**before, **whole, bad: draw.randbytes(SECTOR)}, begun)
        before.update(whole)
