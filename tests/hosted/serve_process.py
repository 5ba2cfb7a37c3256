"""A process of lbm serve under test: the tiny model it serves, requests, and the events of a stream."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import tiny_llama
from lbm_process import ENVIRONMENT, LBM

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

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith("VmRSS:")).split()[1]) * 1024

    def metric(self, name):
        _, _, text = self.request("GET", "/metrics")
        return float([line.split()[1] for line in text.decode().splitlines() if line.startswith(f"lbm_{name} ")][0])


def events(body):
    """The objects of a stream; the last event must be [DONE]."""
    lines = [line for line in body.decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines), lines
    assert lines[-1] == "data: [DONE]", lines[-1]
    return [json.loads(line[6:]) for line in lines[:-1]]


def write_model(folder, context, template=TEMPLATE):
    model = tiny_llama.Model(tiny_llama.Shape(context=context))
    # The end token has the logit 0, which is never the largest of 300: greedy answers do not end by themselves.
    dim = model.shape.dim
    model.weights["output.weight"][2 * dim:3 * dim] = [0.0] * dim
    keys = {**tiny_llama.gguf_keys(model.shape), "tokenizer.chat_template": template}
    path = os.path.join(folder, "tiny.gguf")
    with open(path, "wb") as file:
        file.write(tiny_llama.gguf_file(keys, tiny_llama.gguf_tensors(model)))
    return path


class WithServer(unittest.TestCase):
    ARGUMENTS = ("-q",)
    CONTEXT = 512
    TEMPLATE = TEMPLATE

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
        for name in ("a.mjs", "a.wasm", "a.webmanifest", "a.json", "a.svg", "a.wgsl"):
            with open(os.path.join(web, "assets", name), "wb") as file:
                file.write(b"x")
        with open(os.path.join(web, "assets", "big.bin"), "wb") as file:
            file.write(bytes(range(256)) * 1024)
        with open(os.path.join(web, "assets", "huge.bin"), "wb") as file:
            file.truncate(96 << 20)
        for name in ("hard.txt", "assets/hard.txt"):
            os.link(os.path.join(cls.folder.name, "secret.txt"), os.path.join(web, name))
        os.symlink(os.path.join(cls.folder.name, "secret.txt"), os.path.join(web, "link.txt"))
        os.symlink(cls.folder.name, os.path.join(web, "up"))
        os.mkfifo(os.path.join(web, "pipe"))
        cls.model = write_model(cls.folder.name, cls.CONTEXT, cls.TEMPLATE)
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
