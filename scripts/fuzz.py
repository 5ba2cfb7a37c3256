#!/usr/bin/env python3
"""Runs the fuzzers, and says what came of it.

  fuzz.py --fuzzers build/san/fuzz --corpus build/hostile [--seconds 60] [--jobs 1] [--table docs/fuzzing.md] [NAME]...

Each NAME (default: every program NAME_fuzz of the folder) runs for --seconds, from the inputs it has found before and from seeds of the
hostile corpus. What a fuzzer says is in NAME.log beside it; the input of a crash stays as crash-NAME-*. --table rewrites the table of
the document, keeping the lines of fuzzers that did not run.

Exit codes: 0 nothing was found, 1 something was, 2 usage.
"""

import argparse
import json
import os
import platform
import re
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pack_font

ROOT = Path(__file__).resolve().parent.parent
MAX_SEED_BYTES = 400_000
HEADER = "| fuzzer | seconds | executions | a second | edges | features | inputs kept | findings |"
RULE = "| --- | --: | --: | --: | --: | --: | --: | --: |"
TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


# ---- seeds -----------------------------------------------------------------------------------------------------------


def with_suffix(corpus, suffix):
    return {path.name: path.read_bytes() for path in sorted(corpus.glob(f"*{suffix}")) if path.stat().st_size <= MAX_SEED_BYTES}


def two_files(first, second):
    return struct.pack("<I", len(first)) + first + second


def llama2c_seeds(corpus):
    models = {name: data for name, data in with_suffix(corpus, ".bin").items() if "tokenizer" not in name}
    common = (corpus / "tokenizer.bin").read_bytes()
    own = {name: corpus / name.replace(".bin", ".tokenizer.bin") for name in models}
    return {name: two_files(data, own[name].read_bytes() if own[name].exists() else common) for name, data in models.items()}


def split_seeds(corpus):
    return {first.name: two_files(first.read_bytes(), second.read_bytes()) for first in sorted(corpus.glob("*-00001-of-00002.gguf"))
            for second in [first.with_name(first.name.replace("-00001-", "-00002-"))] if second.exists()}


def safetensors_seeds(_corpus):
    headers = {"one": {"a": TENSOR}, "metadata": {"__metadata__": {"format": "pt"}, "a": TENSOR}, "empty": {},
               "two": {"a": TENSOR, "b": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]}}}
    return {name: struct.pack("<Q", 24 if name == "two" else 16) + json.dumps(value).encode() for name, value in headers.items()}


def artifact_seeds(_corpus):
    clif = b"FILC" + struct.pack("<5I", 1, 32, 2, 288, 4) + bytes(40)
    scxm = b"SCXM" + struct.pack("<2I", 1, 1) + struct.pack("<I", 1) + b"a" + struct.pack("<I", 2) + b"\x12\x34" + struct.pack("<IH", 2, 0x3C00)
    manifest = {"schema": "lbm-manifest-1", "name": "a", "version": "1.0.0", "kind": "model", "licence": "MIT",
                "files": [{"name": "a.gguf", "size": 1, "sha256": "0" * 64, "chunk_bytes": 4096, "chunks": ["0" * 64]}]}
    return {"clif": b"\0" + clif, "scxm": b"\1" + scxm + bytes(32), "manifest": b"\2" + json.dumps(manifest).encode()}


def tokenizer_json_seeds(corpus):
    """With what lies beside it, behind a byte 0."""
    config = {"bos_token": "a", "eos_token": {"content": "b"}, "unk_token": "<unk>", "add_bos_token": True,
              "chat_template": [{"name": "default", "template": "{{ messages }}"}, {"name": "tool_use", "template": "x"}]}
    beside = b"\0" + json.dumps(config).encode() + b"\0" + json.dumps({"bos_token_id": 0, "eos_token_id": [1, 0]}).encode()
    return {name: data + beside for name, data in with_suffix(corpus, ".tokenizer_json").items() if b"\0" not in data}


def shards_seeds(corpus):
    shard = (corpus / "X07-good.shard").read_bytes()
    return {name: data + b"\0" + shard for name, data in with_suffix(corpus, ".shards").items() if b"\0" not in data}


def screen_seeds(_corpus):
    """By their size: fonts are odd, texts are even."""
    font = pack_font.pack({0x41: (1, range(15)), 0x4E00: (2, range(15))}, 8, 15)
    text = "hello \x1b[1;31mworld\n\r\t\u4f60\u597d e\u0301 \x1b[2J\x1b[3;4H\x1b[K\x1b[38;5;9m words and words ".encode()
    return {"font": font, "text": text + b" " * (len(text) % 2)}


def serve_head_seeds(_corpus):
    """A byte 0 and a head, or a byte 1 and a body."""
    head = b"GET /a%20b?c HTTP/1.1\r\nHost: localhost:8080\r\n"
    more = (b"Origin: https://example.org\r\nSec-Fetch-Site: same-origin\r\nCookie: a=b; lbm-8080=00112233445566778899aabbccddeeff\r\n"
            b"Range: bytes=0-99\r\nIf-Range: \"tag\"\r\nContent-Length: 5\r\nAuthorization: Bearer key\r\nExpect: 100-continue\r\n")
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    chat = {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]},
                         {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
                         {"role": "tool", "tool_call_id": "1", "content": "c"}], "tools": [tool], "tool_choice": "auto", "stop": ["x"],
            "logit_bias": {"5": 1}, "stream_options": {"include_usage": True}, "logprobs": True, "top_logprobs": 2, "seed": 1}
    bodies = {"chat": chat, "text": {"prompt": [1, 2], "n_predict": 5, "response_format": {"type": "json_object"}},
              "embed": {"input": ["a", [1]], "encoding_format": "base64", "content": "x", "tokens": [1]}}
    return {"head": b"\0" + head + b"\r\n", "more": b"\0" + head + more + b"\r\n",
            **{name: b"\1" + json.dumps(body).encode() for name, body in bodies.items()}}


def grammar_seeds(_corpus):
    """GBNF with a text behind a byte 255, and schemas."""
    texts = {"list": b'root ::= "[" item ("," " "? item){0,5} "]" # a list\nitem ::= [0-9]+ | "\\"" [^"\\\\\\x00-\\x1F]* "\\"" | root\xff[1, "a"]',
             "text": 'root ::= ([\\u4e00-\\u9fa5é.-] | . | ("a" | "b")+? | "")* "\\U0001F600"\n'.encode() + "\u4e00\u00e9".encode(),
             "nested": b'root ::= (("a"{2,3} (b | "c")*)+ "d"?){1,}\r\nb ::=\n  "(" root ")" |\n  ""\xffaa(aa)'}
    schemas = {"object": {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"$ref": "#/$defs/n"}},
                          "required": ["a"], "additionalProperties": {"type": "null"}, "$defs": {"n": {"type": "integer", "minimum": -7, "maximum": 30}}},
               "array": {"prefixItems": [{"format": "date"}, {"pattern": "^[a-z\\\\d]+(x|y){2}$"}], "items": {"anyOf": [{"const": 1}, {"$ref": "#"}]},
                         "minItems": 1, "maxItems": 4},
               "merged": {"allOf": [{"type": "object", "properties": {"a": {"enum": [1, 2]}}}, {"required": ["a"], "properties": {"a": {"type": "number"}}}]}}
    return {**texts, **{name: json.dumps(schema).encode() for name, schema in schemas.items()}}


SEEDS = {
    "grammar_fuzz": grammar_seeds,
    "serve_head_fuzz": serve_head_seeds,
    "screen_fuzz": screen_seeds,
    "gguf_fuzz": lambda corpus: with_suffix(corpus, ".gguf"),
    "slm_fuzz": lambda corpus: with_suffix(corpus, ".slm"),
    "llama2c_fuzz": llama2c_seeds,
    "split_fuzz": split_seeds,
    "template_fuzz": lambda corpus: with_suffix(corpus, ".jinja"),
    "chat_input_fuzz": lambda corpus: with_suffix(corpus, ".cfg"),
    "safetensors_fuzz": safetensors_seeds,
    "artifact_fuzz": artifact_seeds,
    "tokenizer_json_fuzz": tokenizer_json_seeds,
    "shards_fuzz": shards_seeds,
}


def write_seeds(name, corpus, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in SEEDS.get(name, lambda _: {})(corpus).items():
        (folder / file).write_bytes(data)


# ---- runs ------------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    name: str
    seconds: float
    executions: int
    edges: int
    features: int
    inputs: int
    found: bool

    def row(self):
        return (f"| {self.name} | {self.seconds:.0f} | {self.executions:,} | {self.executions / max(self.seconds, 1):,.0f} | {self.edges:,} | "
                f"{self.features:,} | {self.inputs:,} | {'yes' if self.found else '0'} |")


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run_fuzzer(name, options):
    folder = options.fuzzers
    seeds, kept = folder / "seeds" / name, folder / "corpus" / name
    write_seeds(name, options.corpus, seeds)
    kept.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob(f"crash-{name}-*"))
    log = folder / f"{name}.log"
    started = time.monotonic()
    with open(log, "wb") as out:
        code = subprocess.run([folder / name, f"-max_total_time={options.seconds}", "-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1",
                               f"-artifact_prefix={folder}/crash-{name}-", kept, seeds], stdout=out, stderr=subprocess.STDOUT, cwd=ROOT).returncode
    text = log.read_text(errors="replace")
    found = code != 0 or set(folder.glob(f"crash-{name}-*")) != before
    outcome = Outcome(name, time.monotonic() - started, last_number(r"stat::number_of_executed_units: (\d+)", text),
                      last_number(r" cov: (\d+)", text), last_number(r" ft: (\d+)", text), last_number(r" corp: (\d+)", text), found)
    if found:
        print("\n".join(text.splitlines()[-60:]))
        print(f"fuzz: {name} found something (exit code {code}); all it said is in {log}", flush=True)
    else:
        print(f"fuzz: {name}: {outcome.executions} runs in {outcome.seconds:.0f} s, {outcome.edges} edges, {outcome.features} features",
              flush=True)
    return outcome


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write_table(path, outcomes):
    """The lines of `outcomes`, and of fuzzers that did not run now but stand in the table."""
    before, _, rest = path.read_text().partition(HEADER)
    rows = {name: row for row, name in re.findall(r"^(\| (\w+_fuzz) \|.*)$", rest, re.MULTILINE)}
    rows.update((outcome.name, outcome.row()) for outcome in outcomes)
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=7"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    ending = f"\nLast run: {time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit}, {processor()}, {os.cpu_count()} cores.\n"
    path.write_text(before + "\n".join([HEADER, RULE, *(rows[name] for name in sorted(rows))]) + "\n" + ending)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--fuzzers", type=Path, required=True, help="the folder of the programs")
    parser.add_argument("--corpus", type=Path, required=True, help="the hostile corpus")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", type=Path, help="the document whose table is rewritten")
    options = parser.parse_args(arguments)
    names = options.names or sorted(path.name for path in options.fuzzers.glob("*_fuzz"))
    if not names:
        print(f"there are no fuzzers in {options.fuzzers}", file=sys.stderr)
        return 2
    options.fuzzers = options.fuzzers.resolve()
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda name: run_fuzzer(name, options), names))
    if options.table:
        write_table(options.table, outcomes)
    n_found = sum(outcome.found for outcome in outcomes)
    print(f"{len(outcomes) - n_found} passed, {n_found} failed")
    return 1 if n_found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
