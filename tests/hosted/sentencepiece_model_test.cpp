// tokenizer.model of SentencePiece: a protocol buffer, read field by field.
#include "tools/sentencepiece_model.h"

#include <string>

#include "tests/test.h"
#include "tools/output.h"

using namespace lbm;

namespace {

std::string varint(u64 value) {
  std::string out;
  for (; value >= 128; value >>= 7) out.push_back(static_cast<char>(value | 128));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string number(u32 field, u64 value) { return varint(field << 3) + varint(value); }
std::string bytes(u32 field, const std::string& content) {
  return varint(field << 3 | 2) + varint(content.size()) + content;
}
std::string fixed32(u32 field, u32 bits) {
  std::string out = varint(field << 3 | 5);
  for (u32 i = 0; i < 4; ++i) out.push_back(static_cast<char>(bits >> (8 * i)));
  return out;
}
std::string fixed64(u32 field) { return varint(field << 3 | 1) + std::string(8, '\0'); }

constexpr u32 kMinusOne = 0xBF800000;  // -1.0f

std::string piece(const std::string& text, u64 type) {
  return bytes(1, bytes(1, text) + fixed32(2, kMinusOne) + number(3, type));
}

Result<cli::SentencePieceModel> parse(const std::string& model) {
  return cli::parse_sentencepiece_model(cli::to_str(model).bytes());
}

Error error_of(const std::string& model) {
  const Result<cli::SentencePieceModel> parsed = parse(model);
  return parsed.ok() ? Error() : parsed.error();
}

bool refuses(const std::string& model, ErrorCode code, u64 offset) {
  const Error error = error_of(model);
  return error.code == code && error.offset == offset;
}

}  // namespace

TEST_CASE("sentencepiece: pieces, and what a file says of itself", "[tools][convert]") {
  const std::string model =
      piece("<unk>", 2) + bytes(1, bytes(1, "a") + fixed64(9)) + piece("<0x0A>", 6) +
      bytes(2, number(1, 7) + number(3, 2)) +
      bytes(3, bytes(1, "nfkc") + bytes(2, "map") + number(3, 0) + number(4, 0) + bytes(5, "x")) +
      bytes(4, "anything") + number(200, 5);
  const Result<cli::SentencePieceModel> parsed = parse(model);
  REQUIRE(parsed.ok());
  const cli::SentencePieceModel& found = parsed.value();
  REQUIRE(found.pieces.size() == 3);
  CHECK(found.pieces[0].text == "<unk>");
  CHECK(found.pieces[0].score == -1.0f);
  CHECK(found.pieces[0].type == cli::SentencePiece::kUnknown);
  CHECK(found.pieces[1].type == cli::SentencePiece::kNormal);
  CHECK(found.pieces[1].score == 0.0f);
  CHECK(found.pieces[2].type == cli::SentencePiece::kByte);
  CHECK(!found.is_unigram);
  CHECK(found.charsmap == "map");
  CHECK(!found.add_dummy_prefix);
  CHECK(!found.remove_extra_whitespaces);
}

TEST_CASE("sentencepiece: what holds where a file says nothing", "[tools][convert]") {
  const Result<cli::SentencePieceModel> parsed = parse(piece("a", 1));
  REQUIRE(parsed.ok());
  CHECK(parsed.value().is_unigram);
  CHECK(parsed.value().add_dummy_prefix);
  CHECK(parsed.value().remove_extra_whitespaces);
  CHECK(parsed.value().charsmap.empty());
  CHECK(parse(piece("a", 1) + bytes(2, number(3, 1))).value().is_unigram);
}

TEST_CASE("sentencepiece: no pieces", "[tools][convert]") {
  CHECK(error_of("").code == ErrorCode::kBadValue);
  CHECK(error_of(bytes(2, "")).code == ErrorCode::kBadValue);
}

TEST_CASE("sentencepiece: fields that are cut off", "[tools][convert]") {
  const std::string good = piece("abc", 1);
  REQUIRE(parse(good).ok());
  for (usize n = 1; n < good.size(); ++n) {
    INFO(n);
    CHECK(error_of(good.substr(0, n)).code == ErrorCode::kTruncated);
  }
  // Within what holds it, at the place where the field starts.
  CHECK(refuses(bytes(1,
                      "\x0A\x05"
                      "ab"),
                ErrorCode::kTruncated, 2));
  CHECK(refuses(bytes(1, bytes(1, "a") + "\x15\x01\x02\x03"), ErrorCode::kTruncated, 5));
  CHECK(refuses(bytes(1, "\x18"), ErrorCode::kTruncated, 3));
  CHECK(refuses(bytes(3, "\x21\x01"), ErrorCode::kTruncated, 2));
}

TEST_CASE("sentencepiece: numbers of more than 64 bits", "[tools][convert]") {
  const std::string ten(9, '\xFF');
  CHECK(refuses(bytes(1, "\x18" + ten + "\x02"), ErrorCode::kBadValue, 3));
  CHECK(refuses(bytes(1, "\x18" + ten + "\x80"), ErrorCode::kBadValue, 3));
  CHECK(parse(piece("a", 1) + number(9, ~u64{0})).ok());
  CHECK(error_of(ten + "\x01").code == ErrorCode::kBadValue);  // of a field
}

TEST_CASE("sentencepiece: numbers of fields, and kinds", "[tools][convert]") {
  CHECK(refuses(varint(0) + "x", ErrorCode::kBadValue, 0));
  CHECK(refuses(piece("a", 1) + varint(u64{0x20000000} << 3) + "x", ErrorCode::kBadValue, 12));
  CHECK(parse(piece("a", 1) + varint(u64{0x1FFFFFFF} << 3) + "x").ok());
  for (const u32 kind : {3u, 4u, 6u, 7u})
    CHECK(refuses(varint(9 << 3 | kind), ErrorCode::kBadType, 0));
  CHECK(refuses(number(1, 5), ErrorCode::kBadType, 0));
  CHECK(refuses(number(2, 5), ErrorCode::kBadType, 0));
  CHECK(refuses(fixed64(3), ErrorCode::kBadType, 0));
  CHECK(refuses(bytes(1, number(1, 5)), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(1, number(2, 5)), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(1, bytes(3, "")), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(2, bytes(3, "")), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(3, number(2, 1)), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(3, bytes(3, "")), ErrorCode::kBadType, 2));
  CHECK(refuses(bytes(3, bytes(4, "")), ErrorCode::kBadType, 2));
}

TEST_CASE("sentencepiece: types and scores", "[tools][convert]") {
  for (u64 type = 1; type <= 6; ++type) CHECK(parse(piece("a", type)).ok());
  for (const u64 type : {u64{0}, u64{7}, ~u64{0}})
    CHECK(error_of(piece("a", type)).code == ErrorCode::kBadValue);
  CHECK(refuses(bytes(1, fixed32(2, 0x7F800000)), ErrorCode::kNumeric, 2));
  CHECK(refuses(bytes(1, fixed32(2, 0xFFC00000)), ErrorCode::kNumeric, 2));
  CHECK(parse(bytes(1, fixed32(2, 0x7F7FFFFF))).ok());
}

TEST_CASE("sentencepiece: as many pieces as a vocabulary may have", "[tools][convert]") {
  std::string model;
  for (u32 i = 0; i < 1048576; ++i) model += bytes(1, "");
  CHECK(parse(model).value().pieces.size() == 1048576);
  CHECK(error_of(model + bytes(1, "")).code == ErrorCode::kLimit);
}
