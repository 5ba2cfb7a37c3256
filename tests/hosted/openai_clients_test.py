#!/usr/bin/env python3
"""The official Python client of the OpenAI interface, as it is, against `lbm serve`.

    LBM=build/lbm python3 tests/hosted/openai_clients_test.py

The package `openai` (tests/hosted/requirements.txt) is looked for beside the binary, where the build puts it, and where Python has it.
"""

import json
import os
import sys
import unittest

from lbm_process import LBM
from serve_process import HELLO, Server, WithServer

sys.path.append(os.path.join(os.path.dirname(LBM), "python"))
try:
    import openai
except ImportError:
    openai = None

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"],
                                          "additionalProperties": False}}}


@unittest.skipIf(openai is None, "skipped: the Python package openai is not installed")
class OfficialClient(WithServer):
    ARGUMENTS = ("-q", "--slots", "2")
    CONTEXT = 2048

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai.OpenAI(base_url=f"http://{cls.server.host}/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    def chat(self, **more):
        return self.client.chat.completions.create(**{"model": "tiny", "messages": HELLO, "max_tokens": 8, "temperature": 0, **more})

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["tiny"])

    def test_a_chat_streams(self):
        whole = self.chat()
        self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertEqual(whole.usage.completion_tokens, 8)
        pieces = list(self.chat(stream=True, stream_options={"include_usage": True}))
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(pieces[-1].usage.completion_tokens, 8)
        self.assertGreater(len(pieces), 3)

    def test_leaving_a_stream_frees_the_slot(self):
        with self.chat(stream=True, max_tokens=2000) as stream:
            next(iter(stream))
        self.assertEqual(self.chat().usage.completion_tokens, 8)

    def test_completions(self):
        whole = self.client.completions.create(model="tiny", prompt="banana", max_tokens=6, temperature=0, logprobs=2)
        self.assertEqual(len(whole.choices[0].logprobs.tokens), 6)
        pieces = self.client.completions.create(model="tiny", prompt="banana", max_tokens=6, temperature=0, stream=True)
        self.assertEqual("".join(piece.choices[0].text for piece in pieces), whole.choices[0].text)

    def test_logprobs_and_several_answers(self):
        answer = self.chat(logprobs=True, top_logprobs=3, n=2, temperature=1, seed=4)
        self.assertEqual([len(choice.logprobs.content) for choice in answer.choices], [8, 8])
        self.assertEqual(len(answer.choices[0].logprobs.content[0].top_logprobs), 3)

    def test_embeddings(self):
        # The client asks for base64 by itself, and decodes it.
        vectors = [entry.embedding for entry in self.client.embeddings.create(model="tiny", input=["banana", "ban"]).data]
        plain = self.client.embeddings.create(model="tiny", input="banana", encoding_format="float").data[0].embedding
        self.assertEqual(len(vectors[0]), len(plain))
        self.assertLess(max(abs(a - b) for a, b in zip(vectors[0], plain)), 1e-6)

    def test_errors_are_the_client_s_own(self):
        for more, param in (({"temperature": -1}, "temperature"), ({"n": 0}, "n"), ({"messages": []}, "messages"), ({"stop": [""]}, "stop")):
            with self.assertRaises(openai.BadRequestError) as caught:
                self.chat(**more)
            self.assertEqual(caught.exception.param, param)
            self.assertIn(param, caught.exception.message)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "banana" * 4000}], stream=True)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.NotFoundError):
            self.client.images.generate(model="tiny", prompt="x")

    def test_tools(self):
        answer = self.chat(tools=[WEATHER], tool_choice="required", max_tokens=100)
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        call, = answer.choices[0].message.tool_calls
        self.assertIn(json.loads(call.function.arguments)["city"], ("Paris", "Rome"))
        turns = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        self.assertEqual(self.chat(messages=turns, tools=[WEATHER], max_tokens=3).usage.completion_tokens, 3)
        streamed = [piece.choices[0].delta.tool_calls for piece in self.chat(tools=[WEATHER], tool_choice="required", max_tokens=100,
                                                                             stream=True)]
        arguments = "".join(call.function.arguments or "" for calls in streamed for call in calls or [])
        self.assertEqual(arguments, call.function.arguments)

    def test_structured_output(self):
        from pydantic import BaseModel

        class Answer(BaseModel):
            ok: bool
            sure: bool

        parsed = self.client.chat.completions.parse(model="tiny", messages=HELLO, temperature=1, max_tokens=100, response_format=Answer)
        self.assertIsInstance(parsed.choices[0].message.parsed, Answer)

    def test_keys_and_full_queues(self):
        server = Server(self.model, "-q", "--api-key", "secret", "--queue", "0", "-c", "2048")
        try:
            with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="wrong", max_retries=0) as client:
                with self.assertRaises(openai.AuthenticationError):
                    client.models.list()
            with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="secret", max_retries=0) as client:
                asked = {"model": "tiny", "messages": HELLO, "temperature": 0}
                with client.chat.completions.create(**asked, stream=True) as stream:
                    next(iter(stream))
                    with self.assertRaises(openai.RateLimitError):
                        client.chat.completions.create(**asked, max_tokens=1)
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main()
