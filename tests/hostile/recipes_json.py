"""X05 and X06: tokenizer.json of Hugging Face and indexes of shards, which only the tools read
(tests/hosted/hostile_tools_test.cpp)."""
import base64
import copy
import json

from recipe import recipe

WORD = "\u2581"
DROP = object()  # a key that is taken out
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
METASPACE = {"type": "Metaspace", "replacement": WORD, "prepend_scheme": "always", "split": True}
ADDED = {"id": 3, "content": "<end>", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": WORD}
RUNS = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
BERT_NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
FRAME = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                                  {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
         "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}}

BPE = {"added_tokens": [ADDED], "normalizer": None, "pre_tokenizer": BYTE_LEVEL, "post_processor": BYTE_LEVEL,
       "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                 "byte_fallback": False, "ignore_merges": False, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}
BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}
CHARACTERS = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": WORD}, SPACES]},
              "pre_tokenizer": None, "model": {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "merges": [],
                                               "vocab": {**BYTES, "<unk>": 256, WORD: 257}}}
UNIGRAM = {"normalizer": {"type": "Sequence", "normalizers": [RUNS, {"type": "Strip", "strip_left": False, "strip_right": True}]},
           "pre_tokenizer": METASPACE, "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], [WORD, -1.5], ["a", -2]]}}
WORDS = {"normalizer": BERT_NORMALIZER, "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": FRAME,
         "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                   "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}}}


def changed(base, **changes):
    """`base` with other values at paths: model__vocab=..."""
    tree = copy.deepcopy(base)
    for path, value in changes.items():
        *folders, key = path.split("__")
        node = tree
        for folder in folders:
            node = node[folder]
        if value is DROP:
            del node[key]
        else:
            node[key] = value
    return json.dumps(tree, ensure_ascii=False).encode()


def sequence(kind, *members):
    return {"type": "Sequence", kind: list(members)}


def split(regex, behavior="Isolated", **more):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": False, **more}


def accepted():
    """Good files of every kind, and what else is as good."""
    yield "bpe", changed(BPE)
    yield "bpe-characters", changed(CHARACTERS)
    yield "unigram", changed(UNIGRAM)
    yield "word-pieces", changed(WORDS)
    yield "without-type", changed(BPE, model__type=DROP)
    yield "merge-pairs", changed(BPE, model__merges=[["a", "b"], [" a", "b"]])
    yield "dropout-0", changed(BPE, model__dropout=0)
    yield "key-nul", changed(BPE, model__vocab={"a": 0, "a\0b": 1})
    yield "ids-spare", changed(BPE, model__vocab={"a": 65539}, model__merges=[])
    yield "ids-gap", changed(BPE, model__vocab={"a": 0, "[PAD1]": 5}, model__merges=[])
    yield "nfc", changed(BPE, normalizer={"type": "NFC"})
    yield "no-processor", changed(BPE, post_processor=None, added_tokens=None)
    yield "removed-inverted", changed(BPE, pre_tokenizer=sequence("pretokenizers", split(r"\p{N}", "Removed", invert=True), BYTE_LEVEL))
    yield "falcon", changed(BPE, pre_tokenizer=sequence("pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"}, BYTE_LEVEL,
                                                        {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")))
    yield "smollm", changed(BPE, pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, BYTE_LEVEL))
    yield "prefix-space", changed(BPE, pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True})
    yield "idle-split", changed(CHARACTERS, pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"})
    yield "bpe-metaspace", changed(CHARACTERS, normalizer=None, pre_tokenizer={**METASPACE, "prepend_scheme": "first"})
    yield "metaspace-old", changed(UNIGRAM, pre_tokenizer={"type": "Metaspace", "replacement": WORD, "add_prefix_space": False})
    yield "white-space", changed(UNIGRAM, pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, METASPACE))
    yield "unigram-bytes", changed(UNIGRAM, model__byte_fallback=True, model__unk_id=256,
                                   model__vocab=[[text, -1.0] for text in BYTES] + [["<unk>", 0]])
    yield "roberta", changed(BPE, post_processor={"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["b", 1]})
    yield "frame-one-side", changed(BPE, post_processor={**FRAME, "single": FRAME["single"][:2]})
    yield "word-pieces-plain", changed(WORDS, model__max_input_chars_per_word=DROP, normalizer__lowercase=False)


def damaged_text():
    good = changed(BPE)
    yield "empty", b"", "bad_syntax", 0
    yield "text", b"hello", "bad_syntax", 0
    yield "open", b'{"model":', "bad_syntax", 9
    yield "trailing", b"{}x", "bad_syntax", 2
    yield "zero-behind", good + b"\0{}", "bad_syntax", len(good)
    yield "comma", b'{"a": 1,}', "bad_syntax", 8
    yield "utf-8", b'{"a": "\xff"}', "bad_syntax", 7
    yield "surrogate", b'{"a": "\\ud800"}', "bad_syntax", 13
    yield "control", b'{"a": "\x01"}', "bad_syntax", 7
    yield "cut", good[:-1], "bad_syntax", len(good) - 1
    yield "nested-65", b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "limit", None
    yield "nested-64", b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", "missing", None
    yield "nested-60000", b'{"a":' * 60_000, "limit", None
    yield "number-1e400", b'{"a": 1e400}', "overflow", None
    yield "key-twice", b'{"model": 1, "model": 2}', "duplicate", None
    yield "key-twice-long", b'{"' + b"k" * 1000 + b'": 1, "' + b"k" * 1000 + b'": 2}', "duplicate", None
    yield "token-twice", b'{"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []}}', "duplicate", None
    yield "null", b"null", "bad_type", None
    yield "array", b"[]", "bad_type", None
    yield "number", b"7", "bad_type", None


def damaged_models():
    yield "no-model", {"model": DROP}, "missing"
    yield "model-text", {"model": "BPE"}, "bad_type"
    yield "model-null", {"model": None}, "unsupported"
    yield "type-unknown", {"model__type": "WordLevel"}, "unsupported"
    yield "type-escape", {"model__type": "\x1b[2J"}, "unsupported"
    yield "type-number", {"model__type": 1}, "bad_type"
    yield "no-type-no-merges", {"model__type": DROP, "model__merges": DROP}, "unsupported"
    yield "no-vocab", {"model__vocab": DROP}, "missing"
    yield "vocab-array", {"model__vocab": []}, "bad_type"
    yield "vocab-null", {"model__vocab": None}, "bad_type"
    yield "id-text", {"model__vocab": {"a": "0"}}, "bad_type"
    yield "id-real", {"model__vocab": {"a": 0.5}}, "bad_type"
    yield "id-negative", {"model__vocab": {"a": -1}}, "bad_value"
    yield "id-2-64", {"model__vocab": {"a": 2**64}}, "bad_type"
    yield "id-2-32", {"model__vocab": {"a": 2**32}}, "bad_value"
    yield "id-twice", {"model__vocab": {"a": 1, "b": 1}}, "duplicate"
    yield "id-far", {"model__vocab": {"a": 65540}}, "bad_value"
    yield "id-1048576", {"model__vocab": {"a": 2**20}}, "bad_value"
    yield "no-merges", {"model__merges": DROP}, "missing"
    yield "merges-object", {"model__merges": {}}, "bad_type"
    yield "merge-number", {"model__merges": [1]}, "bad_type"
    yield "merge-one", {"model__merges": [["a"]]}, "bad_value"
    yield "merge-three", {"model__merges": [["a", "b", "c"]]}, "bad_value"
    yield "merge-of-numbers", {"model__merges": [[0, 1]]}, "bad_type"
    yield "merge-space-inside", {"model__merges": [["a b", "c"]]}, "unsupported"
    yield "subword-prefix", {"model__continuing_subword_prefix": "##"}, "unsupported"
    yield "word-suffix", {"model__end_of_word_suffix": "</w>"}, "unsupported"
    yield "dropout", {"model__dropout": 0.1}, "unsupported"
    yield "dropout-text", {"model__dropout": "0"}, "bad_type"
    yield "dropout-1e39", {"model__dropout": 1e39}, "numeric"
    yield "ignore-merges-number", {"model__ignore_merges": 1}, "bad_type"
    yield "unknown-and-no-bytes", {"model__unk_token": "a"}, "unsupported"
    yield "unknown-number", {"model__unk_token": 0}, "bad_type"
    yield "added-object", {"added_tokens": {}}, "bad_type"
    yield "added-text", {"added_tokens": ["<end>"]}, "bad_type"
    yield "added-far", {"added_tokens": [{**ADDED, "id": 2 * 4 + 65536}]}, "bad_value"
    yield "added-negative", {"added_tokens": [{**ADDED, "id": -3}]}, "bad_value"
    yield "added-empty", {"added_tokens": [{**ADDED, "content": ""}]}, "bad_value"
    yield "added-twice", {"added_tokens": [ADDED, {**ADDED, "id": 4}]}, "duplicate"
    yield "added-over-another", {"added_tokens": [{**ADDED, "id": 1}]}, "duplicate"
    yield "added-single-word", {"added_tokens": [{**ADDED, "single_word": True}]}, "unsupported"
    yield "added-special-text", {"added_tokens": [{**ADDED, "special": "yes"}]}, "bad_type"
    for key in ("id", "content"):
        yield f"added-without-{key}", {"added_tokens": [{k: v for k, v in ADDED.items() if k != key}]}, "missing"


def damaged_rules():
    for name, step, error in [
            ("text", "NFC", "bad_type"), ("no-type", {}, "missing"), ("unknown", {"type": "NFKD"}, "unsupported"),
            ("lowercase", {"type": "Lowercase"}, "unsupported"), ("prepend-other", {"type": "Prepend", "prepend": "_"}, "unsupported"),
            ("strip", {"type": "Strip", "strip_right": True}, "unsupported"), ("charsmap", {"type": "Precompiled"}, "unsupported"),
            ("sequence-empty-name", {"type": "Sequence"}, "missing"), ("sequence-object", {"type": "Sequence", "normalizers": {}}, "bad_type"),
            ("replace", {**SPACES, "content": "_"}, "unsupported"), ("bert", BERT_NORMALIZER, "unsupported"),
            ("replace-pattern", {**SPACES, "pattern": " "}, "unsupported")]:
        yield f"normalizer-{name}", {"normalizer": step}, error
    for name, step, error in [
            ("none", None, "unsupported"), ("unknown", {"type": "UnicodeScripts"}, "unsupported"), ("no-type", {}, "missing"),
            ("split-alone", split("x"), "unsupported"), ("array", [], "bad_type"),
            ("order", sequence("pretokenizers", BYTE_LEVEL, {"type": "Digits"}), "unsupported"),
            ("nothing", {**BYTE_LEVEL, "use_regex": False}, "unsupported"),
            ("regex-text", {**BYTE_LEVEL, "use_regex": "no"}, "bad_type"),
            ("prefix-late", sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, {**BYTE_LEVEL, "add_prefix_space": True}), "unsupported"),
            ("punctuation", sequence("pretokenizers", {"type": "Punctuation"}, BYTE_LEVEL), "unsupported"),
            ("split-merged", sequence("pretokenizers", split("x", "MergedWithNext"), BYTE_LEVEL), "unsupported"),
            ("split-removed", sequence("pretokenizers", split(r"\p{N}", "Removed"), BYTE_LEVEL), "unsupported"),
            ("split-inverted", sequence("pretokenizers", split(r"\p{N}", invert=True), BYTE_LEVEL), "unsupported"),
            ("split-no-behavior", sequence("pretokenizers", {"type": "Split", "pattern": {"Regex": "x"}}, BYTE_LEVEL), "missing"),
            ("split-text", sequence("pretokenizers", {**split("x"), "pattern": {"String": "x"}}, BYTE_LEVEL), "unsupported"),
            ("split-no-pattern", sequence("pretokenizers", {"type": "Split", "behavior": "Isolated"}, BYTE_LEVEL), "missing"),
            ("regex-unknown", sequence("pretokenizers", split(r"(?:\p{N}\r\n)+"), BYTE_LEVEL), "unsupported"),
            ("white-space", sequence("pretokenizers", {"type": "WhitespaceSplit"}, METASPACE), "unsupported"),
            ("metaspace", METASPACE, "unsupported"),
            ("metaspace-other", {**METASPACE, "replacement": "_"}, "unsupported"),
            ("metaspace-scheme", {**METASPACE, "prepend_scheme": "sometimes"}, "unsupported")]:
        yield f"pre-{name}", {"pre_tokenizer": step}, error
    cls, text, sep = FRAME["single"]
    for name, step, error in [
            ("unknown", {"type": "Magic"}, "unsupported"), ("text", "ByteLevel", "bad_type"),
            ("two", sequence("processors", {**FRAME, "single": [text]}, {**FRAME, "single": [text]}), "unsupported"),
            ("text-twice", {**FRAME, "single": [text, text]}, "unsupported"), ("no-single", {"type": "TemplateProcessing"}, "missing"),
            ("two-before", {**FRAME, "single": [cls, cls, text]}, "unsupported"), ("two-after", {**FRAME, "single": [text, sep, sep]}, "unsupported"),
            ("id-far", {**FRAME, "special_tokens": {"[CLS]": {"ids": [4]}, "[SEP]": {"ids": [2]}}}, "bad_value"),
            ("no-token", {**FRAME, "special_tokens": {}}, "missing"), ("part-empty", {**FRAME, "single": [{}]}, "missing"),
            ("bert-one", {"type": "BertProcessing", "cls": ["a"], "sep": ["b", 1]}, "bad_value"),
            ("bert-three", {"type": "BertProcessing", "cls": ["a", 0], "sep": ["b", 1, 1]}, "bad_value"),
            ("bert-far", {"type": "BertProcessing", "cls": ["a", 4], "sep": ["b", 1]}, "bad_value"),
            ("bert-no-sep", {"type": "BertProcessing", "cls": ["a", 0]}, "missing")]:
        yield f"processor-{name}", {"post_processor": step}, error


def damaged_others():
    """Of the other models: (name, base, changes, error)."""
    for name, changes, error in [
            ("no-fallback", {"model__byte_fallback": False}, "unsupported"), ("no-fallback-key", {"model__byte_fallback": DROP}, "unsupported"),
            ("byte-missing", {"model__vocab": {**{k: v for k, v in BYTES.items() if v != 65}, "<unk>": 256}}, "unsupported"),
            ("split", {"pre_tokenizer": split(" ")}, "unsupported"),
            ("split-other", {"pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "Isolated"}}, "unsupported"),
            ("two-splits", {"pre_tokenizer": sequence("pretokenizers", *[{"type": "Split", "pattern": {"String": " "}}] * 2)}, "unsupported")]:
        yield f"characters-{name}", CHARACTERS, changes, error
    for name, changes, error in [
            ("no-unknown", {"model__unk_id": None}, "unsupported"), ("unknown-far", {"model__unk_id": 3}, "bad_value"),
            ("unknown-text", {"model__unk_id": "0"}, "bad_type"), ("vocab-object", {"model__vocab": {}}, "bad_type"),
            ("vocab-empty", {"model__vocab": []}, "bad_value"),
            ("piece-text", {"model__vocab": ["a"]}, "bad_type"), ("piece-one", {"model__vocab": [["a"]]}, "bad_value"),
            ("piece-three", {"model__vocab": [["a", 0, 0]]}, "bad_value"), ("piece-number", {"model__vocab": [[0, 0]]}, "bad_type"),
            ("score-text", {"model__vocab": [["a", "0"]]}, "bad_type"), ("score-1e39", {"model__vocab": [["a", 1e39]]}, "numeric"),
            ("piece-twice", {"model__vocab": [["a", 0], ["a", 0]]}, "duplicate"), ("no-metaspace", {"pre_tokenizer": None}, "unsupported"),
            ("byte-level", {"pre_tokenizer": BYTE_LEVEL}, "unsupported"), ("bytes-missing", {"model__byte_fallback": True}, "unsupported"),
            ("runs-only", {"normalizer": RUNS}, "unsupported"), ("strip-only", {"normalizer": {"type": "Strip"}}, "unsupported"),
            ("strip-left", {"normalizer": {"type": "Strip", "strip_right": False}}, "unsupported"),
            ("charsmap-text", {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AA~A"}}, "bad_value"),
            ("charsmap-number", {"normalizer": {"type": "Precompiled", "precompiled_charsmap": 1}}, "bad_type"),
            ("charsmap-after-nfc", {"normalizer": sequence("normalizers", {"type": "NFC"}, {"type": "Precompiled", "precompiled_charsmap": "AAAA"})},
             "unsupported"),
            ("nfc-after-charsmap", {"normalizer": sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, {"type": "NFC"})},
             "unsupported")]:
        yield f"unigram-{name}", UNIGRAM, changes, error
    for name, changes, error in [
            ("vocab-array", {"model__vocab": []}, "bad_type"), ("prefix", {"model__continuing_subword_prefix": "@@"}, "unsupported"),
            ("max-text", {"model__max_input_chars_per_word": "100"}, "bad_type"), ("no-processor", {"post_processor": None}, "unsupported"),
            ("max-negative", {"model__max_input_chars_per_word": -1}, "bad_value"),
            ("no-normalizer", {"normalizer": None}, "unsupported"), ("no-pre-tokenizer", {"pre_tokenizer": None}, "unsupported"),
            ("two-pre-tokenizers", {"pre_tokenizer": sequence("pretokenizers", *[{"type": "BertPreTokenizer"}] * 2)}, "unsupported"),
            ("nfc", {"normalizer": {"type": "NFC"}}, "unsupported"), ("clean-text", {"normalizer__clean_text": False}, "unsupported"),
            ("chinese", {"normalizer__handle_chinese_chars": False}, "unsupported")]:
        yield f"word-pieces-{name}", WORDS, changes, error


@recipe("X05", suffix="tokenizer_json")
def tokenizer_files():
    for name, data in accepted():
        yield f"good-{name}", data, "ok", "ok", None
    for name, data, error, offset in damaged_text():
        yield f"json-{name}", data, error, "parse", offset
    for group in (damaged_models(), damaged_rules()):
        for name, changes, error in group:
            yield name, changed(BPE, **changes), error, "parse", None
    for name, base, changes, error in damaged_others():
        yield name, changed(base, **changes), error, "parse", None


# ---- indexes of shards -----------------------------------------------------------------------------------------------

HASH = "0" * 64
CHUNKS = [{"path": "m.00000", "offset": 0, "size": 4096, "sha256": HASH}, {"path": "m.00001", "offset": 4096, "size": 904, "sha256": HASH}]
INDEX = {"schema": "lbm-shards-1", "name": "m.gguf", "size": 5000, "sha256": HASH, "chunk_size": 4096, "chunks": CHUNKS, "signature": None}
BASE64_INDEX = {"format": "CLIF-1-base64-sharded", "baseName": "m", "shardCount": 2, "totalBytes": 5, "shards": ["m.0.json", "m.1.json"]}


def shard(number=0, data=b"abc", **change):
    """The JSON file of one of the two shards of BASE64_INDEX."""
    return {"format": "CLIF-1-base64-shard", "shardIndex": number, "shardNumber": number + 1, "shardCount": 2, "byteOffset": 3 * number,
            "byteLength": len(data), "dataBase64": base64.b64encode(data).decode(), **change}


def with_chunk(number, **change):
    chunks = copy.deepcopy(CHUNKS)
    chunks[number].update(change)
    return {"chunks": [{k: v for k, v in chunk.items() if v is not DROP} for chunk in chunks]}


@recipe("X06", suffix="shards")
def shard_indexes():
    yield "good", changed(INDEX), "ok", "ok", None
    yield "good-ranges", changed(INDEX, **with_chunk(1, path="m.00000", at=4096)), "ok", "ok", None
    yield "good-manifest", changed(INDEX, manifest_sha256=HASH, signature=DROP), "ok", "ok", None
    yield "good-empty", changed(INDEX, size=0, chunks=[]), "ok", "ok", None
    yield "good-own-field", changed(INDEX, **{"x-note": 1}), "ok", "ok", None
    yield "good-base64", changed(BASE64_INDEX), "ok", "ok", None
    for name, text, error, offset in [
            ("empty", b"", "bad_syntax", 0), ("open", b'{"schema":', "bad_syntax", 10), ("trailing", changed(INDEX) + b"x", "bad_syntax", None),
            ("zero-behind", b"{}\0{}", "bad_syntax", 2), ("array", b"[]", "bad_magic", None), ("object", b"{}", "bad_magic", None), ("deep-16", b'{"x-a":' + b"[" * 15 + b"]" * 15 + b"}", "bad_magic", None),
            ("deep-17", b'{"x-a":' + b"[" * 16 + b"]" * 16 + b"}", "limit", None), ("deep", b'{"x-a":' + b"[" * 60_000, "limit", None),
            ("number-1e400", b'{"x-a": 1e400}', "overflow", None), ("key-twice", b'{"name": 1, "name": 2}', "duplicate", None)]:
        yield f"json-{name}", text, error, "parse", offset
    for key, error in [("schema", "bad_magic"), ("name", "missing"), ("size", "missing"), ("sha256", "missing"), ("chunk_size", "missing"),
                       ("chunks", "missing")]:
        yield f"without-{key}", changed(INDEX, **{key: DROP}), error, "parse", None
    for name, change, error in [
            ("schema-2", {"schema": "lbm-shards-2"}, "bad_magic"), ("name-up", {"name": "../m"}, "bad_name"), ("name-empty", {"name": ""}, "bad_name"),
            ("name-dot", {"name": "."}, "bad_name"), ("name-129", {"name": "a" * 129}, "bad_name"), ("name-number", {"name": 1}, "bad_type"),
            ("size-over", {"size": 2**46 + 1}, "bad_value"), ("size-real", {"size": 1.5}, "bad_type"), ("sha-short", {"sha256": "00"}, "bad_value"),
            ("chunk-size-4095", {"chunk_size": 4095}, "bad_value"), ("chunk-size-over", {"chunk_size": 2**28 + 1}, "bad_value"),
            ("manifest-text", {"manifest_sha256": "x"}, "bad_value"), ("signature", {"signature": {}}, "unsupported"),
            ("field-unknown", {"url": "http://x"}, "unsupported"), ("chunks-object", {"chunks": {}}, "bad_type"),
            ("chunks-fewer", {"chunks": CHUNKS[:1]}, "mismatch"), ("chunks-more", {"chunks": CHUNKS * 2}, "mismatch"),
            ("size-2-46", {"size": 2**46}, "mismatch"), ("chunk-text", {"chunks": ["m.00000", "m.00001"]}, "bad_type")]:
        yield name, changed(INDEX, **change), error, "parse", None
    for name, number, change, error in [
            ("path-up", 0, {"path": ".."}, "bad_name"), ("path-slash", 0, {"path": "a/b"}, "bad_name"), ("path-space", 0, {"path": "a b"}, "bad_name"),
            ("no-path", 0, {"path": DROP}, "missing"), ("at-over", 0, {"at": 2**46 + 1}, "bad_value"), ("offset-text", 0, {"offset": "0"}, "bad_type"),
            ("chunk-0", 1, {"size": 0}, "bad_value"), ("chunk-over", 0, {"size": 4097}, "bad_value"), ("hash", 0, {"sha256": "0"}, "bad_value"),
            ("chunk-field", 0, {"url": "x"}, "unsupported"), ("same-bytes", 1, {"path": "m.00000"}, "duplicate"),
            ("gap-first", 0, {"offset": 1}, "bad_offset"), ("gap", 1, {"offset": 4097}, "bad_offset"), ("overlap", 1, {"offset": 4095}, "overlap"),
            ("beyond", 1, {"size": 905}, "bad_offset"), ("short", 1, {"size": 903}, "truncated")]:
        yield name, changed(INDEX, **with_chunk(number, **change)), error, "parse", None
    for name, change, error in [
            ("format", {"format": "CLIF-2"}, "bad_magic"), ("base-up", {"baseName": ".."}, "bad_name"), ("no-base", {"baseName": DROP}, "missing"),
            ("count-0", {"shardCount": 0}, "bad_value"), ("count-over", {"shardCount": 100_001}, "bad_value"), ("count-3", {"shardCount": 3}, "mismatch"),
            ("total-0", {"totalBytes": 0}, "bad_value"), ("total-over", {"totalBytes": 2**46 + 1}, "bad_value"), ("no-shards", {"shards": DROP}, "missing"),
            ("shard-number", {"shards": ["m.0.json", 1]}, "bad_type"), ("shard-up", {"shards": ["m.0.json", "../m"]}, "bad_name"),
            ("shard-twice", {"shards": ["m.0.json"] * 2}, "duplicate"), ("field", {"sha256": HASH}, "unsupported")]:
        yield f"base64-{name}", changed(BASE64_INDEX, **change), error, "parse", None


@recipe("X07", suffix="shard")
def base64_shards():
    """Read as the first shard of BASE64_INDEX, three bytes of five."""
    def as_bytes(**change):
        return changed(shard(), **change)
    yield "good", as_bytes(), "ok", "ok", None
    yield "own-field", as_bytes(**{"x-note": 1}), "ok", "ok", None
    yield "second", json.dumps(shard(1, b"de")).encode(), "mismatch", "parse", None
    for key in shard():
        yield f"without-{key}", as_bytes(**{key: DROP}), "missing", "parse", None
    for name, change, error in [
            ("format", {"format": "CLIF-1-base64"}, "bad_magic"), ("index", {"shardIndex": 1}, "mismatch"), ("number", {"shardNumber": 0}, "mismatch"),
            ("count", {"shardCount": 3}, "mismatch"), ("offset", {"byteOffset": 1}, "mismatch"), ("length", {"byteLength": 4}, "mismatch"),
            ("length-negative", {"byteLength": -1}, "bad_type"), ("length-over", {"byteLength": 2**46 + 1}, "bad_value"),
            ("data-number", {"dataBase64": 1}, "bad_type"), ("data-part", {"dataBase64": "YWI"}, "bad_syntax"),
            ("data-sign", {"dataBase64": "YW-j"}, "bad_syntax"), ("data-padding-inside", {"dataBase64": "YW=j"}, "bad_syntax"),
            ("data-padding-3", {"dataBase64": "Y==="}, "bad_syntax"), ("data-bits", {"dataBase64": "YWJ="}, "bad_syntax"),
            ("data-more-bits", {"dataBase64": "YWJjZB=="}, "bad_syntax"), ("data-short", {"dataBase64": "YWI="}, "mismatch"),
            ("data-long", {"dataBase64": "YWJjZA=="}, "mismatch"), ("data-empty", {"dataBase64": ""}, "mismatch"),
            ("data-utf-8", {"dataBase64": "YWJ\u00e9"}, "bad_syntax"), ("field", {"url": "x"}, "unsupported")]:
        yield f"{name}", as_bytes(**change), error, "parse", None
