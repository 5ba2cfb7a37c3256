// JSON of strangers: both of its readers, and objects of which every key is known.
#include "tools/strict_json.h"

#include "tests/hosted/refusal.h"
#include "tests/test.h"
#include "tools/json_node.h"

using namespace lbm;
using lbm::test::Refusal;
using lbm::test::refusal_of;

namespace {

Refusal strict(const std::string& text, cli::ExitCode code = cli::ExitCode::kModel) {
  return refusal_of([&] { (void)cli::parse_strict_json(text, "m.json", code); });
}

Refusal loose(const std::string& text) {
  return refusal_of([&] { (void)cli::parse_json_file(text, "m.json"); });
}

std::string nested(usize depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("strict json: what is no JSON, with the byte at which it ends to be", "[tools]") {
  for (const auto& read : {+[](const std::string& text) { return strict(text); }, +loose}) {
    CHECK(!read(R"({"a": [1, null, "x"]})").refused);
    CHECK(read("").message == "m.json: is no JSON, at byte 0 [bad_syntax]");
    CHECK(read("{]").message == "m.json: is no JSON, at byte 1 [bad_syntax]");
    CHECK(read("[1 2]").message == "m.json: is no JSON, at byte 3 [bad_syntax]");
    CHECK(read(std::string("{}\0", 3)).message == "m.json: is no JSON, at byte 2 [bad_syntax]");
    CHECK(read(std::string("[]\0]", 4)).message == "m.json: is no JSON, at byte 2 [bad_syntax]");
    CHECK(read("[1e999]").message == "m.json: JSON with a number out of range [overflow]");
  }
}

TEST_CASE("strict json: keys that are there twice", "[tools]") {
  for (const auto& read : {+[](const std::string& text) { return strict(text); }, +loose}) {
    CHECK(read(R"({"a": 1, "b": {"a": 1}, "c": {"a": 1}})").message.empty());
    CHECK(read(R"([{"a": 1}, {"a": 1}])").message.empty());
    CHECK(read(R"({"a": 1, "b": {}, "a": 1})").code() == "duplicate");
    CHECK(read(R"({"x": [{"a": 1, "a": 1}]})").code() == "duplicate");
    CHECK(!read("{\"\\u001b\": 1, \"\\u001b\": 1}").says("\x1b"));
  }
}

TEST_CASE("strict json: as deep as it may be", "[tools]") {
  CHECK(!strict(nested(16)).refused);
  CHECK(strict(nested(17)).code() == "limit");
  CHECK(strict(std::string(16, '[') + "1" + std::string(16, ']')).message.empty());
  CHECK(!loose(nested(64)).refused);
  CHECK(loose(nested(65)).code() == "limit");
}

TEST_CASE("strict json: as long as it may be, and whose fault it is", "[tools]") {
  CHECK(strict(std::string(cli::kMaxJsonBytes + 1, ' ')).code() == "limit");
  CHECK(strict("{", cli::ExitCode::kUsage).exit == cli::ExitCode::kUsage);
}

TEST_CASE("strict json: fields are read by name and kind", "[tools]") {
  const cli::Json json = cli::Json::parse(
      R"({"text": "x", "number": 5, "flag": true, "list": [1], "x-own": 1, "more": null})");
  cli::Fields fields(json, "m.json: files[2]");
  CHECK(fields.text("text") == "x");
  CHECK(fields.text_or("none", "else") == "else");
  CHECK(fields.number("number", 5, 5) == 5);
  CHECK(fields.number_or("none", 0, 1, 7) == 7);
  CHECK(fields.flag("flag"));
  CHECK(fields.array("list").size() == 1);
  CHECK(fields.array("none", false).empty());
  CHECK(fields.optional("none") == nullptr);
  const auto said = [&](auto work) { return refusal_of(work).message; };
  CHECK(said([&] { (void)fields.text("number"); }) ==
        "m.json: files[2].number: a text is needed [bad_type]");
  CHECK(said([&] { (void)fields.text("gone"); }) == "m.json: files[2].gone: is missing [missing]");
  CHECK(said([&] { (void)fields.number("text", 0, 1); }) ==
        "m.json: files[2].text: a whole number is needed [bad_type]");
  CHECK(said([&] { (void)fields.number("number", 6, 7); }) ==
        "m.json: files[2].number: 5 is not from 6 to 7 [bad_value]");
  CHECK(said([&] { (void)fields.number("number", 0, 4); }).find("[bad_value]") !=
        std::string::npos);
  CHECK(said([&] { (void)fields.flag("text"); }).find("true or false") != std::string::npos);
  CHECK(said([&] { (void)fields.digest("text"); }).find("64 hexadecimal") != std::string::npos);
  CHECK(said([&] { (void)fields.array("text"); }).find("an array is needed") != std::string::npos);
  CHECK(said([&] { (void)fields.array("gone2"); }).find("is missing") != std::string::npos);
  CHECK(said([&] { fields.done(); }).find("'more' is not a known field") != std::string::npos);
  (void)fields.optional("more");
  CHECK(said([&] { fields.done(); }).empty());
  CHECK(refusal_of([] { const cli::Fields none(cli::Json::array(), "m.json"); }).code() ==
        "bad_type");
}

TEST_CASE("strict json: plain names", "[tools]") {
  for (const char* good : {"a", "A-Z_0.9", "...", ".a", "zZ09"}) CHECK(cli::is_plain_name(good));
  for (const char* bad :
       {"", ".", "..", "a/b", "a\\b", "a b", "a:b", "\xC3\xA4", "a@", "a[", "a`", "a{", "a\n"}) {
    INFO(bad);
    CHECK(!cli::is_plain_name(bad));
  }
  CHECK(cli::is_plain_name(std::string(128, 'n')));
  CHECK(!cli::is_plain_name(std::string(129, 'n')));
  CHECK(!cli::is_plain_name(std::string("a\0b", 3)));
}

TEST_CASE("json node: values and where they stand", "[tools]") {
  const cli::JsonTree tree = cli::parse_json_file(
      R"({"o": {"t": "x", "n": null, "f": true, "i": 3, "r": 0.5, "a": [1, "y"]}})", "m.json");
  const cli::JsonNode root(tree, "m.json");
  const cli::JsonNode object = root.at("o");
  CHECK(object.at("t").text() == "x");
  CHECK(object.has("t"));
  CHECK(!object.has("n"));
  CHECK(!object.has("none"));
  CHECK(!object.at("t").has("t"));
  CHECK(object.find("none").is_null());
  CHECK(object.find("none").find("deeper").is_null());
  CHECK(object.find("n").is_null());
  CHECK(object.text_or("t", "else") == "x");
  CHECK(object.text_or("none", "else") == "else");
  CHECK(object.flag_or("f", false));
  CHECK(!object.flag_or("none", false));
  CHECK(object.at("i").integer(4) == 3);
  CHECK(object.at("r").number() == 0.5f);
  CHECK(object.at("i").number() == 3.0f);
  CHECK(object.at("a").items().size() == 2);
  const auto said = [&](auto work) { return refusal_of(work).message; };
  CHECK(said([&] { (void)object.at("none"); }) == "m.json: /o: 'none' is missing [missing]");
  CHECK(said([&] { (void)object.at("t").at("x"); }) ==
        "m.json: /o/t: an object is needed [bad_type]");
  CHECK(said([&] { (void)object.at("t").find("x"); }).find("an object") != std::string::npos);
  CHECK(said([&] { (void)object.at("t").items(); }).find("an array") != std::string::npos);
  CHECK(said([&] { (void)object.at("i").text(); }).find("a string") != std::string::npos);
  CHECK(said([&] { (void)object.flag_or("i", true); }).find("true or false") != std::string::npos);
  CHECK(said([&] { (void)object.at("a").items()[1].integer(9); }) ==
        "m.json: /o/a/1: a whole number is needed [bad_type]");
  CHECK(said([&] { (void)object.at("r").integer(9); }).find("[bad_type]") != std::string::npos);
  CHECK(said([&] { (void)object.at("i").integer(3); }) ==
        "m.json: /o/i: the number 3 is not from 0 on and below 3 [bad_value]");
  CHECK(said([&] { (void)object.at("t").number(); }).find("a number") != std::string::npos);
  CHECK(said([&] { root.refuse("text\x1b", "bad_value"); }) ==
        "m.json: text\xEF\xBF\xBD [bad_value]");
}
