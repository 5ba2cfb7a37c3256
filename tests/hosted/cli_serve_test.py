#!/usr/bin/env python3
"""Tests of `lbm serve` with a tiny model: the OpenAI interface, slots and the queue.

    LBM=build/lbm python3 tests/hosted/cli_serve_test.py
"""

import http.client
import json
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from lbm_process import default_model, ENVIRONMENT, LBM, lbm, MEMORY, MODEL
from serve_process import HELLO, JSON, Server, TEMPLATE, WAIT_S, WithServer, events


class Interface(WithServer):
    """What clients of the interface ask for."""

    def test_health_models_props(self):
        self.assertEqual(self.server.request("GET", "/health")[::2], (200, b'{"status":"ok"}\n'))
        models = json.loads(self.server.request("GET", "/v1/models")[2])
        self.assertEqual([m["id"] for m in models["data"]], ["tiny"])
        offered = json.loads(self.server.request("GET", "/models.json")[2])["models"]
        self.assertEqual([m["name"] for m in offered], ["tiny.gguf"])
        status, headers, _ = self.server.request("HEAD", "/" + offered[0]["address"])
        self.assertEqual((status, headers["Content-Length"]), (200, str(offered[0]["bytes"])))
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

    def test_what_was_let_in_is_not_refused_half_way(self):
        for path, asked in (("/v1/completions", {"prompt": "banana", "n": 3, "max_tokens": 400}),
                            ("/v1/embeddings", {"input": ["banana " * 300] * 8})):
            results = []
            first = threading.Thread(target=lambda: results.append(self.server.post(path, asked)))
            first.start()
            while first.is_alive():  # somebody waits all the time
                self.server.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 2}), JSON)
            first.join()
            self.assertEqual(results[0][0], 200, results)

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


class Slots(WithServer):
    """Several conversations side by side."""

    ARGUMENTS = ("-q", "--slots", "2", "-c", "60000")
    CONTEXT = 60000

    def chat(self, messages, **more):
        status, answer = self.server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 6, "temperature": 0, **more})
        self.assertEqual(status, 200, answer)
        return answer

    def stream(self, asked):
        client = socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S)
        body = json.dumps(asked).encode()
        client.sendall(self.server.head("Content-Type: application/json", f"Content-Length: {len(body)}", method="POST",
                                        target="/v1/completions") + body)
        return client

    def wait_until(self, name, value):
        end = time.monotonic() + WAIT_S
        while self.server.metric(name) != value:
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.01)

    def test_two_conversations_keep_what_they_evaluated(self):
        talks = [[{"role": "user", "content": word * 8}] for word in ("banana ", "toto na ")]
        for turn in range(3):
            for talk in talks:
                answer = self.chat(talk)
                kept = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
                if turn:
                    self.assertGreaterEqual(kept, self.before[id(talk)], (turn, talk[0]))
                else:
                    self.before = getattr(self, "before", {})
                self.before[id(talk)] = answer["usage"]["prompt_tokens"]
                talk += [{"role": "assistant", "content": answer["choices"][0]["message"]["content"]}, {"role": "user", "content": "an"}]

    def test_a_long_answer_holds_nobody_up_and_changes_nothing(self):
        alone = self.chat([{"role": "user", "content": "toto"}], max_tokens=40)["choices"][0]["message"]["content"]
        with self.stream({"prompt": "banana", "temperature": 0, "stream": True}) as endless:
            self.assertIn(b"200 OK", endless.recv(100))
            beside = self.chat([{"role": "user", "content": "toto"}], max_tokens=40)["choices"][0]["message"]["content"]
            self.assertEqual(self.server.metric("slots_busy"), 1)
        self.assertEqual(beside, alone)
        self.wait_until("slots_busy", 0)

    def test_who_waits_for_a_slot_hears_that_the_server_lives(self):
        server = Server(self.model, "-q", "-c", "60000", "--sse-ping", "1")
        try:
            asked = json.dumps({"prompt": "banana", "temperature": 0, "stream": True}).encode()
            head = server.head("Content-Type: application/json", f"Content-Length: {len(asked)}", method="POST", target="/v1/completions")
            with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as first, \
                 socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as second:
                first.sendall(head + asked)
                self.assertIn(b"200 OK", first.recv(100))
                second.sendall(head + asked)
                heard = b""
                while b"\r\n: still at work\n\n" not in heard:
                    piece = second.recv(4096)
                    self.assertTrue(piece, heard)
                    heard += piece
                self.assertIn(b"200 OK", heard)
                self.assertNotIn(b"data:", heard)
        finally:
            server.stop()

    def test_H4_a_client_that_leaves_at_any_event_frees_its_slot(self):
        for n_event in range(13):
            cancelled = self.server.metric("requests_cancelled_total")
            with self.stream({"prompt": "banana", "temperature": 0, "stream": True}) as client:
                heard = b""
                while heard.count(b"data:") < n_event:
                    heard += client.recv(256)
            self.wait_until("requests_cancelled_total", cancelled + 1)
            self.wait_until("slots_busy", 0)
        self.assertEqual(self.chat([{"role": "user", "content": "toto"}])["usage"]["completion_tokens"], 6)

    def test_more_requests_than_slots(self):
        alone = [self.chat([{"role": "user", "content": word}])["choices"][0]["message"]["content"] for word in "abcdefgh"]
        got = [None] * 8
        def ask(i):
            got[i] = self.chat([{"role": "user", "content": "abcdefgh"[i]}])["choices"][0]["message"]["content"]
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        self.assertEqual(got, alone)

    def test_memory_is_planned(self):
        props = json.loads(self.server.request("GET", "/props")[2])
        self.assertEqual(props["total_slots"], 2)
        self.assertGreater(props["slot_bytes"], 0)
        _, err = lbm("serve", "-m", self.model, "--port", "0", "-c", "60000", "--slots", "64", code=MEMORY, limit_bytes=3 << 30)
        self.assertIn("--slots", err)


class Loading(unittest.TestCase):
    """The port opens first."""

    def test_health_says_503_until_the_model_is_there(self):
        model = default_model()
        seen = []
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            process = subprocess.Popen([LBM, "serve", "-q", "-m", model, "--port", str(port), "-c", "256"], stdout=subprocess.PIPE,
                                       env=ENVIRONMENT)
            try:
                while True:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
                    try:
                        connection.request("GET", "/health")
                        answer = connection.getresponse()
                        seen.append((answer.status, json.loads(answer.read())))
                    except ConnectionRefusedError:
                        self.assertIsNone(process.poll())
                    finally:
                        connection.close()
                    if seen and seen[-1][0] == 200:
                        break
            finally:
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(WAIT_S), 130)
                process.stdout.close()
            if len(seen) > 1:
                break
            seen = []
        self.assertGreater(len(seen), 1, "the model was there at once, five times")
        loading = (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
        self.assertEqual(seen, [loading] * (len(seen) - 1) + [(200, {"status": "ok"})])

    def test_a_model_that_does_not_load_ends_the_command(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(b"GGUF" + bytes(100))
            file.flush()
            out, _ = lbm("serve", "-m", file.name, "--port", "0", code=MODEL)
        self.assertEqual(out, b"")


if __name__ == "__main__":
    unittest.main()
