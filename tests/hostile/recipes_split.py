"""G40: split GGUF. The other parts lie beside the one that is opened."""
import struct

from base_models import base
from gguf_writer import STRING, U16, U32, I32, Model
from recipe import BESIDE, recipe


def split(n_part, change=None):
    """The base in parts; `change(index, model)` may spoil one."""
    whole = base()
    parts = []
    for i in range(n_part):
        m = Model() if i else base()
        m.tensors = whole.tensors[i::n_part]
        if i:
            m.set("general.architecture", STRING, "llama")
        m.set("split.no", U16, i).set("split.count", U16, n_part).set("split.tensors.count", I32, len(whole.tensors))
        if change:
            change(i, m)
        parts.append(m)
    return parts


def name(stem, i, n):
    return f"={stem}-{i + 1:05d}-of-{n:05d}.gguf"


def family(stem, parts, error, stage, offset, opened=0):
    """All parts; the one that is opened has the error."""
    for i, part in enumerate(parts):
        data = part if isinstance(part, bytes) else part.build()
        if data is not None:
            yield (name(stem, i, len(parts)), data, error, stage, offset) if i == opened else (name(stem, i, len(parts)), data, *BESIDE)


@recipe("G40")
def good_splits():
    yield from family("split", split(3), "ok", "ok", None)
    yield from family("split-by-second", split(2), "ok", "ok", None, opened=1)
    m = base().set("split.no", U16, 0).set("split.count", U16, 1).set("split.tensors.count", I32, 21)
    yield "split-1-of-1", m.build(), "ok", "ok", None


@recipe("G40")
def bad_splits():
    two = split(2)
    yield name("split-alone", 0, 2), two[0].build(), "missing", "open", None
    yield name("split-alone-second", 1, 2), two[1].build(), "missing", "open", None
    yield "split-no-name", two[0].build(), "missing", "open", None
    yield name("split-renamed", 1, 2), two[0].build(), "mismatch", "open", None
    yield name("split-of-3", 0, 3), two[0].build(), "mismatch", "open", None
    for label, count, error in [("64", 64, "mismatch"), ("65", 65, "limit"), ("65535", 65535, "limit")]:
        m = split(2)[0].set("split.count", U16, count)
        data = m.build()
        yield name(f"split-count-{label}", 0, 2), data, error, "open", m.at["split.count", "value"] if error == "limit" else None
    m = split(2)[0].set("split.count", U32, 65536)
    data = m.build()
    yield name("split-count-65536", 0, 2), data, "bad_value", "open", m.at["split.count", "value"]
    m = split(2)[0].set("split.count", STRING, "2")
    data = m.build()
    yield name("split-count-string", 0, 2), data, "bad_type", "open", m.at["split.count", "value"]
    m = split(2)[0].set("split.no", U16, 2)
    data = m.build()
    yield name("split-no-2-of-2", 0, 2), data, "bad_value", "open", m.at["split.no", "value"]
    yield name("split-no-missing", 0, 2), split(2)[0].drop("split.no").build(), "missing", "open", None

    def spoiled(stem, change, error, key=None):
        parts = split(2, lambda i, m: change(m) if i == 1 else None)
        parts[1].build()
        yield from family(stem, parts, error, "open", parts[1].at[key, "value"] if key else None)
    yield from spoiled("split-same-number", lambda m: m.set("split.no", U16, 0), "mismatch", "split.no")
    yield from spoiled("split-other-count", lambda m: m.set("split.count", U16, 3), "mismatch", "split.count")
    yield from spoiled("split-number-absent", lambda m: m.drop("split.no"), "missing")
    for key in ("no", "count", "tensors.count"):
        yield from spoiled(f"split-{key.replace('.', '-')}-65537", lambda m: m.set(f"split.{key}", U32, 65536 + (key[0] == "t")),
                           "bad_value", f"split.{key}")
    yield from spoiled("split-count-absent", lambda m: m.drop("split.count"), "missing")
    yield from spoiled("split-other-total", lambda m: m.set("split.tensors.count", I32, 5), "mismatch", "split.tensors.count")
    yield from spoiled("split-total-absent", lambda m: m.drop("split.tensors.count"), "missing")
    yield from spoiled("split-other-model", lambda m: m.set("general.architecture", STRING, "qwen2"), "mismatch", "general.architecture")
    yield from spoiled("split-other-name", lambda m: m.set("general.name", STRING, "another"), "mismatch", "general.name")
    yield from spoiled("split-fewer-tensors", lambda m: m.tensors.pop(), "mismatch")
    yield from spoiled("split-tensor-twice", lambda m: setattr(m.tensors[0], "name", "token_embd.weight"), "duplicate")
    parts = split(2)
    yield from family("split-second-cut", [parts[0], parts[1].build()[:-1]], "truncated", "open", None)
    yield from family("split-second-empty", [parts[0], b""], "truncated", "open", None)
    yield from family("split-second-swapped", [parts[0], b"XGUF" + struct.pack(">I", 3) + parts[1].build()[8:]], "bad_magic", "open", 0)
    yield from family("split-second-no-gguf", [parts[0], b"not a part of a model, but some text\n"], "bad_magic", "open", None)
