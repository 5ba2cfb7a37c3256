"""Reads GPT disks and their FAT32 volumes for checks, through any view of the disk. Shares no code with what writes them.

A view has read(offset, n_byte), so that a disk in memory, in a file, or as it was before some writes all look alike.
"""

import struct
import uuid
from dataclasses import dataclass
from typing import Dict, List

SECTOR = 512
FOLDER, VOLUME_LABEL, LONG_NAME = 0x10, 0x08, 0x0F
END_OF_CHAIN = 0x0FFFFFF8


class BadDisk(Exception):
    """The structures of the disk contradict themselves."""


@dataclass(frozen=True)
class Partition:
    name: str
    kind: str   # GUID
    start: int  # bytes
    n_byte: int


@dataclass(frozen=True)
class File:
    n_byte: int
    extents: tuple  # (offset on the disk, bytes) of its clusters, in order; whole clusters

    def sectors(self):
        for offset, n_byte in self.extents:
            yield from range(offset // SECTOR, (offset + n_byte) // SECTOR)


def read_partitions(view) -> List[Partition]:
    header = view.read(SECTOR, 92)
    if header[:8] != b"EFI PART":
        raise BadDisk("there is no GPT")
    table, n_entry, entry_bytes = struct.unpack_from("<QII", header, 72)
    found = []
    for index in range(min(n_entry, 128)):
        entry = view.read(table * SECTOR + index * entry_bytes, 128)
        if entry[:16] == bytes(16):
            continue
        first, last = struct.unpack_from("<QQ", entry, 32)
        found.append(Partition(entry[56:128].decode("utf-16-le").rstrip("\0"), str(uuid.UUID(bytes_le=entry[:16])).upper(),
                               first * SECTOR, (last - first + 1) * SECTOR))
    return found


class FatVolume:
    """A FAT32 volume; files() walks it from the root."""

    def __init__(self, view, start: int):
        self._view, self._start = view, start
        boot = view.read(start, SECTOR)
        if boot[510:] != b"\x55\xAA" or boot[82:87] != b"FAT32":
            raise BadDisk("no FAT32 volume")
        (sector_bytes,) = struct.unpack_from("<H", boot, 11)
        (reserved,) = struct.unpack_from("<H", boot, 14)
        total, table_sectors = struct.unpack_from("<I", boot, 32)[0], struct.unpack_from("<I", boot, 36)[0]
        (self._root,) = struct.unpack_from("<I", boot, 44)
        self._cluster_bytes = boot[13] * SECTOR
        if sector_bytes != SECTOR or boot[13] == 0:
            raise BadDisk("sectors or clusters of an unknown size")
        self._table = start + reserved * SECTOR
        self._data = self._table + boot[16] * table_sectors * SECTOR
        self._n_cluster = (total * SECTOR - (self._data - start)) // self._cluster_bytes
        self._table_cache: Dict[int, tuple] = {}

    def files(self) -> Dict[str, File]:
        """Path in capital letters -> File. Errors: BadDisk for a chain that is broken, cross-linked, or not as long as its file."""
        found, owners = {}, {}
        self._walk("", self._root, found, owners, 0)
        return found

    def _walk(self, prefix, cluster, found, owners, depth):
        if depth > 8:
            raise BadDisk(f"{prefix}: folders are too deep")
        clusters = self._chain(cluster, prefix or "/", owners)
        for at in clusters:
            data = self._view.read(self._offset(at), self._cluster_bytes)
            for position in range(0, len(data), 32):
                entry = data[position:position + 32]
                if entry[0] == 0:
                    return
                if entry[0] == 0xE5 or entry[11] & LONG_NAME == LONG_NAME or entry[11] & VOLUME_LABEL or entry[0] == 0x2E:
                    continue
                name = entry[:8].decode("latin-1").rstrip()
                if entry[8:11].strip():
                    name += "." + entry[8:11].decode("latin-1").rstrip()
                high, low, n_byte = struct.unpack_from("<H4xHI", entry, 20)
                path, first = prefix + name, high << 16 | low
                if entry[11] & FOLDER:
                    self._walk(path + "/", first, found, owners, depth + 1)
                else:
                    found[path] = self._file(path, first, n_byte, owners)

    def _file(self, path, first, n_byte, owners):
        chain = self._chain(first, path, owners) if first else []
        if -(-n_byte // self._cluster_bytes) != len(chain):
            raise BadDisk(f"{path}: {len(chain)} clusters for {n_byte} bytes")
        extents = []
        for cluster in chain:
            offset = self._offset(cluster)
            if extents and extents[-1][0] + extents[-1][1] == offset:
                extents[-1][1] += self._cluster_bytes
            else:
                extents.append([offset, self._cluster_bytes])
        return File(n_byte, tuple(map(tuple, extents)))

    def _offset(self, cluster):
        return self._data + (cluster - 2) * self._cluster_bytes

    def _next(self, cluster):
        page = cluster // 1024
        if page not in self._table_cache:
            self._table_cache[page] = struct.unpack("<1024I", self._view.read(self._table + page * 4096, 4096))
        return self._table_cache[page][cluster % 1024] & 0x0FFFFFFF

    def _chain(self, cluster, path, owners):
        chain = []
        while cluster < END_OF_CHAIN:
            if not 2 <= cluster < self._n_cluster + 2:
                raise BadDisk(f"{path}: cluster {cluster} is not on the volume")
            if owners.setdefault(cluster, path) != path or len(chain) > self._n_cluster:
                raise BadDisk(f"{path}: cluster {cluster} belongs to {owners[cluster]}, too")
            chain.append(cluster)
            cluster = self._next(cluster)
        return chain
