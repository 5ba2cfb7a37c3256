#!/usr/bin/env python3
"""Tests of what `lbm serve` answers with: probabilities, several answers, penalties, embeddings, calls of tools, constraints, prompts.

    LBM=build/lbm python3 tests/hosted/cli_serve_answers_test.py
"""

import array
import base64
import json
import math
import tempfile
import unittest

from lbm_process import default_model, floats, lbm
from serve_process import HELLO, JSON, Server, WithServer, events

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}, "days": {"enum": [1, 2]}},
                   "required": ["city", "days"], "additionalProperties": False}}}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}


def log_softmax(logits):
    largest = max(logits)
    total = largest + math.log(math.fsum(math.exp(x - largest) for x in logits))
    return [x - total for x in logits]


class Probabilities(WithServer):
    """logprobs against a softmax in f64 of the logits that `lbm logits` gives."""

    def logits_after(self, ids):
        with tempfile.NamedTemporaryFile() as file:
            lbm("logits", "-m", self.model, "--tokens", ",".join(map(str, ids)), "-c", self.CONTEXT, "-o", file.name)
            values = floats(file.name)
        n_vocab = len(values) // len(ids)
        return list(values[-n_vocab:])

    def ids(self, text):
        return self.server.post("/tokenize", {"content": text, "add_special": True, "parse_special": False})[1]["tokens"]

    def test_chat_logprobs_are_those_of_the_logits(self):
        asked = {"messages": HELLO, "max_tokens": 6, "temperature": 0.7, "seed": 3, "logprobs": True, "top_logprobs": 5}
        choice = self.server.post(CHAT, asked)[1]["choices"][0]
        content = choice["logprobs"]["content"]
        self.assertEqual(len(content), 6)
        prompt = self.server.post("/apply-template", {"messages": HELLO})[1]["prompt"]
        ids = self.server.post("/tokenize", {"content": prompt, "add_special": False, "parse_special": False})[1]["tokens"]
        expected = log_softmax(self.logits_after(ids))
        self.assertAlmostEqual(max(expected), content[0]["top_logprobs"][0]["logprob"], delta=1e-5)
        for token in content:
            tops = [top["logprob"] for top in token["top_logprobs"]]
            self.assertEqual(len(tops), 5)
            self.assertEqual(tops, sorted(tops, reverse=True))
            self.assertLessEqual(token["logprob"], tops[0])
            self.assertEqual(bytes(token["bytes"]).decode(errors="replace"), token["token"])

    def test_completion_logprobs_follow_the_answer(self):
        ids = self.ids("banana")
        asked = {"prompt": ids, "max_tokens": 5, "temperature": 0, "logprobs": 3}
        logprobs = self.server.post(TEXT, asked)[1]["choices"][0]["logprobs"]
        self.assertEqual(len(logprobs["tokens"]), 5)
        for i, given in enumerate(logprobs["token_logprobs"]):
            expected = log_softmax(self.logits_after(ids))
            best = max(range(len(expected)), key=lambda k: expected[k])
            self.assertAlmostEqual(given, expected[best], delta=1e-5, msg=f"token {i}")
            self.assertAlmostEqual(given, max(logprobs["top_logprobs"][i].values()), delta=1e-9)
            ids.append(best)
        # Greedy answers do not depend on the temperature that the probabilities are not taken at.
        whole = {**asked, "prompt": self.ids("banana"), "top_p": 0.1, "repeat_penalty": 1.0}
        self.assertEqual(self.server.post(TEXT, whole)[1]["choices"][0]["logprobs"], logprobs)

    def test_a_stream_has_each_token_once(self):
        asked = {"messages": HELLO, "max_tokens": 12, "temperature": 0, "logprobs": True}
        whole = self.server.post(CHAT, asked)[1]["choices"][0]["logprobs"]["content"]
        pieces = events(self.server.request("POST", CHAT, json.dumps({**asked, "stream": True}), JSON)[2])
        streamed = [token for piece in pieces for token in (piece["choices"][0]["logprobs"] or {"content": []})["content"]]
        self.assertEqual(streamed, whole)
        self.assertEqual(len(whole), 12)

    def test_tokens_behind_a_stop_text_are_left_out(self):
        asked = {"prompt": "banana", "max_tokens": 24, "temperature": 0, "logprobs": 0}
        answer = self.server.post(TEXT, asked)[1]["choices"][0]
        tokens = answer["logprobs"]["tokens"]
        stop = answer["text"][len(answer["text"]) // 2:][:2]
        cut = self.server.post(TEXT, {**asked, "stop": stop})[1]["choices"][0]
        self.assertEqual(cut["text"], answer["text"][:answer["text"].index(stop)])
        kept = cut["logprobs"]["tokens"]
        self.assertEqual(kept, tokens[:len(kept)])
        self.assertLess(len(kept), len(tokens))

    def test_native_probabilities(self):
        answer = self.server.post("/completion", {"prompt": "banana", "n_predict": 3, "temperature": 0, "n_probs": 2})[1]
        self.assertEqual([len(token["top_logprobs"]) for token in answer["completion_probabilities"]], [2, 2, 2])


class Answers(WithServer):
    ARGUMENTS = ("-q", "--sse-ping", "0")

    def text(self, asked, path=TEXT):
        status, answer = self.server.post(path, asked)
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["text"]

    def test_n_answers_have_the_seeds_that_follow(self):
        asked = {"prompt": "banana", "max_tokens": 8, "temperature": 1.0, "seed": 7}
        several = self.server.post(TEXT, {**asked, "n": 3})[1]
        self.assertEqual([choice["index"] for choice in several["choices"]], [0, 1, 2])
        for i, choice in enumerate(several["choices"]):
            self.assertEqual(choice["text"], self.text({**asked, "seed": 7 + i}))
        self.assertEqual(several["usage"]["completion_tokens"], 24)
        pieces = events(self.server.request("POST", TEXT, json.dumps({**asked, "n": 3, "stream": True}), JSON)[2])
        for i, choice in enumerate(several["choices"]):
            own = [piece["choices"][0] for piece in pieces if piece["choices"][0]["index"] == i]
            self.assertEqual("".join(piece["text"] for piece in own), choice["text"])
            self.assertEqual([piece["finish_reason"] for piece in own][-1], "length")

    def test_penalties_by_count_and_biases(self):
        plain = self.server.post(TEXT, {"prompt": "banana", "max_tokens": 60, "temperature": 0, "logprobs": 0})[1]["choices"][0]
        tokens = plain["logprobs"]["tokens"]
        asked = {"prompt": "banana", "max_tokens": 60, "temperature": 0, "logprobs": 0}
        for penalty in ({"frequency_penalty": 2}, {"presence_penalty": 2}):
            other = self.server.post(TEXT, {**asked, **penalty})[1]["choices"][0]["logprobs"]["tokens"]
            self.assertGreater(len(set(other)), len(set(tokens)), penalty)
        first = self.server.post("/completion", {"prompt": "banana", "n_predict": 1, "temperature": 0, "n_probs": 1})[1]
        best = first["completion_probabilities"][0]["id"]
        banned = self.server.post("/completion", {"prompt": "banana", "n_predict": 1, "temperature": 0, "n_probs": 1,
                                                  "logit_bias": {str(best): -100}})[1]
        self.assertNotEqual(banned["completion_probabilities"][0]["id"], best)
        forced = self.server.post("/completion", {"prompt": "banana", "n_predict": 3, "temperature": 0, "n_probs": 1,
                                                  "logit_bias": [[70, 100]]})[1]
        self.assertEqual([token["id"] for token in forced["completion_probabilities"]], [70, 70, 70])

    def test_native_completion(self):
        asked = {"prompt": "banana", "n_predict": 8, "temperature": 0}
        status, answer = self.server.post("/completion", asked)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["content"], self.text({"prompt": "banana", "max_tokens": 8, "temperature": 0}))
        self.assertEqual((answer["tokens_predicted"], answer["stop_type"], answer["stop"], answer["truncated"]), (8, "limit", True, False))
        for key in ("prompt_n", "prompt_ms", "predicted_n", "predicted_ms", "predicted_per_second"):
            self.assertGreaterEqual(answer["timings"][key], 0)
        word = answer["content"][2:4]
        stopped = self.server.post("/completion", {**asked, "stop": [word]})[1]
        self.assertEqual((stopped["stop_type"], stopped["stopping_word"]), ("word", word))
        body = self.server.request("POST", "/completion", json.dumps({**asked, "stream": True}), JSON)[2].decode()
        pieces = [json.loads(line[6:]) for line in body.split("\n\n") if line]
        self.assertEqual("".join(piece["content"] for piece in pieces), answer["content"])
        self.assertEqual([piece["stop"] for piece in pieces], [False] * (len(pieces) - 1) + [True])

    def test_progress_of_a_prompt(self):
        asked = {"messages": [{"role": "user", "content": "na ba " * 60}], "max_tokens": 2, "stream": True, "return_progress": True}
        pieces = events(self.server.request("POST", CHAT, json.dumps(asked), JSON)[2])
        progress = [piece["prompt_progress"] for piece in pieces if "prompt_progress" in piece]
        self.assertGreaterEqual(len(progress), 1)
        self.assertEqual(progress[-1]["processed"], progress[-1]["total"])
        self.assertEqual([p["processed"] for p in progress], sorted(p["processed"] for p in progress))

    def test_embeddings(self):
        def embed(given, **more):
            status, answer = self.server.post("/v1/embeddings", {"input": given, **more})
            self.assertEqual(status, 200, answer)
            return answer
        whole = embed(["banana", "ban", "banana"])
        vectors = [entry["embedding"] for entry in whole["data"]]
        self.assertEqual([entry["index"] for entry in whole["data"]], [0, 1, 2])
        self.assertEqual(vectors[0], vectors[2])
        self.assertNotEqual(vectors[0], vectors[1])
        for vector in vectors:
            self.assertAlmostEqual(math.fsum(x * x for x in vector), 1.0, delta=1e-5)
        packed = embed("banana", encoding_format="base64")["data"][0]["embedding"]
        values = array.array("f", base64.b64decode(packed, validate=True))
        self.assertEqual(list(values), [array.array("f", [x])[0] for x in vectors[0]])
        ids = self.server.post("/tokenize", {"content": "banana", "add_special": True, "parse_special": False})[1]["tokens"]
        self.assertEqual(embed(ids)["data"][0]["embedding"], vectors[0])
        self.assertEqual(embed([ids, ids])["data"][1]["embedding"], vectors[0])
        self.assertEqual(whole["usage"]["total_tokens"], whole["usage"]["prompt_tokens"])
        self.assertEqual(len(vectors[0]), json.loads(self.server.request("GET", "/v1/models")[2])["data"][0]["meta"]["n_embd"])
        for bad in ({"input": []}, {"input": ""}, {"input": None}, {"input": [[]]}, {"input": [1, "x"]}, {"input": ["a", 1]}, {"input": 1},
                    {"input": [10 ** 6]}, {"input": "a" * 100000}, {"input": ["a"] * 300}, {"input": "a", "encoding_format": "int8"},
                    {"input": "a", "dimensions": 7}, {"input": "a", "dimensions": 0}):
            self.check_error(self.server.post("/v1/embeddings", bad), 400)

    def test_embeddings_leave_answers_as_they_were(self):
        asked = {"prompt": "banana", "max_tokens": 8, "temperature": 0}
        before = self.text(asked)
        self.server.post("/v1/embeddings", {"input": "banana na"})
        self.assertEqual(self.text(asked), before)


class Constraints(WithServer):
    """Answers of a given form: response_format, grammar, tools."""

    CONTEXT = 4096

    def ask(self, more, messages=None):
        status, answer = self.server.post(CHAT, {"messages": messages or HELLO, "max_tokens": 200, "temperature": 1.5, **more})
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]

    def test_a_grammar(self):
        for seed in range(5):
            text = self.ask({"grammar": 'root ::= "yes" | "no"', "seed": seed})["message"]["content"]
            self.assertIn(text, ("yes", "no"))
        status, answer = self.server.post("/completion", {"prompt": "a", "grammar": 'root ::= [ab]{3}', "temperature": 0})
        self.assertEqual(status, 200, answer)
        self.assertRegex(answer["content"], "^[ab]{3}$")

    def test_a_schema(self):
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "level": {"enum": ["low", "high"]}},
                  "required": ["ok", "level"], "additionalProperties": False}
        for form in ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}},
                     {"response_format": {"type": "json_object", "schema": schema}}, {"json_schema": schema}):
            for seed in range(3):
                value = json.loads(self.ask({**form, "seed": seed})["message"]["content"])
                self.assertEqual(set(value), {"ok", "level"})
                self.assertIsInstance(value["ok"], bool)
                self.assertIn(value["level"], ("low", "high"))

    def test_bad_grammars_and_schemas_are_named(self):
        for more, field in (({"grammar": "root ::= ("}, "grammar"), ({"grammar": "x ::= \"a\""}, "grammar"),
                            ({"grammar": "root ::= " + "(" * 60000}, "grammar"), ({"grammar": "root ::= root"}, "grammar"),
                            ({"json_schema": {"type": "nothing"}}, "json_schema"),
                            ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"multipleOf": 3, "type": "integer"}}}},
                             "response_format"),
                            ({"grammar": "root ::= [a]", "json_schema": {}}, "json_schema"),
                            ({"response_format": {"type": "xml"}}, "response_format.type")):
            self.check_error(self.server.post(CHAT, {"messages": HELLO, "max_tokens": 1, **more}), 400, param=field)

    def test_a_tool_that_has_to_be_called(self):
        for choice, names in (("required", {"get_weather", "get_time"}),
                              ({"type": "function", "function": {"name": "get_weather"}}, {"get_weather"})):
            for seed in range(3):
                got = self.ask({"tools": [WEATHER, CLOCK], "tool_choice": choice, "seed": seed})
                self.assertEqual(got["finish_reason"], "tool_calls")
                self.assertIsNone(got["message"]["content"])
                call, = got["message"]["tool_calls"]
                self.assertIn(call["function"]["name"], names)
                arguments = json.loads(call["function"]["arguments"])
                if call["function"]["name"] == "get_weather":
                    self.assertIn(arguments["city"], ("Paris", "Rome"))
                    self.assertIn(arguments["days"], (1, 2))

    def test_a_streamed_call_is_the_same(self):
        asked = {"messages": HELLO, "max_tokens": 200, "temperature": 1, "tools": [WEATHER], "tool_choice": "required"}
        whole = self.ask({**asked, "temperature": 1.5})["message"]["tool_calls"][0]["function"]
        pieces = events(self.server.request("POST", CHAT, json.dumps({**asked, "temperature": 1.5, "stream": True}), JSON)[2])
        deltas = [piece["choices"][0]["delta"].get("tool_calls", []) for piece in pieces]
        calls = [call for delta in deltas for call in delta]
        self.assertEqual({call["index"] for call in calls}, {0})
        self.assertEqual(calls[0]["function"]["name"], whole["name"])
        self.assertEqual("".join(call["function"]["arguments"] for call in calls), whole["arguments"])
        self.assertEqual(pieces[-1]["choices"][0]["finish_reason"], "tool_calls")

    def test_tools_may_be_left_alone(self):
        plain = self.ask({"max_tokens": 4})["message"]["content"]
        self.assertEqual(self.ask({"max_tokens": 4, "tools": [WEATHER], "tool_choice": "none"})["message"]["content"], plain)
        self.assertEqual(self.ask({"max_tokens": 4, "tools": []})["message"]["content"], plain)

    def test_bad_tools_are_named(self):
        function = WEATHER["function"]
        for tools in (1, [1], [{}], [{"type": "x", "function": function}], [{"type": "function"}], [{"type": "function", "function": {}}],
                      [{"type": "function", "function": {"name": "a b"}}], [{"type": "function", "function": {"name": "a" * 65}}],
                      [WEATHER, WEATHER], [{"type": "function", "function": {"name": "f", "parameters": []}}], [WEATHER] * 65):
            self.check_error(self.server.post(CHAT, {"messages": HELLO, "tools": tools}), 400)
        for choice in (1, "sometimes", {}, {"type": "function"}, {"type": "function", "function": {"name": "other"}}):
            self.check_error(self.server.post(CHAT, {"messages": HELLO, "tools": [WEATHER], "tool_choice": choice}), 400)
        self.check_error(self.server.post(CHAT, {"messages": HELLO, "tool_choice": "required"}), 400, param="tool_choice")

    def test_prompts_with_tools_and_turns(self):
        call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Rome\"}"}}
        turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
        status, answer = self.server.post("/apply-template", {"messages": turns, "tools": [WEATHER]})
        self.assertEqual(status, 200, answer)
        for words in ("get_weather", "sunny", "\"city\":\"Rome\"", "<tool_call>", "<tool_response>", "The weather of a city", "banana"):
            self.assertIn(words, answer["prompt"])
        middle = [*HELLO, {"role": "assistant", "content": "b"}, {"role": "system", "content": "be brief"}, *HELLO]
        self.assertIn("be brief", self.server.post("/apply-template", {"messages": middle})[1]["prompt"])
        self.assertEqual(self.ask({"max_tokens": 2}, turns)["finish_reason"], "length")


class OwnTools(WithServer):
    """A template that knows tools itself, and takes a system message at the front only."""

    TEMPLATE = ("{% if tools %}TOOLS {% for t in tools %}{{ t.function.name }}({{ t.function.parameters.properties | join(',') }}) {% endfor %}{% endif %}"
                "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('system first') }}{% endif %}"
                "[{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}] {{ m.content }}"
                "{% for c in m.tool_calls or [] %}CALL {{ c.function.name }} {{ c.function.arguments.city }}{% endfor %}\n{% endfor %}")

    def prompt(self, messages, **more):
        status, answer = self.server.post("/apply-template", {"messages": messages, **more})
        self.assertEqual(status, 200, answer)
        return answer["prompt"]

    def test_the_template_writes_the_tools(self):
        prompt = self.prompt(HELLO, tools=[WEATHER])
        self.assertTrue(prompt.startswith("TOOLS get_weather(city,days) [user] banana"), prompt)
        self.assertNotIn("<tool", prompt)
        self.assertNotIn("TOOLS", self.prompt(HELLO, tools=[WEATHER], tool_choice="none"))

    def test_the_template_writes_calls_and_results(self):
        call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Rome\"}"}}
        turns = [*HELLO, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "sunny"}]
        prompt = self.prompt(turns, tools=[WEATHER])
        self.assertIn("CALL get_weather Rome", prompt)
        self.assertIn("[tool get_weather] sunny", prompt)
        self.assertNotIn("<tool", prompt)

    def test_a_system_message_that_is_refused_goes_into_the_question(self):
        prompt = self.prompt([*HELLO, {"role": "assistant", "content": "b"}, {"role": "system", "content": "be brief"}, {"role": "user", "content": "c"}])
        self.assertIn("[user] be brief\n\nc", prompt)
        self.assertNotIn("[system]", prompt)


class DefaultModel(unittest.TestCase):
    """With words that mean something."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(default_model(), "-q", "-c", "1024", "--slots", "2")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_similar_sentences_have_similar_embeddings(self):
        given = ["The cat sat on the mat.", "A kitten was sitting on a rug.", "Shares fell sharply on Monday."]
        a, b, c = [entry["embedding"] for entry in self.server.post("/v1/embeddings", {"input": given})[1]["data"]]
        dot = lambda x, y: math.fsum(p * q for p, q in zip(x, y))
        self.assertGreater(dot(a, b), dot(a, c) + 0.02)

    def test_a_schema_is_filled_with_words(self):
        schema = {"type": "object", "properties": {"capital": {"type": "string", "maxLength": 20}}, "required": ["capital"],
                  "additionalProperties": False}
        asked = {"messages": [{"role": "user", "content": "What is the capital of France? Answer in JSON."}], "temperature": 0,
                 "max_tokens": 60, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
        value = json.loads(self.server.post(CHAT, asked)[1]["choices"][0]["message"]["content"])
        self.assertIn("Paris", value["capital"])

    def test_a_tool_gets_the_city(self):
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
            "additionalProperties": False}}}
        asked = {"messages": [{"role": "user", "content": "What is the weather in Paris?"}], "temperature": 0, "max_tokens": 80,
                 "tools": [tool], "tool_choice": "required"}
        call = self.server.post(CHAT, asked)[1]["choices"][0]["message"]["tool_calls"][0]["function"]
        self.assertIn("Paris", json.loads(call["arguments"])["city"])


if __name__ == "__main__":
    unittest.main()
