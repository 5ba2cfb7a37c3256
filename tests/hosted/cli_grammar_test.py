#!/usr/bin/env python3
"""Tests of grammars on the command line: schemas as grammars against a validator, and answers of the default model.

    LBM=build/lbm python3 tests/hosted/cli_grammar_test.py
"""

import json
import tempfile
import unittest

from lbm_process import default_model, lbm, lbm_json, RUNTIME, USAGE

try:
    import jsonschema
except ImportError:  # Debian: python3-jsonschema
    jsonschema = None

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 3},
        "email": {"type": ["string", "null"], "pattern": "^[a-z]{1,8}@[a-z]{1,8}\\.(com|org)$"},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}

# Each is drawn from, and what is drawn must be valid. Names say what is new in it.
SCHEMAS = {
    "person": PERSON,
    "anything": True,
    "no keywords": {},
    "any object": {"type": "object"},
    "any array": {"type": "array"},
    "scalars": {"type": ["string", "number", "integer", "boolean", "null"]},
    "string": {"type": "string"},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 4},
    "least length": {"type": "string", "minLength": 3},
    "most length": {"maxLength": 3},
    "no length": {"type": "string", "maxLength": 0},
    "formats": {"type": "array", "prefixItems": [{"format": f} for f in ("date", "time", "date-time", "uuid")], "minItems": 4},
    "pattern": {"type": "string", "pattern": "^(\\d{3}-)?[A-F\\x30-\\x39]+\\.?\\s(x|y\\\\z)*\"end\"$"},
    "pattern, not anchored": {"type": "string", "pattern": "ab+c"},
    "pattern, anchored before": {"type": "string", "pattern": "^ab"},
    "pattern, anchored behind": {"type": "string", "pattern": "[^a-z]b$"},
    "pattern, negated classes": {"type": "string", "pattern": "^[^\\d\\\\\"]\\D\\W\\S[^x]$"},
    "pattern, groups": {"type": "string", "pattern": "^(?:a|b(c|)){2,3}?$"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "positive number": {"type": "number", "minimum": 0},
    "const": {"const": {"a": [1, "\"\\\n\u00e9\U0001f600", None]}},
    "enum": {"enum": ["a", 1, 1.5, True, None, [], {"b": "c"}, "d\"e"]},
    "enum and type": {"type": ["integer", "string"], "enum": ["a", 1, 2.0, True, None]},
    "properties without type": {"properties": {"a": {"type": "null"}}, "required": ["a"]},
    "names that need escapes": {"properties": {"a\"\\\n\u00e9": {"const": 1}, "b/~": {"const": 2}}, "required": ["a\"\\\n\u00e9", "b/~"]},
    "optional first": {"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["c"]},
    "optional last": {"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["a"]},
    "optional all": {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": []},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "map beside properties": {"properties": {"ab": {"const": 1}, "abc": {"const": 2}, "": {"const": 3}, "\u00e9-]": {"const": 4}},
                              "additionalProperties": {"type": "boolean"}, "required": ["ab"]},
    "required but not described": {"required": ["x"], "properties": {"y": {"type": "null"}}, "additionalProperties": True},
    "empty object": {"type": "object", "additionalProperties": False},
    "array of": {"type": "array", "items": {"type": "boolean"}},
    "array bounds": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "array of one": {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 1},
    "array of at least": {"type": "array", "items": {"type": "null"}, "minItems": 3},
    "array of none": {"type": "array", "maxItems": 0},
    "tuple": {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}, {"const": 3}], "minItems": 1, "items": False},
    "tuple and rest": {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": {"type": "null"}, "minItems": 3, "maxItems": 5},
    "tuple and free rest": {"type": "array", "prefixItems": [{"const": 1}], "minItems": 2, "maxItems": 2},
    "anyOf": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]},
    "oneOf": {"oneOf": [{"type": "integer"}, {"const": "x"}]},
    "anyOf beside type": {"type": "object", "properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"],
                          "anyOf": [{"properties": {"x": {"const": 1}}, "required": ["x"]}, {"properties": {"y": {"const": 2}}}]},
    "allOf": {"allOf": [{"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
                        {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}, "required": ["b"]}]},
    "refs": {"$defs": {"n": {"type": "integer", "minimum": 1, "maximum": 3}}, "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
             "required": ["a", "b"]},
    "ref beside keywords": {"$defs": {"n": {"type": "integer", "minimum": 1}}, "properties": {"a": {"$ref": "#/$defs/n", "maximum": 4}},
                            "required": ["a"]},
    "tree": {"$defs": {"node": {"type": "object", "properties": {"v": {"type": "boolean"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                                "required": ["v", "next"]}}, "$ref": "#/$defs/node"},
    "itself": {"type": "object", "properties": {"x": {"type": "array", "items": {"$ref": "#"}, "maxItems": 1}}},
}

# What a grammar can not say: refused, and the message has the pointer.
REFUSED = {
    "/properties/a/not": {"properties": {"a": {"not": {"type": "null"}}}},
    "/if": {"if": {}, "then": {}},
    "/patternProperties": {"type": "object", "patternProperties": {}},
    "/uniqueItems": {"type": "array", "uniqueItems": True},
    "/items/format": {"items": {"type": "string", "format": "email"}},
    "/multipleOf": {"type": "integer", "multipleOf": 3},
    "/type": {"type": "text"},
    "/properties/x~1y/pattern": {"properties": {"x/y": {"type": "string", "pattern": "(?=a)b"}}},
    "/pattern": {"type": "string", "pattern": "^a|b$"},
    "/$ref": {"$ref": "http://example.com/schema"},
    "/anyOf/1/$ref": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/absent"}]},
    "/minItems": {"type": "array", "items": False, "minItems": 1},
    "/maxLength": {"type": "string", "minLength": 3, "maxLength": 2},
    "/required": {"properties": {}, "additionalProperties": False, "required": ["a"]},
    "schema: ": False,
    "/enum": {"enum": "abc"},
    "/allOf/1": {"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "b"}]},
    "bounds of this number": {"type": "integer", "minimum": 3, "maximum": 2},
    "with decimals": {"type": "number", "maximum": 2},
    "too deep": {"allOf": [{"$ref": "#"}]},
    "left recursion": {"$ref": "#"},
}


def with_schema(schema, *arguments, **keywords):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(schema, file)
        file.flush()
        return lbm(*arguments, "--json-schema", file.name, **keywords)


def no_duplicates(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key is given twice")
    return out


class Schemas(unittest.TestCase):
    def check(self, schema, n_sample, least, seed=0):
        out, _ = with_schema(schema, "grammar", "--sample", n_sample, "--seed", seed)
        texts = [json.loads(line) for line in out.splitlines()]
        self.assertGreaterEqual(len(texts), least)
        kind = jsonschema.Draft202012Validator
        validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
        for text in texts:
            value = json.loads(text)
            errors = list(validator.iter_errors(value))
            self.assertEqual(errors, [], (schema, text))
        return texts

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_what_is_drawn_from_a_schema_is_valid(self):
        for name, schema in SCHEMAS.items():
            with self.subTest(name):
                recursive = name in ("anything", "no keywords", "any object", "any array", "map beside properties",
                                     "required but not described", "tuple and free rest", "pattern, not anchored")
                self.check(schema, 150, 20 if recursive else 150)

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_integer_bounds_are_exact(self):
        bounds = ((0, 0), (0, 9), (3, 3), (-5, 5), (-1, 0), (1, 10), (8, 12), (99, 101), (100, 199), (95, 1005), (-120, -99),
                  (-1000, 7), (17, 9183), (1000, 1000), (123456, 123999), (-9, -1))
        for low, high in bounds:
            grammar = {"type": "integer", "minimum": low, "maximum": high}
            inside = {low, high, (low + high) // 2} | ({low + 1, high - 1} if high - low > 2 else set())
            outside = {low - 1, high + 1, low - 10, high + 10, low * 10 - 3, high * 10 + 3}
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(grammar, file)
                file.flush()
                for value in inside | outside:
                    good = low <= value <= high
                    lbm("grammar", "--json-schema", file.name, "--check", "-", stdin=str(value), code=0 if good else RUNTIME)
            self.check(grammar, 60, 60)
        for schema, good, bad in (({"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6}, "5", "6"),
                                  ({"type": "integer", "minimum": 1.5}, "2", "1"), ({"type": "integer", "maximum": -7}, "-70", "-6")):
            with_schema(schema, "grammar", "--check", "-", stdin=good)
            with_schema(schema, "grammar", "--check", "-", stdin=bad, code=RUNTIME)

    def test_what_a_schema_excludes_is_refused(self):
        cases = (("person", '{"name": "A", "age": 121}'), ("person", '{"age": 1, "name": "A"}'), ("person", '{"name": "A"}'),
                 ("person", '{"name": "A", "age": 1, "x": 1}'), ("person", '{"name": "A", "age": 01}'),
                 ("string", '"\t"'), ("string", '"\\ud800"'), ("lengths", '"abcde"'), ("lengths", '"\\u00e9"'),
                 ("map beside properties", '{"ab": true}'), ("map beside properties", '{"ab": 1, "abc": true}'),
                 ("map beside properties", '{"ab": 1, "\\u0061bc": true}'), ("optional first", '{"a": 1, "b": 2}'),
                 ("optional first", '{"a": 1 "c": 3}'), ("tuple", "[]"), ("tuple", "[1, 2, 3, 4]"), ("empty object", '{"a": 1}'))
        for name, text in cases:
            with self.subTest((name, text)):
                with_schema(SCHEMAS[name], "grammar", "--check", "-", stdin=text, code=RUNTIME)
        good = (("lengths", '"\\u00e9\\n"'), ("lengths", '"\u00e9\U0001f600"'), ("map beside properties", '{"ab": 1, "abd": true, "a": false}'),
                ("optional first", '{"c": 3}'), ("optional first", '{"a": 1, "c": 3}'), ("optional all", "{}"), ("optional all", '{"b": 2}'),
                ("tree", '{"v": true, "next": {"v": false, "next": null}}'), ("any object", '{"a": [1, {"b": "c"}], "d": -1.5e3}'),
                ("person", '{\n  "name": "A",\n  "age": 120\n}'), ("pattern, not anchored", '"x\\nabbcy"'))
        for name, text in good:
            with self.subTest((name, text)):
                with_schema(SCHEMAS[name], "grammar", "--check", "-", stdin=text)

    def test_what_a_grammar_can_not_say_is_refused_by_its_pointer(self):
        for pointer, schema in REFUSED.items():
            with self.subTest(pointer):
                code = USAGE
                _, err = with_schema(schema, "grammar", "--sample", 1, code=code)
                self.assertIn(pointer, err)


class Commands(unittest.TestCase):
    def test_errors_say_where_and_what(self):
        _, err = lbm("grammar", "--grammar", "-", "--sample", 1, stdin='root ::= "a" |\n  b', code=USAGE)
        self.assertIn("line 2, column 3, 'b': this rule is not defined", err)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("ab")
            file.flush()
            _, err = lbm("grammar", "--grammar", "-", "--check", file.name, stdin='root ::= "abc"', code=RUNTIME)
            self.assertIn("ends early", err)
            file.write("d")
            file.flush()
            _, err = lbm("grammar", "--grammar", "-", "--check", file.name, stdin='root ::= "abc"', code=RUNTIME)
            self.assertIn("refuses byte 2", err)
        lbm("grammar", code=USAGE)
        lbm("grammar", "--json-schema", "-", stdin="{", code=USAGE)
        lbm("run", "-m", "x.gguf", "--grammar", "-", stdin="x", code=USAGE)
        lbm("run", "-m", "x.gguf", "-p", "x", "--grammar", "-", "--ignore-eos", stdin='root ::= "a"', code=USAGE)

    def test_samples_are_the_same_for_a_seed(self):
        grammar = 'root ::= ("a" | "bc" root | [0-9]{1,3})+'
        draw = lambda seed: lbm("grammar", "--grammar", "-", "--sample", 20, "--seed", seed, stdin=grammar)[0]
        self.assertEqual(draw(1), draw(1))
        self.assertNotEqual(draw(1), draw(2))


class Answers(unittest.TestCase):
    """The default model under a grammar."""

    SEEDS = 8

    def setUp(self):
        self.model = default_model()

    def answer(self, *arguments, **keywords):
        return lbm_json("run", "-m", self.model, "-p", "Describe a person as JSON.", "--json", *arguments, **keywords)

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_answers_are_valid_for_every_seed(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(PERSON, file)
            file.flush()
            for seed in range(self.SEEDS):
                run = self.answer("--json-schema", file.name, "--temp", "1.2", "--seed", seed)
                self.assertEqual(run["stop_reason"], "eog", seed)
                value = json.loads(run["text"], object_pairs_hook=no_duplicates)
                jsonschema.validate(value, PERSON, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)

    def test_speculation_changes_nothing(self):
        arguments = ("--grammar", "-", "-n", "60", "--temp", "0")
        grammar = 'root ::= ("- " [a-z ]{3,12} "\\n"){4,}'
        one = self.answer(*arguments, stdin=grammar)
        other = self.answer(*arguments, "--no-speculate", stdin=grammar)
        self.assertEqual(one["digest"], other["digest"])
        self.assertEqual(one["text"], other["text"])

    def test_one_word_ends_the_answer(self):
        run = self.answer("--grammar", "-", stdin='root ::= "yes" | "no"')
        self.assertIn(run["text"], ("yes", "no"))
        self.assertEqual(run["stop_reason"], "eog")


if __name__ == "__main__":
    unittest.main(verbosity=2)
