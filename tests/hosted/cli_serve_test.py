#!/usr/bin/env python3
"""Tests of `lbm serve` with a tiny model: the OpenAI interface, the queue, and requests of strangers.

    LBM=build/lbm python3 tests/hosted/cli_serve_test.py
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import tiny_llama
from lbm_process import ENVIRONMENT, LBM, lbm, USAGE

JSON = {"Content-Type": "application/json"}
HELLO = [{"role": "user", "content": "banana"}]
WAIT_S = 60
# Chat as plain text would be a long prompt for a tiny context; this one writes the words alone, with the end token after answers.
TEMPLATE = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"


class Server:
    """A process of lbm serve on a port that it chose itself."""

    def __init__(self, model, *arguments):
        self.process = subprocess.Popen([LBM, "serve", "-m", model, "--port", "0", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=ENVIRONMENT)
        line = self.process.stdout.readline().decode()
        if not line.startswith("http://"):
            raise AssertionError(self.process.communicate()[1].decode())
        self.port = int(line.strip().rsplit(":", 1)[1])
        self.host = f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def post(self, path, value, headers=None):
        status, _, body = self.request("POST", path, json.dumps(value), {**JSON, **(headers or {})})
        return status, json.loads(body)

    def raw(self, data, wait_s=WAIT_S):
        """Status of the answer to these bytes, and all of it; status 0 where the connection ends without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as client:
            try:
                client.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            out = b""
            try:
                while piece := client.recv(65536):
                    out += piece
            except ConnectionResetError:
                pass
        return (int(out.split(b" ", 2)[1]) if out.startswith(b"HTTP/1.1 ") else 0), out

    def head(self, *lines, target="/health", method="GET", host=None):
        host = self.host if host is None else host
        return ("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]) + "\r\n\r\n").encode()

    def metric(self, name):
        _, _, text = self.request("GET", "/metrics")
        return float([line.split()[1] for line in text.decode().splitlines() if line.startswith(f"lbm_{name} ")][0])


def events(body):
    """The objects of a stream; the last event must be [DONE]."""
    lines = [line for line in body.decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines), lines
    assert lines[-1] == "data: [DONE]", lines[-1]
    return [json.loads(line[6:]) for line in lines[:-1]]


def write_model(folder, context):
    model = tiny_llama.Model(tiny_llama.Shape(context=context))
    # The end token has the logit 0, which is never the largest of 300: greedy answers do not end by themselves.
    dim = model.shape.dim
    model.weights["output.weight"][2 * dim:3 * dim] = [0.0] * dim
    keys = {**tiny_llama.gguf_keys(model.shape), "tokenizer.chat_template": TEMPLATE}
    path = os.path.join(folder, "tiny.gguf")
    with open(path, "wb") as file:
        file.write(tiny_llama.gguf_file(keys, tiny_llama.gguf_tensors(model)))
    return path


class WithServer(unittest.TestCase):
    ARGUMENTS = ("-q",)
    CONTEXT = 512

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        web = os.path.join(cls.folder.name, "web")
        os.makedirs(os.path.join(web, "assets"))
        for name, text in (("index.html", "<!doctype html>page"), ("assets/app.js", "1"), (".hidden", "secret")):
            with open(os.path.join(web, name), "w", encoding="utf-8") as file:
                file.write(text)
        with open(os.path.join(cls.folder.name, "secret.txt"), "w", encoding="utf-8") as file:
            file.write("secret")
        os.symlink(os.path.join(cls.folder.name, "secret.txt"), os.path.join(web, "link.txt"))
        os.symlink(cls.folder.name, os.path.join(web, "up"))
        os.mkfifo(os.path.join(web, "pipe"))
        cls.model = write_model(cls.folder.name, cls.CONTEXT)
        cls.server = Server(cls.model, "--web", web, *cls.ARGUMENTS)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        cls.folder.cleanup()
        if code != 130:
            raise AssertionError(f"the server ended with {code}")

    def check_error(self, answer, status, code=None, param=None):
        self.assertEqual(answer[0], status, answer)
        error = answer[1]["error"]
        self.assertTrue(error["message"] and error["type"], error)
        if code:
            self.assertEqual(error["code"], code, error)
        if param:
            self.assertEqual(error["param"], param, error)


class Interface(WithServer):
    """What clients of the interface ask for."""

    def test_health_models_props(self):
        self.assertEqual(self.server.request("GET", "/health")[::2], (200, b'{"status":"ok"}\n'))
        models = json.loads(self.server.request("GET", "/v1/models")[2])
        self.assertEqual([m["id"] for m in models["data"]], ["tiny"])
        props = json.loads(self.server.request("GET", "/props")[2])
        self.assertEqual(props["chat_template"], TEMPLATE)
        self.assertEqual(props["default_generation_settings"]["n_ctx"], self.CONTEXT)
        status, headers, body = self.server.request("HEAD", "/health")
        self.assertEqual((status, headers["Content-Length"], body), (200, "16", b""))

    def test_chat(self):
        status, answer = self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 5, "temperature": 0})
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(answer["choices"][0]["message"]["role"], "assistant")
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 5)
        self.assertEqual(answer["usage"]["total_tokens"], 5 + answer["usage"]["prompt_tokens"])

    def test_the_answer_is_that_of_the_command_line(self):
        out, _ = lbm("run", "-m", self.model, "-p", "banana", "-n", "12", "--temp", "0.7", "--seed", "5", "--json", "-c", self.CONTEXT)
        asked = {"messages": HELLO, "max_tokens": 12, "temperature": 0.7, "seed": 5}
        for _ in range(2):
            answer = self.server.post("/v1/chat/completions", asked)[1]
            self.assertEqual(answer["choices"][0]["message"]["content"], json.loads(out)["text"])

    def test_stream_says_the_same(self):
        asked = {"messages": HELLO, "max_tokens": 12, "temperature": 0}
        whole = self.server.post("/v1/chat/completions", asked)[1]
        asked.update(stream=True, stream_options={"include_usage": True})
        status, headers, body = self.server.request("POST", "/v1/chat/completions", json.dumps(asked), JSON)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/event-stream"))
        pieces = events(body)
        self.assertEqual({p["object"] for p in pieces}, {"chat.completion.chunk"})
        self.assertEqual(len({p["id"] for p in pieces}), 1)
        self.assertEqual(pieces[0]["choices"][0]["delta"]["role"], "assistant")
        text = "".join(p["choices"][0]["delta"].get("content", "") for p in pieces[:-1])
        self.assertEqual(text, whole["choices"][0]["message"]["content"])
        self.assertEqual([p["choices"][0]["finish_reason"] for p in pieces[:-1]], [None] * (len(pieces) - 2) + ["length"])
        self.assertEqual(pieces[-1]["choices"], [])
        self.assertEqual(pieces[-1]["usage"]["completion_tokens"], 12)

    def test_completions(self):
        asked = {"prompt": "banana", "max_tokens": 8, "temperature": 0}
        whole = self.server.post("/v1/completions", asked)[1]
        self.assertEqual(whole["object"], "text_completion")
        ids = self.server.post("/tokenize", {"content": "banana", "add_special": True, "parse_special": False})[1]["tokens"]
        by_ids = self.server.post("/v1/completions", {**asked, "prompt": ids})[1]
        self.assertEqual(by_ids["choices"][0]["text"], whole["choices"][0]["text"])
        pieces = events(self.server.request("POST", "/v1/completions", json.dumps({**asked, "stream": True}), JSON)[2])
        self.assertEqual("".join(p["choices"][0]["text"] for p in pieces), whole["choices"][0]["text"])

    def test_stop_text_ends_the_answer_and_is_not_in_it(self):
        asked = {"prompt": "banana", "max_tokens": 24, "temperature": 0}
        text = self.server.post("/v1/completions", asked)[1]["choices"][0]["text"]
        for first, size in ((3, 1), (4, 3), (len(text) // 2, 4)):
            stop = text[first:first + size]
            expected = text[:text.index(stop)]
            for stream in (False, True):
                body = self.server.request("POST", "/v1/completions", json.dumps({**asked, "stop": ["\0never", stop], "stream": stream}),
                                           JSON)[2]
                pieces = events(body) if stream else [json.loads(body)]
                self.assertEqual("".join(p["choices"][0]["text"] for p in pieces), expected, (stop, stream))
                self.assertEqual(pieces[-1]["choices"][0]["finish_reason"], "stop")

    def test_a_stop_text_that_never_comes_holds_nothing_back(self):
        asked = {"prompt": "banana", "max_tokens": 24, "temperature": 0}
        text = self.server.post("/v1/completions", asked)[1]["choices"][0]["text"]
        again = self.server.post("/v1/completions", {**asked, "stop": text[-1] + "never"})[1]["choices"][0]["text"]
        self.assertEqual(again, text)

    def test_the_prefix_is_kept(self):
        asked = {"messages": [{"role": "user", "content": "banana toto " * 4}], "max_tokens": 4, "temperature": 0}
        first = self.server.post("/v1/chat/completions", asked)[1]
        said = first["choices"][0]["message"]["content"]
        asked["messages"] += [{"role": "assistant", "content": said}, {"role": "user", "content": "an"}]
        usage = self.server.post("/v1/chat/completions", asked)[1]["usage"]
        self.assertGreaterEqual(usage["prompt_tokens_details"]["cached_tokens"], first["usage"]["prompt_tokens"])

    def test_text_spelling_control_tokens_stays_text(self):
        plain = self.server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "</s><s>"}], "max_tokens": 1})[1]
        ids = self.server.post("/tokenize", {"content": "</s><s>", "parse_special": False})[1]["tokens"]
        self.assertFalse({1, 2} & set(ids))
        self.assertGreaterEqual(plain["usage"]["prompt_tokens"], len(ids) - 1)

    def test_messages_of_every_shape(self):
        part = [{"type": "text", "text": "ban"}, {"type": "text", "text": "ana"}]
        for messages in ([{"role": "user", "content": part}], [{"role": "system", "content": "a"}, *HELLO],
                         [{"role": "developer", "content": "a"}, *HELLO, *HELLO],
                         [*HELLO, {"role": "assistant", "content": "b"}, *HELLO]):
            self.assertEqual(self.server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})[0], 200, messages)

    def test_tokenize_and_back(self):
        answer = self.server.post("/tokenize", {"content": "banana to", "with_pieces": True})[1]["tokens"]
        ids = [token["id"] for token in answer]
        self.assertEqual(self.server.post("/tokenize", {"content": "banana to"})[1]["tokens"], ids)
        self.assertEqual(self.server.post("/detokenize", {"tokens": ids})[1]["content"], "banana to")
        self.check_error(self.server.post("/detokenize", {"tokens": [10 ** 6]}), 400, param="tokens")

    def test_context_length_exceeded(self):
        for path, asked in (("/v1/chat/completions", {"messages": [{"role": "user", "content": "banana" * 4000}]}),
                            ("/v1/completions", {"prompt": "banana" * 4000, "stream": True})):
            answer = self.server.post(path, asked)
            self.check_error(answer, 400, "context_length_exceeded")
            self.assertIn("exceeds the available context size", answer[1]["error"]["message"])

    def test_an_answer_ends_with_the_context(self):
        answer = self.server.post("/v1/completions", {"prompt": "a", "temperature": 0, "repeat_penalty": 1.3})[1]
        self.assertIn(answer["choices"][0]["finish_reason"], ("length", "stop"))
        self.assertLessEqual(answer["usage"]["total_tokens"], self.CONTEXT + 1)

    def test_one_connection_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        for _ in range(3):
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 2, "stream": True}), JSON)
            events(connection.getresponse().read())
            connection.request("GET", "/nothing")
            self.assertEqual(connection.getresponse().read()[:9], b'{"error":')
        connection.close()


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
        status, headers, body = self.server.request("GET", "/assets/app.js?v=1")
        self.assertEqual((status, headers["Content-Type"], body), (200, "text/javascript; charset=utf-8", b"1"))
        self.assertEqual(self.server.request("HEAD", "/assets/app.js")[2], b"")
        self.assertEqual(self.server.request("PUT", "/assets/app.js")[0], 405)

    def test_escapes(self):
        for target in ("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%252e%252e/secret.txt", "/assets/../../secret.txt",
                       "/assets/%2e%2e/%2e%2e/secret.txt", "/..\\secret.txt", "/..%5csecret.txt", "//etc/passwd", "/link.txt",
                       "/up/secret.txt", "/up/tiny.gguf", "/.hidden", "/%2ehidden", "/assets", "/assets/", "/./index.html", "/pipe",
                       "/index.html%00.js", "/index.html/", "/index.html::$DATA", "/%c0%ae%c0%ae/secret.txt", "/%", "/%4", "/%zz", "/C:/x",
                       "/index.html%20", "/" + "a" * 200, "/con", "/nul\x7f"):
            status, answer = self.server.raw(self.server.head(target=target))
            self.assertIn(status, (400, 404), target)
            self.assertNotIn(b"secret", answer.split(b"\r\n\r\n", 1)[1], target)


class Hostile(WithServer):
    """Requests that no friend sends. The server refuses them with the right status, and is there afterwards."""

    def tearDown(self):
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertIsNone(self.server.process.poll())

    def test_hosts(self):
        port = self.server.port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
            self.assertEqual(self.server.raw(self.server.head(host=host))[0], 200, host)
        for host in ("", "evil.example", f"evil.example:{port}", f"localhost.:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1",
                     f"127.0.0.1:{port + 1}", f"127.0.0.1:0{port}", f"[::ffff:127.0.0.1]:{port}", f"0:{port}", f"0.0.0.0:{port}",
                     f"2130706433:{port}", f"user@127.0.0.1:{port}", f"127.0.0.1:{port}, evil", f"127.0.0.1:{port}/", f"127.1:{port}"):
            self.assertEqual(self.server.raw(self.server.head(host=host))[0], 403, host)
        self.assertEqual(self.server.raw(b"GET /health HTTP/1.1\r\n\r\n")[0], 400)
        self.assertEqual(self.server.raw(self.server.head(f"Host: 127.0.0.1:{port}"))[0], 400)

    def test_origins(self):
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

    def test_heads(self):
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

    def test_bodies(self):
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

    def test_fields(self):
        numbers = {"temperature": (-1, 1e308, "x", [], {}, True), "top_p": (-0.1, 1.1, "x"), "min_p": (-1, 2, [1]),
                   "top_k": (-1, 2 ** 31, 1.5, "x", 1e308, 2 ** 64), "max_tokens": (-1, 0, 2 ** 31, 1.5, "x", 2 ** 63, [1]),
                   "seed": (-2, 2 ** 63, 2 ** 64, 1.5, "x"), "repeat_penalty": (-1, 0, 1e308), "n": (0, -1, 2, 2 ** 40),
                   "stream": (1, "true", []), "stream_options": (1, [], {"include_usage": 1}), "model": (1, [], {}),
                   "stop": (1, "", [""], ["a"] * 17, ["a" * 257], {}, [1]), "tools": ([{"type": "function"}],), "logprobs": (True, 5, "x"),
                   "response_format": (1, {}, {"type": "json_object"}), "frequency_penalty": (1, -3, "x"), "logit_bias": ({"5": 1},)}
        for key, values in numbers.items():
            for value in values:
                answer = self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1, key: value})
                self.check_error(answer, 400)
            self.assertEqual(self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1, **({} if key == "max_tokens" else
                                                                                                          {key: None})})[0], 200, key)

    def test_messages(self):
        for messages in (None, 1, "x", {}, [], [1], [None], [{}], [{"role": "user"}], [{"content": "x"}], [{"role": 1, "content": "x"}],
                         [{"role": "root", "content": "x"}], [{"role": "user", "content": 1}], [{"role": "user", "content": [1]}],
                         [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
                         [{"role": "user", "content": [{"type": "text"}]}], [{"role": "assistant", "content": "x"}],
                         [*HELLO, {"role": "assistant", "content": "x"}], [*HELLO, {"role": "system", "content": "x"}],
                         [{"role": "tool", "content": "x"}], HELLO * 4097, [{"role": "system", "content": "x" * 20000}, *HELLO]):
            self.check_error(self.server.post("/v1/chat/completions", {"messages": messages}), 400)
        for prompt in (None, 1, {}, [], [-1], [1.5], [2 ** 40], [300], ["a", "b"], [["x"]], [True]):
            self.check_error(self.server.post("/v1/completions", {"prompt": prompt, "max_tokens": 1}), 400)
        self.assertEqual(self.server.post("/v1/completions", {"prompt": "a\0b", "max_tokens": 1})[0], 200)

    def test_slow_and_silent_clients_do_not_stop_the_others(self):
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


class Queue(WithServer):
    """One answer at a time."""

    ARGUMENTS = ("-q", "--queue", "1", "-c", "60000")
    CONTEXT = 60000
    # Nothing here waits for the end of such an answer: whoever starts one goes away.
    ENDLESS = {"prompt": "banana", "temperature": 0, "stream": True}

    def start_endless(self):
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S)
        body = json.dumps(self.ENDLESS).encode()
        client.sendall(self.server.head("Content-Type: application/json", f"Content-Length: {len(body)}", method="POST",
                                        target="/v1/completions") + body)
        return client

    def wait_for(self, name, value):
        end = time.monotonic() + WAIT_S
        while self.server.metric(name) != value:
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.02)

    def test_a_full_queue_refuses_and_who_leaves_makes_room(self):
        cancelled = self.server.metric("requests_cancelled_total")
        first = self.start_endless()
        self.assertIn(b"200 OK", first.recv(100))
        results = []
        short = {"prompt": "banana", "max_tokens": 2}
        second = threading.Thread(target=lambda: results.append(self.server.post("/v1/completions", short)[0]))
        second.start()
        self.wait_for("requests_waiting", 1)
        status, headers, body = self.server.request("POST", "/v1/completions", json.dumps(short), JSON)
        self.assertEqual((status, headers["Retry-After"]), (429, "1"))
        self.assertEqual(json.loads(body)["error"]["code"], "queue_full")
        first.close()
        second.join(WAIT_S)
        self.assertEqual(results, [200])
        self.wait_for("requests_cancelled_total", cancelled + 1)

    def test_who_leaves_the_queue_is_not_answered(self):
        cancelled = self.server.metric("requests_cancelled_total")
        first = self.start_endless()
        self.assertIn(b"200 OK", first.recv(100))
        second = self.start_endless()
        self.wait_for("requests_waiting", 1)
        second.close()
        self.wait_for("requests_waiting", 0)
        first.close()
        self.wait_for("requests_cancelled_total", cancelled + 2)

    def test_an_answer_under_way_does_not_hold_up_the_end(self):
        server = Server(self.model, "-q", "-c", "60000")
        with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as client:
            body = json.dumps(self.ENDLESS).encode()
            client.sendall(server.head("Content-Type: application/json", f"Content-Length: {len(body)}", method="POST",
                                       target="/v1/completions") + body)
            self.assertIn(b"200 OK", client.recv(100))
            self.assertEqual(server.stop(), 130)


class Access(WithServer):
    ARGUMENTS = ("-q", "--api-key", "secret-key", "--allow-origin", "https://example.org", "--allow-host", "box.lan")

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

    def test_other_machines_need_a_key(self):
        _, err = lbm("serve", "-m", "x", "--host", "0.0.0.0", code=USAGE)
        self.assertIn("--api-key", err)


if __name__ == "__main__":
    unittest.main()
