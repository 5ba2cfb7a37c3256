"""Models made on the spot, for boots in which only the boot matters: one that answers, and one of zeros of any size."""

import struct
import sys
from pathlib import Path
from typing import List

from passes.voice import ROOT

sys.path.append(str(ROOT / "tests" / "hosted"))
import tiny_llama  # noqa: E402  (the writer of the tests)

NAME = "tiny.gguf"
ALIGNMENT = 32


def tiny_model(seed: int = 1) -> tiny_llama.Model:
    """300 tokens, random weights of 0.4 MB; the same seed gives the same numbers."""
    return tiny_llama.Model(tiny_llama.Shape(context=512), seed)


def write_tiny_model(folder: Path, name: str = NAME, seed: int = 1) -> Path:
    path = folder / name
    path.write_bytes(tiny_llama.gguf(tiny_model(seed)))
    return path


def write_tiny_model_as(folder: Path, form: str) -> List[Path]:
    """The files of the tiny model as "split" (GGUF in three parts), "slm" or "llama2c"; the first one is to be loaded."""
    model = tiny_model()
    vocab = model.shape.vocab
    if form == "split":
        files = tiny_llama.split_gguf(model, "tiny", 3)
    elif form == "slm":
        # The words of its vocabulary are pairs of bytes: the tokenizer of this format knows merges only.
        merges = [(97, 98)] + [(260 + i, 97 + i % 26) for i in range(vocab - 261)]
        files = {"tiny.slm": tiny_llama.slm(model, tiny_llama.btok(vocab, merges))}
    elif form == "llama2c":
        files = {"tiny.bin": tiny_llama.llama2c(model, 1), "tokenizer.bin": tiny_llama.tokenizer_bin(vocab)}
    else:
        raise ValueError(f"there is no form {form} of the tiny model")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def write_zero_model(folder: Path, name: str, dim: int) -> Path:
    """One layer of width `dim` whose weights are all zero: 64 x dim^2 bytes that a sparse file does not store."""
    shape = tiny_llama.Shape(dim=dim, hidden=4 * dim, layers=1, heads=16, kv_heads=16, context=512)
    keys = tiny_llama.gguf_keys(shape)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shape.tensors()), len(keys))
    head += b"".join(tiny_llama.gguf_key(key, value) for key, value in keys.items())
    n_byte = 0
    for tensor, (rows, columns) in shape.tensors().items():
        dims = (columns, rows) if rows else (columns,)
        head += tiny_llama.gguf_text(tensor) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, tiny_llama.F32, n_byte)
        n_byte += 4 * max(rows, 1) * columns  # a multiple of the alignment: columns are
    path = folder / name
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        file.truncate(file.tell() + n_byte)
    return path
