#!/usr/bin/env python3
"""Tests of `lbm serve` against requests of strangers: files, heads, bodies, fields, keys (docs/serve.md; H1 to H4).

    LBM=build/lbm python3 tests/hosted/cli_serve_hostile_test.py
"""

import json
import os
import re
import resource
import socket
import time
import unittest

from lbm_process import lbm, USAGE
from serve_process import HELLO, JSON, WAIT_S, WithServer


class Page(WithServer):
    """Files of the page, and nothing but them."""

    def test_files_and_headers(self):
        status, headers, body = self.server.request("GET", "/")
        self.assertEqual((status, body), (200, b"<!doctype html>page"))
        for name, value in (("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Embedder-Policy", "require-corp"),
                            ("Cross-Origin-Resource-Policy", "same-origin"), ("X-Content-Type-Options", "nosniff"),
                            ("Content-Type", "text/html; charset=utf-8")):
            self.assertEqual(headers[name], value)
        self.assertIn("script-src 'self' 'wasm-unsafe-eval'", headers["Content-Security-Policy"])
        self.assertIn("require-trusted-types-for", headers["Content-Security-Policy"])
        for name, kind in (("a.mjs", "text/javascript; charset=utf-8"), ("a.wasm", "application/wasm"), ("a.webmanifest", "application/manifest+json"),
                           ("a.json", "application/json"), ("a.svg", "image/svg+xml"), ("a.wgsl", "text/plain; charset=utf-8")):
            status, headers, _ = self.server.request("GET", "/assets/" + name)
            self.assertEqual((status, headers["Content-Type"]), (200, kind), name)
        status, headers, body = self.server.request("GET", "/assets/app.js?v=1")
        self.assertEqual((status, headers["Content-Type"], body), (200, "text/javascript; charset=utf-8", b"1"))
        self.assertEqual(self.server.request("HEAD", "/assets/app.js")[2], b"")
        self.assertEqual(self.server.request("PUT", "/assets/app.js")[0], 405)

    def test_ranges(self):
        whole = bytes(range(256)) * 1024
        status, headers, body = self.server.request("GET", "/assets/big.bin")
        self.assertEqual((status, headers["Accept-Ranges"], body), (200, "bytes", whole))
        tag = headers["ETag"]
        n = len(whole)
        for given, first, end in (("bytes=0-0", 0, 1), ("bytes=5-99", 5, 100), (f"bytes={n - 1}-", n - 1, n), ("bytes=100000-", 100000, n),
                                  ("bytes=-7", n - 7, n), (f"bytes=-{n * 2}", 0, n), (f"bytes=10-{n * 9}", 10, n)):
            status, headers, body = self.server.request("GET", "/assets/big.bin", None, {"Range": given})
            self.assertEqual((status, headers["Content-Range"], body), (206, f"bytes {first}-{end - 1}/{n}", whole[first:end]), given)
        for given in ("bytes=5-4", "bytes=a-b", "bytes=-", "bytes=0-1,5-6", "lines=0-1", "bytes=+1-2", "bytes=0x1-2", "bytes=" + "9" * 30 + "-",
                      "bytes", "bytes=1", "bytes=--1", "bytes=1-2-3"):
            status, headers, body = self.server.request("GET", "/assets/big.bin", None, {"Range": given})
            self.assertEqual((status, len(body)), (200, n), given)
        for given in (f"bytes={n}-", f"bytes={n * 2}-{n * 3}", "bytes=-0"):
            status, headers, _ = self.server.request("GET", "/assets/big.bin", None, {"Range": given})
            self.assertEqual((status, headers["Content-Range"]), (416, f"bytes */{n}"), given)
        for condition, status in ((tag, 206), ('"other"', 200), ("Sat, 01 Jan 2022 00:00:00 GMT", 200), ("W/" + tag, 200)):
            given = {"Range": "bytes=0-9", "If-Range": condition}
            self.assertEqual(self.server.request("GET", "/assets/big.bin", None, given)[0], status, condition)
        status, headers, body = self.server.request("HEAD", "/assets/big.bin", None, {"Range": "bytes=0-9"})
        self.assertEqual((status, headers["Content-Length"], body), (200, str(n), b""))  # ranges are for GET

    def test_the_model_can_be_read(self):
        meta = json.loads(self.server.request("GET", "/v1/models")[2])["data"][0]["meta"]
        with open(self.model, "rb") as file:
            content = file.read()
        status, headers, body = self.server.request("GET", meta["path"])
        self.assertEqual((status, meta["size"], body), (200, len(content), content))
        self.assertEqual(self.server.request("GET", meta["path"], None, {"Range": "bytes=4-7"})[2], content[4:8])
        self.assertEqual(self.server.request("POST", meta["path"], "{}", JSON)[0], 405)
        self.assertEqual(self.server.request("POST", "/v1/images/generations", "{}", JSON)[0], 404)

    def test_files_cost_no_memory(self):
        before = self.server.resident_bytes()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S) as client:
            client.sendall(self.server.head(target="/assets/huge.bin"))
            n = 0
            while n < 64 << 20:
                piece = client.recv(1 << 20)
                self.assertTrue(piece)
                n += len(piece)
            self.assertLess(self.server.resident_bytes() - before, 8 << 20)

    def test_H3_escapes(self):
        for target in ("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%252e%252e/secret.txt", "/assets/../../secret.txt",
                       "/assets/%2e%2e/%2e%2e/secret.txt", "/..\\secret.txt", "/..%5csecret.txt", "//etc/passwd", "/link.txt",
                       "/up/secret.txt", "/up/tiny.gguf", "/.hidden", "/%2ehidden", "/assets", "/assets/", "/./index.html", "/pipe",
                       "/index.html%00.js", "/index.html/", "/index.html::$DATA", "/%c0%ae%c0%ae/secret.txt", "/%", "/%4", "/%zz", "/C:/x",
                       "/index.html%20", "/" + "a" * 200, "/con", "/nul\x7f", "/hard.txt", "/assets/hard.txt", "/models/",
                       "/models/../secret.txt", "/models/secret.txt", "/models/tiny.gguf/..", "/models/%2e%2e/secret.txt", "/nul", "/aux.html", "/....//secret.txt",
                       "/assets//../secret.txt", "/\\\\host\\share", "/%5c%5chost%5cshare", "/%2f%2fetc%2fpasswd", "/~root", "/web/../../secret.txt"):
            status, answer = self.server.raw(self.server.head(target=target))
            self.assertIn(status, (400, 404), target)
            self.assertNotIn(b"secret", answer.split(b"\r\n\r\n", 1)[1], target)


class Hostile(WithServer):
    """Requests that no friend sends. The server refuses them with the right status, and is there afterwards."""

    def tearDown(self):
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertIsNone(self.server.process.poll())

    def test_H1_hosts(self):
        port = self.server.port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
            self.assertEqual(self.server.raw(self.server.head(host=host))[0], 200, host)
        for host in ("", "evil.example", f"evil.example:{port}", f"localhost.:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1",
                     f"127.0.0.1:{port + 1}", f"127.0.0.1:0{port}", f"[::ffff:127.0.0.1]:{port}", f"0:{port}", f"0.0.0.0:{port}",
                     f"2130706433:{port}", f"user@127.0.0.1:{port}", f"127.0.0.1:{port}, evil", f"127.0.0.1:{port}/", f"127.1:{port}"):
            self.assertEqual(self.server.raw(self.server.head(host=host))[0], 403, host)
        self.assertEqual(self.server.raw(b"GET /health HTTP/1.1\r\n\r\n")[0], 400)
        self.assertEqual(self.server.raw(self.server.head(f"Host: 127.0.0.1:{port}"))[0], 400)

    def test_H1_only_this_machine_gets_here(self):
        # What getsockname() says, as the kernel lists it: state 0A is a socket that listens.
        def listening(path):
            with open(path, encoding="ascii") as table:
                rows = [line.split() for line in table.readlines()[1:]]
            return [row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == self.server.port]
        self.assertEqual(listening("/proc/net/tcp"), ["0100007F"])
        self.assertEqual(listening("/proc/net/tcp6") if os.path.exists("/proc/net/tcp6") else [], [])

    def test_H1_a_page_needs_the_token_of_this_run(self):
        own = {"Origin": f"http://{self.server.host}", "Sec-Fetch-Site": "same-origin"}
        asked = json.dumps({"content": "a"})
        status, _, body = self.server.request("POST", "/tokenize", asked, {**JSON, **own})
        self.assertEqual((status, json.loads(body)["error"]["code"]), (403, "stale_page"))
        _, headers, _ = self.server.request("GET", "/", None, {"Sec-Fetch-Site": "none"})
        ticket = headers["Set-Cookie"]
        cookie = ticket.split(";")[0]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(part, ticket)
        self.assertRegex(cookie, f"^lbm-{self.server.port}=[0-9a-f]{{32}}$")
        for given, expected in ((cookie, 200), ("a=b; " + cookie + "; c=d", 200), (cookie[:-1], 403), (cookie + "0", 403), ("", 403),
                                (cookie.replace("lbm-", "lbm"), 403), (cookie.split("=")[0] + "=", 403)):
            status, headers, _ = self.server.request("POST", "/tokenize", asked, {**JSON, **own, "Cookie": given})
            self.assertEqual(status, expected, given)
        self.assertNotIn("Set-Cookie", self.server.request("GET", "/", None, {"Sec-Fetch-Site": "none", "Cookie": cookie})[1])
        # Programs that are no browsers need none, and get none.
        self.assertNotIn("Set-Cookie", self.server.request("GET", "/")[1])
        self.assertEqual(self.server.request("POST", "/tokenize", asked, JSON)[0], 200)

    def test_H1_origins(self):
        for origin in (f"http://{self.server.host}",):
            self.assertEqual(self.server.raw(self.server.head("Origin: " + origin))[0], 200, origin)
        for origin in ("null", "", "http://evil.example", f"https://{self.server.host}", f"http://localhost:{self.server.port}",
                       f"http://{self.server.host}.evil.example", "http://127.0.0.1", "file://"):
            for method in ("GET", "POST", "OPTIONS"):
                lines = ["Origin: " + origin, "Content-Length: 0", "Content-Type: application/json"]
                status, answer = self.server.raw(self.server.head(*lines, method=method, target="/v1/models"))
                self.assertEqual(status, 403, (origin, method))
                self.assertNotIn(b"Access-Control", answer)
        for site, status in (("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)):
            self.assertEqual(self.server.raw(self.server.head("Sec-Fetch-Site: " + site))[0], status, site)

    def test_H2_heads(self):
        host = f"Host: {self.server.host}\r\n".encode()
        ok = b"GET /health HTTP/1.1\r\n" + host
        for data, statuses in (
                (b"\r\n\r\n", (400,)), (b"GET\r\n\r\n", (400,)), (b"GET /health\r\n" + host + b"\r\n", (400,)),
                (b"GET /health HTTP/1.0\r\n" + host + b"\r\n", (505,)), (b"GET /health HTTP/2.0\r\n" + host + b"\r\n", (505,)),
                (b"GET http://evil/health HTTP/1.1\r\n" + host + b"\r\n", (400,)), (b"GET * HTTP/1.1\r\n" + host + b"\r\n", (400,)),
                (b"G\0T /health HTTP/1.1\r\n" + host + b"\r\n", (400,)), (b"GET /he\0alth HTTP/1.1\r\n" + host + b"\r\n", (400,)),
                (b"GET  /health HTTP/1.1\r\n" + host + b"\r\n", (400,)), (b"GET /health HTTP/1.1\n" + host + b"\r\n\r\n", (400,)),
                (ok + b" folded: 1\r\n\r\n", (400,)), (ok + b"a : 1\r\n\r\n", (400,)), (ok + b": 1\r\n\r\n", (400,)), (ok + b"a\r\n\r\n", (400,)),
                (ok + b"a: \x01\r\n\r\n", (400,)), (ok + b"a: \0\r\n\r\n", (400,)), (ok + b"a: b\rc: d\r\n\r\n", (400,)),
                (ok + b"a: b\nc: d\r\n\r\n", (400,)), (ok + b"Content-Length: -1\r\n\r\n", (400,)), (ok + b"Content-Length: +1\r\n\r\n", (400,)),
                (ok + b"Content-Length: 0x10\r\n\r\n", (400,)), (ok + b"Content-Length: 1, 1\r\n\r\n", (400,)),
                (ok + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", (400,)), (ok + b"Content-Length: 99999999999999999999\r\n\r\n", (400,)),
                (ok + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n", (411,)),
                (ok + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", (411,)), (ok + b"Content-Length: 8388609\r\n\r\n", (413,)),
                (ok + b"x: 1\r\n" * 100 + b"\r\n", (431,)), (ok + b"x: " + b"a" * 9000 + b"\r\n\r\n", (431,)),
                (ok + b"x" * 40000, (431,)), (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + host + b"\r\n", (414,)),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20) + b"\r\n\r\n", (400,)),
                (ok + b"Expect: nonsense\r\n\r\n", (417,))):
            self.assertIn(self.server.raw(data)[0], statuses, data[:120])

    def test_a_refused_request_takes_what_follows_with_it(self):
        smuggled = self.server.head("Content-Length: 1", "Content-Length: 2") + self.server.head()
        _, answer = self.server.raw(smuggled)
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1)

    def test_H2_bodies(self):
        for body in (b"", b"{", b"[]", b"1", b"null", b'"x"', b"\0", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 200000, b'{"a":' * 100000,
                     b'{"messages": [], "messages": []}', b'{"messages": "\xff"}', b'{"messages": "\\ud800"}', b"{}{}", b"{}"):
            status, _, answer = self.server.request("POST", "/v1/chat/completions", body, JSON)
            self.assertEqual(status, 400, body[:40])
            self.assertIn("message", json.loads(answer)["error"])
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"):
            self.assertEqual(self.server.request("POST", "/tokenize", "{}", {"Content-Type": kind})[0], 415, kind)
        self.assertEqual(self.server.request("POST", "/tokenize", "{}")[0], 415)
        self.assertEqual(self.server.request("GET", "/v1/completions")[0], 405)
        self.assertEqual(self.server.request("GET", "/v1/nothing")[0], 404)

    def test_H4_fields(self):
        numbers = {"temperature": (-1, 1e308, "x", [], {}, True), "top_p": (-0.1, 1.1, "x"), "min_p": (-1, 2, [1]),
                   "top_k": (-1, 2 ** 31, 1.5, "x", 1e308, 2 ** 64), "max_tokens": (-1, 0, 2 ** 31, 1.5, "x", 2 ** 63, [1]),
                   "seed": (-2, 2 ** 63, 2 ** 64, 1.5, "x"), "repeat_penalty": (-1, 0, 1e308), "n": (0, -1, 17, 2 ** 40),
                   "stream": (1, "true", []), "stream_options": (1, [], {"include_usage": 1}), "model": (1, [], {}),
                   "stop": (1, "", [""], ["a"] * 17, ["a" * 257], {}, [1]), "tools": ([{"type": "function"}],), "logprobs": (5, "x"),
                   "top_logprobs": (5, -1, "x"), "response_format": (1, {}, {"type": "xml"}), "frequency_penalty": (2.5, -3, "x"),
                   "presence_penalty": (2.5, [1]), "logit_bias": ({"5": 101}, {"x": 1}, {"-1": 1}, [1], [[1]], 7, {"5": "x"}),
                   "functions": ([{"name": "f"}],), "return_progress": (1,), "repeat_last_n": (-1, 5000, "x")}
        for key, values in numbers.items():
            for value in values:
                answer = self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1, key: value})
                self.check_error(answer, 400)
            self.assertEqual(self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1, **({} if key == "max_tokens" else
                                                                                                          {key: None})})[0], 200, key)

    def test_H4_every_number_of_every_path(self):
        values = (-1, 0, 2 ** 31, 1e308, "NaN", "x", None, [], [1], {}, True, 2 ** 63, 2 ** 64, -2 ** 63, 1e-320, -1e308)
        chat = {"messages": HELLO, "max_tokens": 1}
        paths = {
            "/v1/chat/completions": (chat, ("temperature", "top_p", "min_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "n",
                                            "repeat_penalty", "repeat_last_n", "frequency_penalty", "presence_penalty", "top_logprobs")),
            "/v1/completions": ({"prompt": "a", "max_tokens": 1}, ("temperature", "logprobs", "best_of", "n", "max_tokens")),
            "/completion": ({"prompt": "a", "n_predict": 1}, ("n_predict", "n_probs", "temperature", "seed")),
            "/v1/embeddings": ({"input": "a"}, ("dimensions",)),
        }
        for path, (base, keys) in paths.items():
            for key in keys:
                for value in values:
                    # A huge limit is a limit: what it allows ends by itself.
                    asked = {**base, "stop": ["a", "b", "c", "d", "e"], key: value} if "embed" not in path else {**base, key: value}
                    text = json.dumps(asked).replace('"NaN"', "NaN")
                    status, _, body = self.server.request("POST", path, text, JSON)
                    answer = json.loads(body)
                    self.assertIn(status, (200, 400), (path, key, value, answer))
                    if status == 400:
                        self.assertIn(answer["error"]["param"], (None if value == "NaN" else key, key), (path, key, value, answer))
                        self.assertIn(answer["error"]["code"], ("invalid_type", "invalid_value", "invalid_json", "unsupported"))
                    if isinstance(value, (str, list, dict)) and value != "NaN" or value == "NaN":
                        self.assertEqual(status, 400, (path, key, value))
                    if value is None:
                        self.assertEqual(status, 200, (path, key, answer))

    def test_H2_a_thousand_connections_cost_little(self):
        asked = {"messages": HELLO, "max_tokens": 4}
        for _ in range(4):
            self.server.post("/v1/chat/completions", asked)
        before = self.server.resident_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        clients = []
        most = 0
        try:
            for i in range(1000):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", self.server.port))
                clients.append(client)
                if i % 100 == 99:
                    for one in clients:
                        try:
                            one.send(b"GET /health HTTP/1.1\r\nx: " + b"a" * 4000)
                        except OSError:
                            pass
                    most = max(most, self.server.resident_bytes())
            time.sleep(0.5)
            most = max(most, self.server.resident_bytes())
        finally:
            for client in clients:
                client.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(f"H2: 1000 connections, {(most - before) / 2 ** 20:.1f} MiB more")
        self.assertLess(most - before, 16 << 20)

    def test_messages(self):
        for messages in (None, 1, "x", {}, [], [1], [None], [{}], [{"role": "user"}], [{"content": "x"}], [{"role": 1, "content": "x"}],
                         [{"role": "root", "content": "x"}], [{"role": "user", "content": 1}], [{"role": "user", "content": [1]}],
                         [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
                         [{"role": "user", "content": [{"type": "text"}]}], [{"role": "assistant", "content": "x"}],
                         [*HELLO, {"role": "assistant", "content": "x"}], [*HELLO, {"role": "system", "content": "x"}],
                         [{"role": "tool", "content": "x"}], [*HELLO, {"role": "assistant", "content": "x", "tool_calls": 1}],
                         [*HELLO, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}, *HELLO],
                         [*HELLO, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 99999}}]}, *HELLO],
                         [*HELLO, {"role": "assistant", "content": None}, *HELLO], [{"role": "system", "content": "x"}], HELLO * 4097, [{"role": "system", "content": "x" * 20000}, *HELLO]):
            self.check_error(self.server.post("/v1/chat/completions", {"messages": messages}), 400)
        for prompt in (None, 1, {}, [], [-1], [1.5], [2 ** 40], [300], ["a", "b"], [["x"]], [True]):
            self.check_error(self.server.post("/v1/completions", {"prompt": prompt, "max_tokens": 1}), 400)
        self.assertEqual(self.server.post("/v1/completions", {"prompt": "a\0b", "max_tokens": 1})[0], 200)

    def test_H2_what_is_deep_inside_of_a_text(self):
        # Copying a value goes as deep as it is; arguments are JSON within a text.
        deep = "[" * 400000 + "]" * 400000
        for arguments in ('{"a": ' + deep + "}", deep, '{"a": ' * 64 + "1" + "}" * 64 + "x", '{"a": ' * 65 + "1" + "}" * 65):
            turns = [*HELLO, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}, *HELLO]
            self.check_error(self.server.post("/v1/chat/completions", {"messages": turns}), 400, param="messages[1].tool_calls")

    def test_H2_schemas_that_are_too_much(self):
        doubling = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
        doubling["a30"] = {"type": "string"}
        for schema in ({"properties": {"a" * 400000: {}}, "additionalProperties": True}, {"required": ["a" * 400000]},
                       {"$ref": "#/$defs/a0", "$defs": doubling}):
            started = time.monotonic()
            answer = self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 1, "json_schema": schema})
            self.check_error(answer, 400, "invalid_schema", param="json_schema")
            self.assertLess(time.monotonic() - started, WAIT_S)

    def test_H2_slow_and_silent_clients_do_not_stop_the_others(self):
        slow = [socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S) for _ in range(40)]
        for client in slow[:20]:
            client.sendall(b"GET /health HT")
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        # A byte now and then does not put off the deadline of a head.
        started = time.monotonic()
        answer = b""
        slow[0].settimeout(1)
        while not answer and time.monotonic() - started < WAIT_S:
            try:
                slow[0].sendall(b"T")
                answer = slow[0].recv(4096)
            except TimeoutError:
                pass
        self.assertIn(b" 408 ", answer)
        for client in slow:
            client.close()

    def test_a_body_that_never_comes(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S) as client:
            client.sendall(self.server.head("Content-Length: 100", "Content-Type: application/json", method="POST", target="/tokenize") + b"{")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(100), b"")


class Access(WithServer):
    ARGUMENTS = ("-q", "--api-key", "secret-key", "--allow-origin", "https://example.org", "--allow-host", "Box.lan")

    def test_keys(self):
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertEqual(self.server.request("GET", "/")[0], 200)
        for key in (None, "Bearer", "Bearer ", "Bearer wrong", "secret-key", "Basic secret-key", "Bearer secret-keyx", "Bearer secret-ke"):
            for method, path in (("GET", "/v1/models"), ("GET", "/props"), ("GET", "/metrics"), ("POST", "/tokenize")):
                status, _, body = self.server.request(method, path, None, {"Authorization": key} if key else {})
                self.assertEqual(status, 401, (key, path))
                self.assertEqual(json.loads(body)["error"]["code"], "invalid_api_key")
        self.assertEqual(self.server.request("GET", "/v1/models", None, {"Authorization": "Bearer secret-key"})[0], 200)

    def test_an_allowed_page(self):
        page = {"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}
        status, headers, _ = self.server.request("OPTIONS", "/v1/chat/completions", None, page)
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (204, "https://example.org"))
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        self.assertEqual(self.server.request("GET", "/v1/models", None, page)[0], 401)
        self.assertEqual(self.server.raw(self.server.head(host=f"box.lan:{self.server.port}"))[0], 200)

    def test_a_body_needs_a_key_to_be_read(self):
        head = self.server.head("Content-Length: 100", "Content-Type: application/json", method="POST", target="/tokenize")
        self.assertEqual(self.server.raw(head)[0], 401)

    def test_a_page_from_another_machine_gets_its_token(self):
        # Browsers say Sec-Fetch-Site to addresses of their own machine, or over TLS.
        for host in (f"box.lan:{self.server.port}", f"BOX.LAN:{self.server.port}"):
            cookie = re.search(rb"Set-Cookie: ([^;]*);", self.server.raw(self.server.head(host=host, target="/"))[1])[1].decode()
            lines = (f"Origin: http://{host.lower()}", "Authorization: Bearer secret-key", "Content-Type: application/json", "Content-Length: 15")
            body = b'{"content":"a"}'
            for more, status in (((), 403), ((f"Cookie: {cookie}",), 200)):
                head = self.server.head(*lines, *more, host=host, method="POST", target="/tokenize")
                self.assertEqual(self.server.raw(head + body)[0], status, host)

    def test_other_machines_need_a_key(self):
        _, err = lbm("serve", "-m", "x", "--host", "0.0.0.0", code=USAGE)
        self.assertIn("--api-key", err)


if __name__ == "__main__":
    unittest.main()
