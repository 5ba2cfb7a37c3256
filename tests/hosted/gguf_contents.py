"""Reads what stands in a GGUF file, for tests that look at what was written: metadata and tensor bytes."""

import math
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# ggml type: elements and bytes of a block
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
          11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2)}


class Gguf:
    """metadata: key to value. tensors: name to (dims, type, bytes)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 4
        version, n_tensor, n_meta = self.take("IQQ")
        assert self.data[:4] == b"GGUF" and version == 3
        self.metadata = {}
        for _ in range(n_meta):
            key = self.text()
            self.metadata[key] = self.value(self.take("I")[0])
        table = [self.entry() for _ in range(n_tensor)]
        align = self.metadata.get("general.alignment", 32)
        base = (self.at + align - 1) // align * align
        self.tensors = {}
        for name, dims, kind, offset in table:
            elements, size = BLOCKS[kind]
            n_byte = math.prod(dims) // elements * size
            self.tensors[name] = (dims, kind, self.data[base + offset:base + offset + n_byte])

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def text(self):
        size = self.take("Q")[0]
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            item, count = self.take("IQ")
            return [self.value(item) for _ in range(count)]
        return self.take(SCALARS[kind])[0]

    def entry(self):
        name = self.text()
        n_dim = self.take("I")[0]
        dims = self.take(f"{n_dim}Q")
        kind, offset = self.take("IQ")
        return name, dims, kind, offset
