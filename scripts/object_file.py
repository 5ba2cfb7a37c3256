"""Reads what the structural checks need from object files: sections, and symbols with their binding.

ELF64 little-endian (the hosted build) and COFF (the UEFI build), straight from the bytes: no binutils, no output to parse.
"""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    name: str
    binding: str  # "local", "global" or "weak"
    section: str  # "" when the symbol is undefined here


@dataclass(frozen=True)
class ObjectFile:
    sections: tuple  # names
    symbols: tuple   # of Symbol, without those of the compiler itself (files, sections)

    def undefined(self):
        return {s.name for s in self.symbols if not s.section}

    def defined(self, *bindings):
        return {s.name for s in self.symbols if s.section and s.binding in bindings}


class NotAnObject(Exception):
    pass


def text_at(data, offset):
    return data[offset:data.index(b"\0", offset)].decode("ascii", "replace")


def read_object(path):
    data = path.read_bytes()
    try:
        if data[:4] == b"\x7fELF":
            return read_elf(data)
        if struct.unpack_from("<H", data)[0] == 0x8664:
            return read_coff(data)
    except (struct.error, IndexError, ValueError) as error:
        raise NotAnObject(f"{path}: damaged: {error}") from error
    raise NotAnObject(f"{path}: neither ELF nor x86-64 COFF")


def read_elf(data):
    """System V ABI, chapter 4; ELF-64 object file format, versions 1.5."""
    if data[4:6] != b"\x02\x01":
        raise NotAnObject("not ELF64 little-endian")
    (table_offset,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, n_section, names_index = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table_offset + i * entry_size) for i in range(n_section)]
    names_offset = headers[names_index][4]
    sections = tuple(text_at(data, names_offset + header[0]) for header in headers)
    symbols = []
    for header in headers:
        if header[1] != 2:  # SHT_SYMTAB
            continue
        strings_offset = headers[header[6]][4]
        for offset in range(header[4] + 24, header[4] + header[5], 24):
            name, info, _, section, _, _ = struct.unpack_from("<IBBHQQ", data, offset)
            if info & 15 in (3, 4):  # STT_SECTION, STT_FILE
                continue
            place = "" if section == 0 else sections[section] if section < n_section else "absolute"
            binding = {0: "local", 1: "global", 2: "weak"}.get(info >> 4, "global")  # GNU unique counts as global
            symbols.append(Symbol(text_at(data, strings_offset + name), binding, place))
    return ObjectFile(sections, tuple(symbols))


def read_coff(data):
    """Microsoft PE and COFF specification, sections 3 to 5."""
    _, n_section, _, symbols_offset, n_symbol, optional_size, _ = struct.unpack_from("<HHIIIHH", data)
    strings_offset = symbols_offset + 18 * n_symbol

    def name_of(raw):
        if raw[:4] == b"\0\0\0\0":
            return text_at(data, strings_offset + struct.unpack_from("<I", raw, 4)[0])
        return raw.rstrip(b"\0").decode("ascii", "replace")

    sections = []
    comdat = set()
    for i in range(n_section):
        offset = 20 + optional_size + 40 * i
        name = data[offset:offset + 8].rstrip(b"\0").decode("ascii", "replace")
        if name.startswith("/"):  # a long name, by its decimal offset
            name = text_at(data, strings_offset + int(name[1:]))
        sections.append(name)
        if struct.unpack_from("<I", data, offset + 36)[0] & 0x1000:  # IMAGE_SCN_LNK_COMDAT
            comdat.add(i + 1)
    symbols = []
    i = 0
    while i < n_symbol:
        offset = symbols_offset + 18 * i
        section, _, kind, n_extra = struct.unpack_from("<hHBB", data, offset + 12)
        if kind in (2, 105):  # IMAGE_SYM_CLASS_EXTERNAL, WEAK_EXTERNAL
            place = "" if section == 0 else sections[section - 1] if section > 0 else "absolute"
            binding = "weak" if kind == 105 or section in comdat else "global"  # COMDAT: the linker keeps any one copy
            symbols.append(Symbol(name_of(data[offset:offset + 8]), binding, place))
        i += 1 + n_extra
    return ObjectFile(tuple(sections), tuple(symbols))
