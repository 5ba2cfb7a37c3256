"""Writes GGUF files, valid or not: nothing is checked. `Model.at` tells where each field went, so that it can be patched."""
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
NUMBER = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q", F64: "<d"}
MASK64 = 2**64 - 1

# Tensor types: id -> (elements, bytes) of a block.
T_F32, T_F16, T_Q4_0, T_Q8_0, T_Q4_K, T_I8, T_I64, T_BF16 = 0, 1, 2, 8, 12, 24, 27, 30
BLOCK = {T_F32: (1, 4), T_F16: (1, 2), T_Q4_0: (32, 18), T_Q8_0: (32, 34), T_Q4_K: (256, 144), T_I8: (1, 1), T_I64: (1, 8), T_BF16: (1, 2)}


def u32(value):
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(value):
    return struct.pack("<Q", value & MASK64)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return u64(len(data)) + data


def scalar(kind, value):
    return text(value) if kind == STRING else struct.pack(NUMBER[kind], value)


def array(kind, values):
    return u32(kind) + u64(len(values)) + b"".join(scalar(kind, v) for v in values)


def align(value, alignment):
    return -(-value // alignment) * alignment


class Tensor:
    def __init__(self, name, dims, kind=T_F32, data=None, offset=None):
        self.name, self.dims, self.kind, self.data, self.offset = name, list(dims), kind, data, offset

    def n_byte(self):
        count = 1
        for dim in self.dims:
            count *= dim
        per_block, block_bytes = BLOCK[self.kind]
        return -(-count // per_block) * block_bytes


class Model:
    """A GGUF file in parts. `at` has the offset of every field of the last build()."""

    def __init__(self):
        self.version, self.alignment = 3, 32
        self.keys = []     # [key, type, bytes of the value]
        self.tensors = []  # Tensor
        self.at = {}

    def set(self, key, kind, value):
        data = value if isinstance(value, bytes) and kind != STRING else (scalar(kind, value) if kind != ARRAY else array(*value))
        for entry in self.keys:
            if entry[0] == key:
                entry[1:] = [kind, data]
                return self
        self.keys.append([key, kind, data])
        return self

    def drop(self, key):
        self.keys = [entry for entry in self.keys if entry[0] != key]
        return self

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def build(self, pad_last=False):
        out = bytearray(b"GGUF" + u32(self.version) + u64(len(self.tensors)) + u64(len(self.keys)))
        self.at = {"version": 4, "n_tensor": 8, "n_meta": 16}
        for key, kind, data in self.keys:
            raw_key = key if isinstance(key, bytes) else key.encode()
            self.at[key, "key"] = len(out)
            out += text(raw_key)
            self.at[key, "type"] = len(out)
            out += u32(kind)
            self.at[key, "value"] = len(out)
            out += data
        end = 0
        places = []
        for t in self.tensors:
            self.at[t.name, "name"] = len(out)
            out += text(t.name)
            self.at[t.name, "n_dim"] = len(out)
            out += u32(len(t.dims))
            self.at[t.name, "dims"] = len(out)
            out += b"".join(u64(d) for d in t.dims)
            self.at[t.name, "type"] = len(out)
            out += u32(t.kind)
            self.at[t.name, "offset"] = len(out)
            out += u64(end if t.offset is None else t.offset)
            places.append(end)
            end = align(end + t.n_byte(), self.alignment)
        self.at["table_end"] = len(out)
        if self.tensors:
            out += bytes(align(len(out), self.alignment) - len(out))
        self.at["data"] = len(out)
        for t, place in zip(self.tensors, places):
            if t.n_byte() > 2**20:
                break  # an impossible size: no file has it
            out += bytes(self.at["data"] + place - len(out))
            out += bytes(t.n_byte()) if t.data is None else t.data
        if pad_last:
            out += bytes(align(len(out), self.alignment) - len(out))
        return bytes(out)


def patched(data, offset, value):
    return data[:offset] + value + data[offset + len(value):]
