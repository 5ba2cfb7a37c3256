#!/usr/bin/env python3
"""Writes tests/tokenizer/pretokenizer_cases.h: texts, and where every pre-tokenizer class must cut them.

  scripts/gen_pretokenizer_cases.py           write the file
  scripts/gen_pretokenizer_cases.py --check   fail if the committed file is not what these expressions give

The expectations come from the expressions themselves (of the models' tokenizer.json, or llama.cpp's where a model has
none), run by the PyPI module `regex`, which knows \\p{...} and set operations: an implementation that has nothing in
common with core/tokenizer/pretokenizer.cpp. Install it with `pip install regex`; without it this script says so and
ends with exit code 77. --random N SEED PROGRAM instead compares N random texts with a program that reads frames
(u32 length, bytes; the first is the name of the class) and answers the lengths of the words, u32, ended by 2^32-1.
"""
import argparse
import pathlib
import random
import struct
import subprocess
import sys

try:
    import regex
except ImportError:
    print("skipped: the module `regex` is not installed (pip install regex)", file=sys.stderr)
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests/tokenizer/pretokenizer_cases.h"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
HALVING = "|".join(rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4)) + r"|\s{1,2}(?!\S)|\s{1}"
V3_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
CODER_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
PUNCTUATED = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
AFMOE = ("[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
         "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+")
YOUTU = ("[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f"
         "\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + V3_CJK)
LLM_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556")


def llama3(digits):
    return (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES)


def cased(suffix, digits, but="", tail="/"):
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    if but:
        upper, lower = f"[{upper}&&[^{but}]]", f"[{lower}&&[^{but}]]"
    prefix = r"[^\r\n\p{L}\p{N}]?"
    return (f"{prefix}{upper}*{lower}+{suffix}|{prefix}{upper}+{lower}*{suffix}|\\p{{N}}{digits}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n{tail}]*" + SPACES)


# Rules that are no expressions: digits in threes from the right.
THREES, DECIMAL_THREES = object(), object()

CLASSES = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [llama3("{1,3}")],
    "jais-2": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + HALVING],
    "minicpm5": [r"\p{N}{1,3}", llama3("+")],
    "qwen2": [llama3("")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
                   r"|\s+(?!\S)|\s+"],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES],
    "laguna": [r"[^\n]+|[\n]+", llama3("")],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES],
    "exaone-moe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACES],
    "gpt-4o": [cased(CONTRACTIONS + "?", "{1,3}")],
    "tekken": [cased("", "")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", cased(CONTRACTIONS + "?", "{1,3}")],
    "youtu": [YOUTU, cased(CONTRACTIONS + "?", "")],
    "kimi-k2": [r"[\p{Han}]+|" + cased(CONTRACTIONS + "?", "{1,3}", r"\p{Han}", "")],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CODER_CJK, r"\p{N}"],
    "deepseek-llm": ["[\r\n]", r"\s?[" + LLM_LETTERS + "]+",
                     "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+\Z", CODER_CJK, r"\p{N}+"],
    "deepseek-v3": [r"\p{N}{1,3}", V3_CJK, PUNCTUATED + "| ?[\\p{P}\\p{S}]+[\r\n]*" + SPACES],
    "spark2_5": [r"\p{N}{1,3}", V3_CJK, PUNCTUATED + "| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+", r"\p{N}"],
    "afmoe": [THREES, AFMOE, PUNCTUATED + "| ?[\\p{P}\\p{S}]+[\r\n]*" + SPACES],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "superbpe": [r"\p{N}+", DECIMAL_THREES],
    "chameleon": [r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
    "gemma4": [r"[^\n]+|[\n]+"],
}

TEXTS = [
    "Hello world's  I'LL don't\n\n\tx = 12345678 + 3.14;  ",
    " a\r\nb \n c   \n\n   d    e\t\tf",
    "camelCaseHTTPServer \u00c9COLE \u00e9cole \u01c5x Stra\u00dfe na\u00efve",
    "\u6771\u4eac\u30bf\u30ef\u30fc 100\u4e07\u5186\u3001\ud55c\uad6d\uc5b4 \u4e2d\u6587\u3002\uff01\u3007\u4e00",
    "e\u0301a \u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32 \u05d0\u05d1\u05f3 \u0639\u0631\u0628\u06cc\u060c",
    "$100,000.00 (v1.2.3) #tag @you a/b //c\n/* x */ `y` ~z^2|w",
    "\U0001F600\U0001F469\u200d\U0001F4BB\ufe0f x\u00b2\u00bd \u2167 \u09e7\u09e8\u09e9 1234567890123 x9_1",
    "'s 'S 'Re ''ve \u2019s o'clock rock'n'roll",
    "\u3000\u3000x\u00a0\u00a0y\u2028z \x0b\x0c\x85 end",
    "    if (x):\n        return\t\t-1\n\n\n",
    "\u3105\u3131\u1100 \u201cq\u201d\u2026\u2014 \u0964 \u06d4 <tag attr='v'>\r\n",
    " " * 23 + "x" + " " * 9,
]


def split(parts, expression):
    out = []
    for text in parts:
        at = 0
        for match in expression.finditer(text):
            if match.end() > match.start():
                out += [text[at:match.start()], match.group()]
                at = match.end()
        out.append(text[at:])
    return [part for part in out if part]


def split_threes(parts, digit):
    out = []
    for text in parts:
        for part in regex.findall(f"{digit}+|[^{digit}]+", text):
            if not regex.match(digit, part):
                out.append(part)
                continue
            first = len(part) % 3
            out += [part[:first]] + [part[i:i + 3] for i in range(first, len(part), 3)]
    return [part for part in out if part]


def cut(rules, text):
    parts = [text] if text else []
    for rule in rules:
        if rule is THREES or rule is DECIMAL_THREES:
            parts = split_threes(parts, r"\p{N}" if rule is THREES else r"\p{Nd}")
        else:
            parts = split(parts, rule)
    return parts


def compiled():
    return {name: [rule if rule in (THREES, DECIMAL_THREES)
                   else regex.compile(rule, regex.V1 if "&&" in rule else regex.V0) for rule in rules]
            for name, rules in CLASSES.items()}


def literal(text):
    """A C++ literal in lines of at most 100 columns; \\x.. must not run into a letter of the text."""
    lines, line, after_hex = [], "", False
    for byte in text.encode():
        char = chr(byte)
        plain = 0x20 <= byte < 0x7F
        piece = ("\\" if char in '"\\?' else "") + char if plain else f"\\x{byte:02x}"
        if plain and after_hex and char in "0123456789abcdefABCDEF":
            piece = '" "' + piece
        if len(line) + len(piece) > 88:
            lines.append(line)
            line, piece = "", piece.removeprefix('" "')
        line += piece
        after_hex = not plain
    return "\n    ".join(f'"{part}"' for part in lines + [line])


def generate():
    out = ["// Generated by scripts/gen_pretokenizer_cases.py, which says how. Do not edit.",
           "// clang-format off", "#pragma once", "", '#include "core/base/span.h"', "", "namespace lbm::test {", "",
           f"constexpr usize kCutTextCount = {len(TEXTS)};",
           "constexpr Str kCutTexts[kCutTextCount] = {"]
    out += [f"    {literal(text)}," for text in TEXTS]
    out += ["};", "", "// The lengths of the words in bytes: for each word a 'p' for every 64 bytes, then '0' + what is left.",
            "struct CutCase {", "  Str name;", "  Str lengths[kCutTextCount];", "};", "",
            "constexpr CutCase kCutCases[] = {"]
    for name, rules in compiled().items():
        rows = []
        for text in TEXTS:
            row = ""
            for word in cut(rules, text):
                n = len(word.encode())
                row += "p" * (n // 64) + chr(ord("0") + n % 64)
            rows.append(row.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?"))
        out.append(f'    {{"{name}",')
        out.append("     {" + ",\n      ".join(f'"{row}"' for row in rows) + "}},")
    out += ["};", "", "}  // namespace lbm::test", ""]
    return "\n".join(out)


def compare_random(count, seed, program):
    pick = random.Random(seed)
    pool = sorted(set("".join(TEXTS))) + ["  ", "\n\n", "'s", "12", "  \n"]
    failures = 0
    for name, rules in compiled().items():
        texts = ["".join(pick.choice(pool) for _ in range(pick.randrange(40))) for _ in range(count)]
        frames = b"".join(struct.pack("<I", len(b)) + b for b in [name.encode()] + [t.encode() for t in texts])
        answer = subprocess.run([program], input=frames, capture_output=True, check=True).stdout
        numbers = iter(struct.unpack(f"<{len(answer) // 4}I", answer))
        for text in texts:
            lengths = list(iter(lambda: next(numbers), 0xFFFFFFFF))
            if lengths != [len(word.encode()) for word in cut(rules, text)]:
                failures += 1
                print(f"{name}: {text!r}\n  expected {cut(rules, text)}\n  got lengths {lengths}")
    print(f"{failures} differences in {count} texts for each of {len(CLASSES)} classes")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--random", nargs=3, metavar=("N", "SEED", "PROGRAM"))
    options = parser.parse_args()
    if options.random:
        sys.exit(compare_random(int(options.random[0]), int(options.random[1]), options.random[2]) != 0)
    text = generate()
    if not options.check:
        OUTPUT.write_text(text, encoding="ascii")
    elif OUTPUT.read_text(encoding="ascii") != text:
        sys.exit(f"{OUTPUT.relative_to(ROOT)} is not what the expressions give: run scripts/gen_pretokenizer_cases.py")


if __name__ == "__main__":
    main()
