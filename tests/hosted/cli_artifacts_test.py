#!/usr/bin/env python3
"""Tests of files that are no models: shards, manifests, CLIF-1 and SCXM, and a web server that misbehaves in every way.

    LBM=build/lbm python3 tests/hosted/cli_artifacts_test.py
"""

import base64
import hashlib
import http.server
import json
import os
import random
import re
import shutil
import struct
import tempfile
import threading
import unittest

from gguf_contents import Gguf
from lbm_process import LBM, lbm, lbm_json, MODEL, RUNTIME, USAGE

CHUNK = 4096
DATA = random.Random(1).randbytes(10 * CHUNK + 123)
DIGEST = hashlib.sha256(DATA).hexdigest()
assert LBM


class Folder(unittest.TestCase):
    """A folder of its own for every test, with DATA in it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lbm-artifacts-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.write("model.gguf", DATA)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, content):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def read(self, *names):
        with open(self.path(*names), "rb") as file:
            return file.read()

    def pack(self, *arguments, folder="up"):
        lbm("shards", "pack", self.file, "-o", self.path(folder), "--chunk-size", CHUNK, *arguments)
        return self.path(folder, "model.gguf.shards.json")

    def refused(self, code, *arguments, exit_code=MODEL):
        """Refused with that error code; stdout stays empty. Returns the message."""
        out, err = lbm(*arguments, code=exit_code)
        self.assertEqual(out, b"")
        self.assertIn(f"[{code}]", err)
        return err


class Shards(Folder):
    def test_pack_and_assemble(self):
        index = self.pack()
        described = json.loads(self.read("up", "model.gguf.shards.json"))
        self.assertEqual(described["size"], len(DATA))
        self.assertEqual(described["sha256"], DIGEST)
        self.assertEqual([c["size"] for c in described["chunks"]], [CHUNK] * 10 + [123])
        for number, chunk in enumerate(described["chunks"]):
            part = DATA[number * CHUNK:(number + 1) * CHUNK]
            self.assertEqual(self.read("up", chunk["path"]), part)
            self.assertEqual(chunk["sha256"], hashlib.sha256(part).hexdigest())
        report = lbm_json("shards", "assemble", index, "-o", self.path("out"), "--json")
        self.assertEqual((report["read"], report["kept"], report["sha256"]), (11, 0, DIGEST))
        self.assertEqual(self.read("out"), DATA)
        self.assertTrue(lbm_json("shards", "verify", index, "--json")["ok"])

    def test_packing_twice_gives_the_same_bytes(self):
        self.pack()
        self.pack(folder="again")
        for name in os.listdir(self.path("up")):
            self.assertEqual(self.read("up", name), self.read("again", name))

    def test_a_file_of_no_bytes_and_one_of_a_whole_chunk(self):
        for size in (0, CHUNK):
            self.write("model.gguf", DATA[:size])
            index = self.pack(folder=f"up{size}")
            lbm("shards", "assemble", index, "-o", self.path("out"))
            self.assertEqual(self.read("out"), DATA[:size])

    def test_ranges_point_into_the_file_itself(self):
        lbm("shards", "pack", self.file, "--ranges", "--chunk-size", CHUNK)
        self.assertEqual(sorted(os.listdir(self.folder)), ["model.gguf", "model.gguf.shards.json"])
        lbm("shards", "assemble", self.path("model.gguf.shards.json"), "-o", self.path("out"))
        self.assertEqual(self.read("out"), DATA)

    def test_damage_is_found_in_its_chunk_and_only_that_is_read_again(self):
        index = self.pack()
        good = self.read("up", "model.gguf.00004")
        self.write("up/model.gguf.00004", good[:-1] + bytes([good[-1] ^ 1]))
        out, _ = lbm("shards", "verify", index, "--json", code=MODEL)
        bad = json.loads(out)["bad"]
        self.assertEqual([entry["chunk"] for entry in bad], [4])
        self.assertIn("[bad_hash]", bad[0]["error"])
        err = self.refused("bad_hash", "shards", "assemble", index, "-o", self.path("out"), exit_code=RUNTIME)
        self.assertIn("chunk 4, bytes 16384 to 20480", err)
        self.assertFalse(os.path.exists(self.path("out")))  # nothing half under the final name
        self.write("up/model.gguf.00004", good)
        report = lbm_json("shards", "assemble", index, "-o", self.path("out"), "--json")
        self.assertEqual((report["kept"], report["read"]), (4, 7))
        self.assertEqual(self.read("out"), DATA)

    def test_a_part_file_keeps_what_is_right(self):
        index = self.pack()
        part = bytearray(DATA)
        part[3 * CHUNK + 5] ^= 0x80
        self.write("out.part", bytes(part) + b"and more")
        report = lbm_json("shards", "assemble", index, "-o", self.path("out"), "--json")
        self.assertEqual((report["kept"], report["read"]), (10, 1))
        self.assertEqual(self.read("out"), DATA)

    def test_sizes_and_missing_chunks(self):
        index = self.pack()
        self.write("up/model.gguf.00002", DATA[:CHUNK + 1])
        self.refused("mismatch", "shards", "assemble", index, "-o", self.path("out"), exit_code=RUNTIME)
        os.remove(self.path("up", "model.gguf.00002"))
        self.refused("not_found", "shards", "assemble", index, "-o", self.path("out"), exit_code=RUNTIME)

    def test_an_index_that_contradicts_itself(self):
        self.pack()
        good = json.loads(self.read("up", "model.gguf.shards.json"))

        def case(code, change):
            index = json.loads(json.dumps(good))
            change(index)
            path = self.write("up/bad.json", index)
            self.refused(code, "shards", "assemble", path, "-o", self.path("out"))
            self.assertFalse(os.path.exists(self.path("out.part")))

        def setter(*path_and_value):
            *path, key, value = path_and_value

            def change(index):
                for step in path:
                    index = index[step]
                index[key] = value
            return change
        case("bad_offset", setter("chunks", 3, "offset", 3 * CHUNK + 1))      # a gap
        case("overlap", setter("chunks", 3, "offset", 3 * CHUNK - 1))
        case("bad_offset", setter("chunks", 10, "size", 124))                 # behind the end
        case("truncated", setter("chunks", 10, "size", 122))
        case("mismatch", lambda index: index["chunks"].pop())
        case("mismatch", setter("chunks", []))
        case("duplicate", setter("chunks", 1, "path", "model.gguf.00000"))
        case("bad_value", setter("chunks", 0, "size", CHUNK + 1))
        case("bad_value", setter("chunks", 0, "size", 0))
        case("bad_type", setter("chunks", 0, "size", -1))
        case("bad_type", setter("chunks", 0, "offset", 0.5))
        case("bad_value", setter("chunks", 0, "sha256", "00"))
        case("bad_value", setter("sha256", "g" * 64))
        case("bad_value", setter("size", 2 ** 63))
        case("mismatch", setter("size", 2 ** 40))
        case("bad_value", setter("chunk_size", 1))
        case("unsupported", setter("surprise", 1))
        case("unsupported", setter("chunks", 0, "surprise", 1))
        case("unsupported", setter("signature", "RW..."))
        case("missing", lambda index: index.pop("size"))
        case("bad_magic", lambda index: index.pop("schema"))
        case("bad_magic", setter("schema", "lbm-shards-2"))
        for name in ("../model.gguf", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a:b", "a\0b", "\u00e4", "a" * 129, " a"):
            case("bad_name", setter("chunks", 0, "path", name))
            case("bad_name", setter("name", name))
        path = self.write("up/x.json", {**good, "x-note": "anything"})
        lbm("shards", "assemble", path, "-o", self.path("out"))

    def test_json_that_is_none_or_says_things_twice(self):
        for code, text in (("bad_syntax", b""), ("bad_syntax", b"{"), ("bad_syntax", b"\xff\xfe"),
                           ("duplicate", b'{"schema": "lbm-shards-1", "size": 1, "size": 2}'),
                           ("duplicate", b'{"x-a": {"b": 1, "b": 2}}'),
                           ("limit", b"[" * 100 + b"]" * 100), ("limit", b'{"a":' * 1000 + b"1" + b"}" * 1000),
                           ("bad_magic", b"[]"), ("bad_magic", b'"lbm-shards-1"'), ("bad_magic", b"{}")):
            with self.subTest(text=text[:40]):
                self.refused(code, "shards", "verify", self.write("bad.json", text))

    def test_whole_hash(self):
        index = self.pack()
        lbm("shards", "assemble", index, "-o", self.path("out"), "--sha256", DIGEST)
        self.refused("bad_hash", "shards", "assemble", index, "-o", self.path("out2"), "--sha256", "0" * 64)
        described = json.loads(self.read("up", "model.gguf.shards.json"))
        described["sha256"] = "0" * 64
        self.refused("bad_hash", "shards", "assemble", self.write("up/lies.json", described), "-o", self.path("out2"))
        self.assertFalse(os.path.exists(self.path("out2")))


class Base64Shards(Folder):
    """The form of CSS-LLM: read, never written."""

    def index(self, count=3, total=len(DATA), change=None, change_index=None):
        size = -(-total // count)
        names = []
        for i in range(count):
            part = DATA[i * size:(i + 1) * size]
            shard = {"format": "CLIF-1-base64-shard", "shardIndex": i, "shardNumber": i + 1, "shardCount": count,
                     "byteOffset": i * size, "byteLength": len(part), "dataBase64": base64.b64encode(part).decode()}
            if change and i == 1:
                change(shard)
            names.append(f"css_{i + 1:03d}.bin.base64.json")
            self.write(names[-1], shard)
        index = {"format": "CLIF-1-base64-sharded", "baseName": "css", "shardCount": count, "totalBytes": total, "shards": names}
        if change_index:
            change_index(index)
        return self.write("css_index.json", index)

    def test_is_read(self):
        for count in (1, 3, 7):
            _, err = lbm("shards", "assemble", self.index(count), "-o", self.path("out"))
            self.assertEqual(self.read("out"), DATA)
            self.assertIn("no hashes", err)
        lbm("shards", "assemble", self.index(), "-o", self.path("out"), "--sha256", DIGEST)
        self.refused("bad_hash", "shards", "assemble", self.index(), "-o", self.path("out2"), "--sha256", "1" * 64)
        self.assertFalse(os.path.exists(self.path("out2")))

    def test_contradictions(self):
        for code, key, value in (("mismatch", "shardIndex", 0), ("mismatch", "shardNumber", 1), ("mismatch", "shardCount", 4),
                                 ("mismatch", "byteOffset", 0), ("mismatch", "byteLength", 1), ("bad_magic", "format", "x"),
                                 ("mismatch", "dataBase64", "AAAA"), ("bad_syntax", "dataBase64", "AAA"),
                                 ("bad_syntax", "dataBase64", "AA=A"), ("bad_syntax", "dataBase64", "A-A="),
                                 ("bad_syntax", "dataBase64", "AAB="), ("bad_type", "dataBase64", 5)):
            with self.subTest(key=key, value=value):
                path = self.index(change=lambda shard, k=key, v=value: shard.update({k: v}))
                self.refused(code, "shards", "assemble", path, "-o", self.path("out"))

    def test_an_index_is_checked(self):
        for code, key, value in (("mismatch", "shardCount", 4), ("duplicate", "shards", ["a", "a", "b"]),
                                 ("bad_name", "shards", ["a", "../b", "c"]), ("bad_type", "shards", ["a", 1, "c"]),
                                 ("bad_name", "baseName", "../css"), ("bad_value", "totalBytes", 0),
                                 ("bad_value", "shardCount", 0), ("unsupported", "extra", 1)):
            with self.subTest(key=key, value=value):
                path = self.index(change_index=lambda index, k=key, v=value: index.update({k: v}))
                self.refused(code, "shards", "assemble", path, "-o", self.path("out"))


class Server:
    """A static server on the loopback interface; `mood` says how it misbehaves, `asked` what it was asked."""

    def __init__(self, folder):
        server = self
        self.mood, self.asked, self.tag, self.elsewhere = "good", [], '"v1"', ""
        self.failures = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.asked.append((self.path, self.headers.get("Range")))
                path = os.path.join(folder, os.path.basename(self.path))
                if not os.path.exists(path):
                    self.send_error(404)
                    return
                with open(path, "rb") as file:
                    whole = file.read()
                # The index always comes as it is; the moods are about data.
                server.answer(self, whole, "good" if self.path.endswith(".json") else server.mood)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, to, whole, mood):
        if mood == "redirect" and not to.path.startswith("/moved/"):
            return self.reply(to, 302, b"", {"Location": "/moved" + to.path})
        if mood == "redirect-loop":
            return self.reply(to, 302, b"", {"Location": to.path})
        if mood == "elsewhere" and not to.path.startswith("/moved/"):
            return self.reply(to, 302, b"", {"Location": self.elsewhere + "moved" + to.path})
        if mood == "redirect-nowhere":
            return self.reply(to, 302, b"", {})
        if mood == "redirect-file":
            return self.reply(to, 302, b"", {"Location": "file:///etc/passwd"})
        if mood == "error-once" and self.failures == 0:
            self.failures += 1
            return self.reply(to, 503, b"busy", {})
        if mood == "error":
            return self.reply(to, 500, b"", {})
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", to.headers.get("Range") or "")
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, len(whole) - 1)
        body = whole[first:last + 1]
        status, headers = (206, {"Content-Range": f"bytes {first}-{last}/{len(whole)}"}) if asked else (200, {})
        headers["ETag"] = self.tag
        if mood == "ignores-ranges":
            status, body, headers = 200, whole, {}
        if mood == "wrong-range":
            headers["Content-Range"] = f"bytes {first + 1}-{last + 1}/{len(whole)}"
        if mood == "wrong-total":
            headers["Content-Range"] = f"bytes {first}-{last}/{len(whole) + 1}"
        if mood == "no-range-header":
            headers.pop("Content-Range", None)
        if mood == "changes":
            self.tag = f'"v{len(self.asked)}"'
        if mood == "gzip":
            headers["Content-Encoding"] = "gzip"
        if mood == "html":
            status, body, headers = 200, b"<html>Please log in</html>", {}
        if mood == "damage-once" and self.failures == 0:
            self.failures += 1
            body = bytes([body[0] ^ 1]) + body[1:]
        if mood == "damage":
            body = bytes([body[0] ^ 1]) + body[1:]
        if mood == "short":
            return self.reply(to, status, body[:-7], headers)
        if mood in ("cut", "cut-once") and (mood == "cut" or self.failures == 0):
            self.failures += 1
            to.close_connection = True
            return self.reply(to, status, body[:len(body) // 2], {**headers, "Content-Length": str(len(body))})
        if mood == "endless":
            to.close_connection = True
            to.send_response(status)
            for key, value in headers.items():
                to.send_header(key, value)
            to.send_header("Connection", "close")
            to.end_headers()
            try:
                for _ in range(10_000):
                    to.wfile.write(b"x" * 65536)
            except OSError:
                pass
            return None
        return self.reply(to, status, body, headers)

    @staticmethod
    def reply(to, status, body, headers):
        to.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            to.send_header(key, value)
        to.end_headers()
        to.wfile.write(body)


class Fetch(Folder):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("up"))
        self.pack()
        shutil.copy(self.file, self.path("up"))
        lbm("shards", "pack", self.file, "--ranges", "--chunk-size", CHUNK, "-o", self.path("ranges"))
        os.rename(self.path("ranges", "model.gguf.shards.json"), self.path("up", "ranges.json"))
        self.server = Server(self.path("up"))
        self.addCleanup(self.server.stop)
        self.chunks = self.server.address + "model.gguf.shards.json"
        self.ranges = self.server.address + "ranges.json"

    def fetch(self, index, *arguments):
        return lbm_json("shards", "fetch", index, "-o", self.path("out"), "--json", *arguments)

    def fails(self, code, index, *words, arguments=()):
        if os.path.exists(self.path("out.part")):
            os.remove(self.path("out.part"))
        self.server.failures = 0
        err = self.refused(code, "shards", "fetch", index, "-o", self.path("out"), "--retries", "0", *arguments,
                           exit_code=RUNTIME)
        for word in words:
            self.assertIn(word, err)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_fetches_chunks_and_ranges(self):
        for index in (self.chunks, self.ranges):
            report = self.fetch(index)
            self.assertEqual((report["read"], report["sha256"]), (11, DIGEST))
            self.assertEqual(self.read("out"), DATA)
            os.remove(self.path("out"))
        self.assertIn(("/model.gguf", "bytes=0-4095"), self.server.asked)
        self.assertIn(("/model.gguf.00000", None), self.server.asked)

    def test_a_folder_will_do(self):
        self.assertEqual(self.fetch(self.path("up", "ranges.json"))["sha256"], DIGEST)

    def test_goes_on_after_a_stop(self):
        # The server dies after five chunks; the next run asks for the other six alone.
        os.rename(self.path("up", "model.gguf.00005"), self.path("kept"))
        self.fails("not_found", self.chunks)
        os.rename(self.path("kept"), self.path("up", "model.gguf.00005"))
        self.server.asked.clear()
        report = self.fetch(self.chunks)
        self.assertEqual((report["kept"], report["read"]), (5, 6))
        self.assertEqual(len(self.server.asked), 7)
        self.assertEqual(self.read("out"), DATA)

    def test_trouble_that_passes(self):
        for mood in ("damage-once", "cut-once", "error-once"):
            for index in (self.chunks, self.ranges):
                with self.subTest(mood=mood, index=index):
                    self.server.mood, self.server.failures = mood, 0
                    report = self.fetch(index)
                    self.assertEqual((report["retried"], report["sha256"]), (1, DIGEST))
                    os.remove(self.path("out"))

    def test_every_way_to_misbehave(self):
        for mood, code, index, *words in (
                ("ignores-ranges", "unsupported", self.ranges, "(200)", "(206)"),
                ("html", "unsupported", self.ranges),
                ("html", "truncated", self.chunks),
                ("wrong-range", "mismatch", self.ranges, "Content-Range"),
                ("wrong-total", "mismatch", self.ranges, "Content-Range"),
                ("no-range-header", "mismatch", self.ranges, "Content-Range"),
                ("changes", "mismatch", self.ranges, "changed on the server"),
                ("gzip", "unsupported", self.chunks, "gzip"),
                ("gzip", "unsupported", self.ranges, "gzip"),
                ("short", "truncated", self.chunks),
                ("short", "truncated", self.ranges),
                ("cut", "truncated", self.chunks),
                ("endless", "limit", self.chunks),
                ("endless", "limit", self.ranges),
                ("damage", "bad_hash", self.chunks),
                ("damage", "bad_hash", self.ranges),
                ("error", "io", self.chunks, "500"),
                ("redirect-loop", "limit", self.chunks, "too many redirects"),
                ("redirect-nowhere", "missing", self.chunks),
                ("redirect-file", "bad_value", self.chunks)):
            with self.subTest(mood=mood, index=index):
                self.server.mood = mood
                self.fails(code, index, *words)

    def test_redirects(self):
        self.server.mood = "redirect"
        self.assertEqual(self.fetch(self.chunks)["sha256"], DIGEST)
        os.remove(self.path("out"))
        other = Server(self.path("up"))
        self.addCleanup(other.stop)
        self.server.mood, self.server.elsewhere = "elsewhere", other.address
        self.fails("unsupported", self.chunks, "another place")
        self.assertEqual(self.fetch(self.chunks, "--follow")["sha256"], DIGEST)

    def test_no_server_and_no_address(self):
        self.server.stop()
        self.fails("io", self.chunks)
        self.server = Server(self.path("up"))
        self.addCleanup(self.server.stop)
        for address in ("http://", "http://user@host/x.json", "http://host/a?b/x.json"):
            lbm("shards", "fetch", address, code=USAGE)


class Manifests(Folder):
    def make(self, *arguments):
        lbm("manifest", "make", self.file, "--licence", "MIT", "--source", "a test", "--chunk-size", CHUNK,
            "-o", self.path("manifest.json"), *arguments)
        return self.path("manifest.json")

    def test_make_and_check(self):
        path = self.make("--name", "tiny", "--version", "1.2.3", "--quantization", "Q4_1", "--base", "a" * 64)
        manifest = json.loads(self.read("manifest.json"))
        self.assertEqual(manifest["files"][0]["sha256"], DIGEST)
        self.assertEqual(manifest["files"][0]["size"], len(DATA))
        self.assertEqual(len(manifest["files"][0]["chunks"]), 11)
        self.assertEqual(manifest["base_sha256"], "a" * 64)
        self.assertIsNone(manifest["signature"])
        self.assertRegex(manifest["tool"], r"^lbm \d")
        report = lbm_json("manifest", "check", path, "--json")
        self.assertEqual((report["name"], report["version"], report["ok"]), ("tiny", "1.2.3", True))

    def test_a_changed_file_is_named_with_its_chunk(self):
        path = self.make()
        self.write("model.gguf", DATA[:-1] + b"\0")
        self.assertIn("chunk 10, at byte 40960", self.refused("bad_hash", "manifest", "check", path))
        self.write("model.gguf", DATA[:-1])
        self.refused("mismatch", "manifest", "check", path)
        os.remove(self.file)
        lbm("manifest", "check", path, code=MODEL)

    def test_what_a_manifest_may_say(self):
        self.make()
        good = json.loads(self.read("manifest.json"))

        def case(code, **changes):
            with self.subTest(**changes):
                changed = {**good, **changes}
                for key in [key for key, value in changed.items() if value == "REMOVE"]:
                    del changed[key]
                self.refused(code, "manifest", "check", self.write("bad.json", changed))
        for key in ("schema", "name", "version", "kind", "licence", "source_kind", "source", "trained_quality_claim", "tool", "files"):
            case("missing", **{key: "REMOVE"})
        case("bad_version", schema="lbm-manifest-2")
        case("bad_name", name="a/b")
        case("bad_value", version="1.0")
        case("bad_value", version="1.0.x")
        case("bad_value", kind="virus")
        case("bad_value", source_kind="magic")
        case("bad_value", licence="M\x1bIT")
        case("missing", licence="")
        case("bad_type", licence=5)
        case("bad_type", trained_quality_claim="no")
        case("unsupported", surprise=1)
        case("unsupported", signature="RW...")
        case("limit", files=[])
        case("bad_value", base_sha256="12")
        entry = good["files"][0]
        case("duplicate", files=[entry, entry])
        for name in ("../model.gguf", "/model.gguf", "..", "a/b", ""):
            case("bad_name", files=[{**entry, "path": name}])
        case("mismatch", files=[{**entry, "chunks": entry["chunks"][:-1]}])
        case("mismatch", files=[{**entry, "size": len(DATA) + CHUNK}])
        case("bad_value", files=[{**entry, "chunks": ["x"] * 11}])
        case("bad_value", files=[{**entry, "chunk_size": 1}])
        case("bad_hash", files=[{**entry, "sha256": "0" * 64}])
        # Quality is claimed with evidence only.
        case("missing", trained_quality_claim=True)
        case("missing", source_kind="evaluated")
        record = {"name": "perplexity", "sha256": "0" * 64, "scope": "English prose"}
        case("mismatch", trained_quality_claim=True, evidence=[record])
        case("missing", source_kind="evaluated", evidence=[{**record, "scope": ""}])
        for fine in ({"source_kind": "evaluated", "evidence": [record], "trained_quality_claim": True}, {"x-note": 1},
                     {"resources": {"ram": 1}}, {"deps": [], "authority": [], "io": {}}):
            lbm("manifest", "check", self.write("fine.json", {**good, **fine}))
        text = self.read("manifest.json").replace(b'"kind"', b'"name": "other", "kind"', 1)
        self.refused("duplicate", "manifest", "check", self.write("twice.json", text))

    def test_pack_takes_only_what_its_manifest_allows(self):
        path = self.make()
        index = self.pack("--manifest", path)
        self.assertEqual(self.read("up", "model.gguf.manifest.json"), self.read("manifest.json"))
        self.assertEqual(json.loads(self.read("up", "model.gguf.shards.json"))["manifest_sha256"],
                         hashlib.sha256(self.read("manifest.json")).hexdigest())
        lbm("shards", "verify", index)
        other = self.write("other.gguf", DATA)
        self.refused("missing", "shards", "pack", other, "-o", self.path("no"), "--manifest", path)
        self.write("model.gguf", DATA[::-1])
        self.refused("bad_hash", "shards", "pack", self.file, "-o", self.path("no"), "--manifest", path)
        self.assertFalse(os.path.exists(self.path("no")))

    def test_make_refuses_what_check_would(self):
        lbm("manifest", "make", self.file, "--licence", "MIT", "--source", "x", "--version", "1", "-o", self.path("m"), code=USAGE)
        lbm("manifest", "make", self.file, "--licence", "MIT", "--source", "x", "--source-kind", "evaluated", "-o", self.path("m"),
            code=USAGE)
        self.assertFalse(os.path.exists(self.path("m")))


def clif(version=1, dims=(2048, 16, 50000), scheme=4, checksum=bytes(32), reserved=bytes(8), payload=b"INT4 placeholder payload..."):
    return struct.pack("<IIIIII", 0x434C4946, version, *dims, scheme) + checksum + reserved + payload


def scxm(tensors, version=1, count=None, footer=None):
    body = b"SCXM" + struct.pack("<II", version, len(tensors) if count is None else count)
    for name, packed, scales in tensors:
        name = name if isinstance(name, bytes) else name.encode()
        body += struct.pack("<I", len(name)) + name + struct.pack("<I", len(packed)) + packed
        body += struct.pack("<I", len(scales)) + b"".join(struct.pack("<e", s) for s in scales)
    return body + (hashlib.sha256(body).digest() if footer is None else footer)


class Clif(Folder):
    def test_is_explained(self):
        content = clif()
        self.assertEqual(content[:4], b"FILC")
        path = self.write("a.clif", content)
        report = lbm_json("inspect", path, "--json")
        self.assertEqual((report["format"], report["n_embd"], report["n_layer"], report["n_vocab"]), ("CLIF-1", 2048, 16, 50000))
        self.assertEqual((report["runs"], report["payload_bytes"], report["checksum"]), (False, 27, "none"))
        self.assertTrue(any("placeholder" in problem for problem in report["problems"]))
        self.assertIn(b"CLIF-1", lbm("inspect", path)[0])

    def test_checksum_is_told_apart(self):
        payload = b"x" * 100
        path = self.write("a.clif", clif(checksum=hashlib.sha256(payload).digest(), payload=payload))
        self.assertIn("SHA-256", lbm_json("inspect", path, "--json")["checksum"])
        path = self.write("a.clif", clif(checksum=b"\1" * 32))
        self.assertIn("not defined", lbm_json("inspect", path, "--json")["checksum"])

    def test_bad_headers(self):
        for code, offset, content in (("truncated", 63, clif()[:63]), ("truncated", 4, b"FILC"), ("bad_version", 4, clif(version=2)),
                                      ("bad_value", 8, clif(dims=(0, 1, 1))), ("bad_value", 12, clif(dims=(1, 1 << 20, 1))),
                                      ("bad_value", 16, clif(dims=(1, 1, 1 << 30))), ("unsupported", 20, clif(scheme=8)),
                                      ("bad_value", 56, clif(reserved=b"\0" * 7 + b"\1"))):
            with self.subTest(code=code, offset=offset):
                err = self.refused(code, "inspect", self.write("bad.clif", content))
                self.assertIn(f"at byte {offset} ", err)

    def test_is_not_converted(self):
        self.assertIn("CLIF-1", self.refused("unsupported", "convert", self.write("a.clif", clif()), self.path("out.gguf")))
        self.assertFalse(os.path.exists(self.path("out.gguf")))


class Scxm(Folder):
    def test_is_explained(self):
        path = self.write("a.scxm", scxm([("a", bytes(32), [0.5]), ("b", b"\x12", [1.0, 2.0])]))
        report = lbm_json("inspect", path, "--json")
        self.assertEqual((report["format"], report["n_tensor"], report["n_value"]), ("SCXM", 2, 66))
        self.assertEqual(report["tensors"][1], {"name": "b", "values": 2, "scales": 2})
        self.assertTrue(any("exactly one scale" in problem for problem in report["problems"]))
        self.assertEqual(lbm_json("inspect", self.write("none.scxm", scxm([])), "--json")["n_tensor"], 0)

    def test_becomes_the_very_values(self):
        nibbles = bytes(range(16))  # low half first: 0, 0, 1, 0, ... 15, 0; 8 to 15 are -8 to -1
        values = [v for byte in nibbles for v in (byte % 16 - 16 * (byte % 16 > 7), 0)]
        path = self.write("a.scxm", scxm([("a", nibbles, [0.5])]))
        lbm("convert", path, self.path("plain.gguf"))
        dims, kind, data = Gguf(self.path("plain.gguf")).tensors["a"]
        self.assertEqual((tuple(dims), kind), ((32,), 0))
        self.assertEqual(list(struct.unpack("<32f", data)), [0.5 * v for v in values])
        shapes = self.write("shapes.json", b'{"a": [1, 32]}')
        lbm("convert", path, self.path("shaped.gguf"), "--shapes", shapes)
        dims, kind, data = Gguf(self.path("shaped.gguf")).tensors["a"]
        self.assertEqual((dims[0], kind), (32, 2))
        self.assertEqual(struct.unpack("<e", data[:2]), (0.5,))
        self.assertEqual([byte & 15 for byte in data[2:]], [v + 8 for v in values[:16]])
        self.refused("bad_shape", "convert", path, self.path("bad.gguf"), "--shapes", self.write("b.json", b'{"a": [3, 11]}'))
        self.assertFalse(os.path.exists(self.path("bad.gguf")))

    def test_bad_files(self):
        good = scxm([("a", bytes(4), [1.0])])
        cases = [("truncated", good[:43]), ("truncated", b"SCXM"), ("bad_version", scxm([], version=2)),
                 ("bad_hash", scxm([], footer=bytes(32))),  # as the fixture of its own project
                 ("bad_hash", good[:22] + b"\x01" + good[23:]),
                 ("limit", scxm([], count=1)), ("limit", scxm([("a", b"", [])], count=0xFFFFFFFF)),
                 ("bad_name", scxm([("", bytes(4), [])])), ("bad_name", scxm([(b"\xff\xfe", b"", [])])),
                 ("limit", scxm([("a" * 256, b"", [])])), ("duplicate", scxm([("a", b"", []), ("a", b"", [])])),
                 ("mismatch", scxm([("b", b"", []), ("a", b"", [])])), ("mismatch", scxm([("a", b"", [])], count=0)),
                 ("mismatch", good[:-32] + b"\0" + good[-32:])]
        huge = b"SCXM" + struct.pack("<III", 1, 1, 1) + b"a" + struct.pack("<I", 0xFFFFFFF0) + bytes(64)
        cases.append(("truncated", huge + hashlib.sha256(huge).digest()))
        for code, content in cases:
            with self.subTest(code=code, size=len(content)):
                self.assertIn("at byte ", self.refused(code, "inspect", self.write("bad.scxm", content)))


if __name__ == "__main__":
    unittest.main()
