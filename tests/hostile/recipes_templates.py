"""J01 to J06: chat templates. Each is bounded by fuel, depth and size, and fails closed."""
from recipe import recipe

CHATML = (b"{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
          b"{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


@recipe("J00", suffix="jinja")
def good_templates():
    yield "chatml", CHATML, "ok", "ok", None
    yield "empty", b"", "ok", "ok", None
    yield "text-only", b"no tags at all", "ok", "ok", None
    yield "source-256-kib", b"x" * 2**18, "ok", "ok", None
    yield "source-over-256-kib", b"x" * (2**18 + 1), "limit", "parse", None


@recipe("J01", "GHSA-4hhp-h66f mlxcel#139", suffix="jinja")
def loops():
    yield "loops", b"{% for a in range(25000) %}{% for b in range(25000) %}x{% endfor %}{% endfor %}", "limit", "render", None
    yield "loops-empty", b"{% for a in range(25000) %}{% for b in range(25000) %}{% endfor %}{% endfor %}", "limit", "render", None
    yield "loop-in-macro", (b"{% macro f(n) %}{% for a in range(25000) %}{{ n }}{% endfor %}{% endmacro %}"
                            b"{% for b in range(25000) %}{{ f(b) }}{% endfor %}"), "limit", "render", None
    yield "range-huge", b"{{ range(9223372036854775807)|list|length }}", "limit", "render", None


@recipe("J02", suffix="jinja")
def doubling():
    double = b"{%% set ns = namespace(s='x') %%}{%% for i in range(64) %%}{%% set ns.s = %s %%}{%% endfor %%}"
    for name, step in [("add", b"ns.s + ns.s"), ("tilde", b"ns.s ~ ns.s"), ("times", b"ns.s * 2"),
                       ("replace", b"ns.s.replace('x', 'xx')"), ("join", b"[ns.s, ns.s]|join"), ("list", b"[ns.s, ns.s]")]:
        # Memory ends it before the fuel does; a list of lists takes none.
        expected = ("ok", "ok") if name == "list" else ("limit" if name == "replace" else "out_of_memory", "render")
        yield f"double-{name}", double % step, *expected, None
    yield "times-2-63", b"{{ 'x' * 9223372036854775807 }}", "limit", "render", None
    yield "center-2-63", b"{{ 'x'.center(9223372036854775807) }}", "limit", "render", None


@recipe("J03", suffix="jinja")
def recursion():
    yield "macro-itself", b"{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "limit", "render", None
    yield "macro-pair", (b"{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}"), \
        "limit", "render", None
    for tag in ("include 'self'", "import 'self' as s", "from 'self' import x", "extends 'self'"):
        yield tag.split()[0], b"{% " + tag.encode() + b" %}", "unsupported", "parse", None


@recipe("J04", "llama.cpp#26600", suffix="jinja")
def nesting():
    for name, opening, closing in [("parenthesis", b"(", b")"), ("bracket", b"[", b"]"), ("brace", b"{1:", b"}"),
                                   ("attribute-call", b"f(", b")"), ("list-in-call", b"f([", b"])")]:
        yield f"{name}-60000", b"{{ " + opening * 60_000 + b"1" + closing * 60_000 + b" }}", "limit", "parse", None
    yield "not-60000", b"{{ " + b"not " * 60_000 + b"1 }}", "ok", "ok", None  # pairs of them cancel out
    yield "minus-4000", b"{{ " + b"-" * 4_000 + b"1 }}", "limit", "render", None
    yield "if-10000", b"{% if 1 %}" * 10_000 + b"{% endif %}" * 10_000, "limit", "parse", None
    yield "for-10000", b"{% for a in l %}" * 10_000 + b"{% endfor %}" * 10_000, "limit", "parse", None


@recipe("J05", "CVE-2026-5760 CVE-2024-34359", suffix="jinja")
def attribute_walks():
    for name, source in [("class", b"{{ ''.__class__.__mro__[1].__subclasses__() }}"),
                         ("globals", b"{{ messages.__init__.__globals__ }}"),
                         ("cycler", b"{{ cycler.__init__.__globals__.os.popen('id').read() }}"),
                         ("builtins", b"{{ self.__init__.__globals__.__builtins__ }}")]:
        yield f"walk-{name}", source, "bad_value", "render", None


@recipe("J06", suffix="jinja")
def syntax():
    yield "filter-unknown", b"{{ 'x'|system }}", "unsupported", "parse", None
    yield "test-unknown", b"{{ 'x' is owned }}", "unsupported", "parse", None
    yield "tag-unknown", b"{% exec 'x' %}", "bad_syntax", "parse", None
    for i, source in enumerate([b"{{", b"{{ x", b"{%", b"{% if", b"{% if x %}", b"{% for", b"{% for a in", b"{#", b"{{ 'x", b"{{ x }",
                                b"{% endif %}", b"{% else %}", b"{{ x | }}", b"{{ x. }}", b"{{ x[ }}", b"{% set %}", b"{% macro %}",
                                b"{{ 1 + }}", b"{{ (1 }}", b"{{ 1) }}", b"{{ a b }}", b"{{ @ }}", b"{% raw %}"]):
        yield f"syntax-{i:02d}", source, "bad_syntax", "parse", None
    yield "name-no-utf-8", b"{{ \xff }}", "ok", "ok", None  # a name like any other, that nobody has set
    yield "raise", b"{{ raise_exception('no system role') }}", "template", "render", None
    yield "division-by-0", b"{{ 1 // 0 }}", "bad_value", "render", None
    yield "modulo-0", b"{{ 1 % 0 }}", "bad_value", "render", None
    yield "integer-overflow", b"{{ 9223372036854775807 + 1 }}", "overflow", "render", None
    yield "index-far", b"{{ 'abc'[9223372036854775807].x }}", "bad_value", "render", None
    yield "call-none", b"{{ none() }}", "bad_value", "render", None
    yield "strftime-unknown", b"{{ strftime_now('%Q') }}", "unsupported", "render", None
