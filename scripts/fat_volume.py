"""Writes a FAT32 volume of preallocated record slots, each file at a place that we choose. mtools gives no such choice.

Firmware writes FAT in lines of 64 KiB, neighbours included, and a power cut can tear the line that is being written. So
nothing of one slot of a record shares a line with anything of its other slot: not the data, not the directory entry (it
carries the time of the last change), and not the part of the file allocation table that chains its clusters. In zone 0,
the clusters that the first line of the table describes, lie only the root and a text for people; the folder SLOT0 and
its files fill the lower half of the other zones, SLOT1 and its files the upper half. Each file begins on a line of its
own, is contiguous, and is followed by an empty line.

    line 0           boot sector, FSInfo, their copies, map  zone 0                 root, README.TXT, SLOTS.MAP
    lines 1..8       file allocation table                  zones 1..half          SLOT0/NAME.0
    lines 9..16      its copy                               zones half+1..2*half   SLOT1/NAME.1

The program does not go through the firmware's FAT driver for slots: with each write it would rewrite folders, whose lines
hold the entries of other records. It finds them by a map (docs/state.md), of which there are two copies, in sector 32
and in the file SLOTS.MAP; nobody writes either. What else is written to the volume goes to its last zone.

The same inputs give the same bytes. Microsoft, FAT32 File System Specification 1.03, has the structures.
"""

import datetime
import hashlib
import re
import struct
from dataclasses import dataclass

MIB = 1 << 20
SECTOR = 512
LINE = 64 << 10
LINE_SECTORS = LINE // SECTOR
ENTRIES_PER_LINE = LINE // 4       # of the table
TABLE_LINES = 8
N_SLOT = 2
END_OF_CHAIN = 0x0FFFFFFF
MAP_SECTOR = 32                    # behind the copies of the boot sector
MAP_LINE = 1 + 2 * TABLE_LINES + 2 # of the volume: the third line of zone 0
MAP_MAGIC = b"LBMSLOT1"
FOLDER, VOLUME_LABEL, ARCHIVE = 0x10, 0x08, 0x20


class FatError(Exception):
    """A volume that can not be made as it was asked for."""


def slot_path(name, slot):
    """Where slot `slot` of the record `name` lies on the volume."""
    return f"SLOT{slot}/{name}.{slot}"


@dataclass(frozen=True)
class Entry:
    """One entry of a folder. `cluster` 0: it has no data."""
    name: bytes  # eleven characters
    attributes: int
    cluster: int
    n_byte: int

    def pack(self, stamp):
        date, time = stamp
        return struct.pack("<11sBBBHHHHHHHI", self.name, self.attributes, 0, 0, time, date, date, self.cluster >> 16, time, date,
                           self.cluster & 0xFFFF, self.n_byte)


def short_name(name):
    """NAME.EXT as the eleven characters of a folder entry."""
    base, _, extension = name.partition(".")
    if not re.fullmatch(r"[A-Z0-9_-]{1,8}", base) or not re.fullmatch(r"[A-Z0-9_-]{0,3}", extension):
        raise FatError(f"{name}: a name here has up to 8 capital letters or digits, a dot and up to 3 more")
    return (base.ljust(8) + extension.ljust(3)).encode("ascii")


def time_stamp(epoch):
    """(date, time) of FAT, in UTC; its years begin with 1980, its seconds come in twos."""
    moment = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    year = min(max(moment.year, 1980), 2107)
    return ((year - 1980) << 9 | moment.month << 5 | moment.day, moment.hour << 11 | moment.minute << 5 | moment.second // 2)


class SlotVolume:
    """The layout, from its sizes; write() puts it on a disk."""

    def __init__(self, n_byte, records, readme):
        """`records`: (name, bytes of a slot) in the order in which they lie; `readme`: the text of README.TXT."""
        self.n_byte = n_byte
        # The table has eight lines, so the clusters grow with the volume: 64 MiB of 512 bytes ... 512 MiB of 4 KiB.
        self.cluster_sectors = n_byte // (64 * MIB)
        if n_byte % (64 * MIB) or self.cluster_sectors not in (1, 2, 4, 8):
            raise FatError(f"a volume of slots has 64, 128, 256 or 512 MiB, not {n_byte / MIB:g}")
        self.cluster_bytes = self.cluster_sectors * SECTOR
        self.data_sector = LINE_SECTORS * (1 + 2 * TABLE_LINES)
        self.n_cluster = (n_byte // SECTOR - self.data_sector) // self.cluster_sectors
        self.table = {0: 0x0FFFFFF8, 1: END_OF_CHAIN}  # the media byte; clean, no errors
        self.contents = {}                             # cluster -> bytes
        self.places = {}                               # path -> (cluster, bytes)
        self._place_all(records, readme.encode("ascii"))

    def cluster_of_line(self, zone, line):
        """The first cluster of a line of a zone's data."""
        return zone * ENTRIES_PER_LINE + 2 + line * (LINE // self.cluster_bytes)

    def offset_of(self, cluster):
        """Where a cluster begins, in bytes of the volume."""
        return (self.data_sector + (cluster - 2) * self.cluster_sectors) * SECTOR

    def _chain(self, first, n_byte):
        n = -(-n_byte // self.cluster_bytes)
        for cluster in range(first, first + n - 1):
            self.table[cluster] = cluster + 1
        self.table[first + n - 1] = END_OF_CHAIN

    def _map(self, records):
        """Where the slots lie, for the program: name, offsets of both slots, bytes of a slot."""
        entries = b"".join(struct.pack("<8sQQQ", name.encode("ascii"), *(self.offset_of(self.places[slot_path(name, slot)][0])
                                                                         for slot in range(N_SLOT)), n_byte)
                           for name, n_byte in records)
        return MAP_MAGIC + struct.pack("<II", len(records), 0) + hashlib.sha256(entries).digest() + entries

    def _place_all(self, records, readme):
        lines_per_zone = ENTRIES_PER_LINE * self.cluster_bytes // LINE
        half = (TABLE_LINES - 2) // 2  # zone 0 is not theirs, and the last one is cut short by what comes before the data
        root = [Entry(b"LBMSTATE   ", VOLUME_LABEL, 0, 0)]
        self._chain(2, LINE)
        first = self.cluster_of_line(0, 1)
        self._chain(first, len(readme))
        self.contents[first] = readme
        root.append(Entry(short_name("README.TXT"), ARCHIVE, first, len(readme)))
        map_first = self.cluster_of_line(0, 2)
        names = set()
        for slot in range(N_SLOT):
            zone = 1 + slot * half
            folder = self.cluster_of_line(zone, 0)
            self._chain(folder, LINE)
            entries = [Entry(b".          ", FOLDER, folder, 0), Entry(b"..         ", FOLDER, 0, 0)]
            line = 2  # an empty line behind the folder
            for name, n_byte in records:
                if n_byte <= 0 or n_byte % LINE:
                    raise FatError(f"{name}: a slot has a multiple of {LINE} bytes, not {n_byte}")
                file_name = f"{name}.{slot}"
                if file_name in names:
                    raise FatError(f"{name}: there are two records of this name")
                names.add(file_name)
                first = self.cluster_of_line(zone, line)
                self._chain(first, n_byte)
                self.places[slot_path(name, slot)] = (first, n_byte)
                entries.append(Entry(short_name(file_name), ARCHIVE, first, n_byte))
                line += n_byte // LINE + 1
            if line > half * lines_per_zone:
                raise FatError(f"the records need {line * LINE / MIB:.1f} MiB for each slot; a volume of {self.n_byte // MIB} MiB "
                               f"has {half * lines_per_zone * LINE // MIB}")
            if 32 * len(entries) > LINE:
                raise FatError(f"{len(entries)} records do not fit in a folder of one line")
            self.contents[folder] = entries
            root.append(Entry(short_name(f"SLOT{slot}"), FOLDER, folder, 0))
        self.map = self._map(records)
        if len(self.map) > SECTOR * (LINE_SECTORS - MAP_SECTOR):
            raise FatError(f"{len(records)} records do not fit in the map")
        self._chain(map_first, len(self.map))
        self.contents[map_first] = self.map
        root.append(Entry(short_name("SLOTS.MAP"), ARCHIVE, map_first, len(self.map)))
        self.contents[2] = root

    def write(self, file, start, volume_id, epoch):
        """Writes the volume at byte `start` of an open file whose bytes are zero. Only what is not zero is written."""
        stamp = time_stamp(epoch)
        boot = struct.pack("<3s8sHBHBHHBHHHIIIHHIHH12xBBBI11s8s", b"\xEB\x58\x90", b"MSDOS5.0", SECTOR, self.cluster_sectors,
                           LINE_SECTORS, 2, 0, 0, 0xF8, 0, 63, 255, start // SECTOR, self.n_byte // SECTOR,
                           TABLE_LINES * LINE_SECTORS, 0, 0, 2, 1, 6, 0x80, 0, 0x29, volume_id, b"LBMSTATE   ", b"FAT32   ")
        boot = (boot + b"\xF4\xEB\xFD").ljust(SECTOR - 2, b"\0") + b"\x55\xAA"  # who boots it: hlt, for ever
        n_used = len(self.table) - 2
        information = (struct.pack("<4s480x4sII12x", b"RRaA", b"rrAa", self.n_cluster - n_used,
                                   (TABLE_LINES - 1) * ENTRIES_PER_LINE + 2)).ljust(SECTOR - 4, b"\0") + b"\0\0\x55\xAA"
        for copy in (0, 6):
            self._put(file, start + copy * SECTOR, boot)
            self._put(file, start + (copy + 1) * SECTOR, information)
        self._put(file, start + MAP_SECTOR * SECTOR, self.map)
        table = bytearray(4 * (max(self.table) + 1))
        for cluster, value in self.table.items():
            struct.pack_into("<I", table, 4 * cluster, value)
        for copy in range(2):
            self._put(file, start + LINE * (1 + copy * TABLE_LINES), table)
        for cluster, content in self.contents.items():
            if isinstance(content, list):
                content = b"".join(entry.pack(stamp) for entry in content)
            self._put(file, start + self.offset_of(cluster), content)

    @staticmethod
    def _put(file, offset, data):
        file.seek(offset)
        file.write(data)
