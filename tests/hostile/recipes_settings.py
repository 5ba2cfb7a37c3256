"""K05: repl.cfg. The lines around the bad one have to take effect all the same; replay.cpp looks at them."""
from recipe import recipe

BEFORE, AFTER = b"temp=0.25\nctx=512\n", b"\ntop_k=7\n"


def around(line):
    return BEFORE + line + AFTER


@recipe("K05", suffix="cfg")
def good_settings():
    yield "good", around(b"seed=1"), "ok", "ok", None
    yield "empty", b"", "ok", "ok", None
    yield "crlf", around(b"seed=1\r\nmax_tokens=9\r").replace(b"512\n", b"512\r\n"), "ok", "ok", None
    yield "bom", b"\xef\xbb\xbf" + around(b"seed=1"), "ok", "ok", None
    yield "key-twice", around(b"seed=1\nseed=2"), "ok", "ok", None
    yield "comments-only", b"# nothing\n; nothing\n\n   \n", "ok", "ok", None
    yield "system-4096", around(b"system=" + b"x" * 4096), "ok", "ok", None
    yield "model-255", around(b"model=" + b"m" * 255), "ok", "ok", None
    yield "system-4096-quoted", around(b'system="' + b"x" * 4096 + b'"'), "ok", "ok", None


@recipe("K05", suffix="cfg")
def bad_lines():
    cases = [
        ("line-1-mib", b"system=" + b"x" * 2**20, "limit"),
        ("line-1-mib-no-equals", b"x" * 2**20, "bad_syntax"),
        ("system-4097", b"system=" + b"x" * 4097, "limit"),
        ("system-4097-quoted", b'system="' + b"x" * 4097 + b'"', "limit"),
        ("model-256", b"model=" + b"m" * 256, "limit"),
        ("isa-empty", b"isa=", "bad_value"),
        ("isa-32", b"isa=" + b"i" * 32, "limit"),
        ("nul-in-key", b"se\0ed=1", "bad_syntax"),
        ("nul-in-value", b"seed=1\x002", "bad_value"),
        ("nul-line", b"\0\0\0\0", "bad_syntax"),
        ("no-key", b"=1", "bad_syntax"),
        ("no-equals", b"seed", "bad_syntax"),
        ("semicolon", b"seed;1", "bad_syntax"),
        ("key-unknown", b"tempature=1", "not_found"),
        ("key-64-kib", b"k" * 65536 + b"=1", "not_found"),
        ("key-globals", b"__globals__=1", "not_found"),
        ("quote-open", b'system="no end', "bad_syntax"),
        ("quote-open-single", b"system='no end", "bad_syntax"),
        ("quote-alone", b'system="', "bad_syntax"),
        ("quote-backslash-end", b'system="\\', "bad_syntax"),
        ("quote-then-text", b'system="a" b', "bad_syntax"),
        ("integer-overflow", b"ctx=99999999999999999999", "bad_value"),
        ("integer-negative", b"ctx=-1", "bad_value"),
        ("integer-2-63", b"seed=9223372036854775808", "bad_value"),
        ("integer-minus-2-63-1", b"seed=-9223372036854775809", "bad_value"),
        ("integer-fraction", b"ctx=1.5", "bad_value"),
        ("integer-hex", b"ctx=0x200", "bad_value"),
        ("integer-empty", b"ctx=", "bad_value"),
        ("integer-over", b"batch=513", "bad_value"),
        ("integer-under", b"batch=0", "bad_value"),
        ("real-overflow", b"temp=1e999", "bad_value"),
        ("real-nan", b"temp=nan", "bad_value"),
        ("real-inf", b"temp=inf", "bad_value"),
        ("real-negative", b"temp=-0.001", "bad_value"),
        ("real-over", b"top_p=1.0000001", "bad_value"),
        ("real-two-points", b"temp=1.2.3", "bad_value"),
        ("flag-2", b"stats=2", "bad_value"),
        ("flag-empty", b"stats=", "bad_value"),
        ("choice-unknown", b"kv=f64", "bad_value"),
        ("choice-empty", b"kv=", "bad_value"),
        ("choice-two", b"kv=f16 f32", "bad_value"),
        ("escape-code", b"\x1b[2J=1", "bad_syntax"),
        ("utf8-invalid", b"\xff\xfe\xfd=1", "bad_syntax"),
    ]
    for name, line, error in cases:
        yield name, around(line), error, "settings", 3
    yield "utf-16", b"\xff\xfe" + around(b"seed=1").decode().encode("utf-16-le"), "bad_syntax", "settings", 1
    yield "lines-100000", BEFORE + b"x\n" * 100_000 + AFTER[1:], "bad_syntax", "settings", 3
    yield "a-model", b"GGUF" + bytes(range(256)) * 16, "bad_syntax", "settings", 1
