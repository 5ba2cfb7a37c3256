// The two models that look pieces up by how a text begins: unigram and WordPiece.
#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"
#include "core/tokenizer/encoder.h"

namespace lbm {
namespace {

constexpr Str kEscapedSpace = "\u2581";
constexpr Str kReplacement = "\uFFFD";

// Gives put(bytes) the text as the pieces of a unigram model spell it: characters replaced by the
// character map, spaces as U+2581, merged where the model was trained so. wants_prefix(spaces)
// tells whether the first word gets a space, after those that the text has.
template <class WantsPrefix, class Put>
void spell_unigram(const Tokenizer::Impl& model, Str text, const WantsPrefix& wants_prefix,
                   const Put& put) {
  bool within_word = false;
  bool has_word = false;
  bool has_space = false;
  const auto put_byte = [&](Str byte) {
    if (byte[0] == ' ') {
      within_word = false;
      has_space = true;
      if (!model.merge_spaces) put(kEscapedSpace);
      return;
    }
    if (!within_word) {
      const bool between = model.merge_spaces && (has_word || has_space);
      if (between || (!has_word && wants_prefix(has_space))) put(kEscapedSpace);
      within_word = true;
      has_word = true;
    }
    put(byte);
  };
  const auto put_text = [&](Str bytes) {
    for (usize i = 0; i < bytes.size(); ++i) put_byte(bytes.slice(i, 1));
  };
  for (usize at = 0; at < text.size();) {
    const Str rest = text.from(at);
    const Charsmap::Match match = model.charsmap.find(rest);
    if (match.n_byte != 0) {
      put_text(match.replacement);
      at += match.n_byte;
      continue;
    }
    const Utf8Char c = decode_utf8(rest);
    const bool space =
        model.split_white_space && char_info(c.codepoint).char_class == CharClass::kWhiteSpace;
    put_text(space ? Str(" ") : c.valid ? rest.first(c.n_byte) : kReplacement);
    at += c.n_byte;
  }
}

// The end of the word that begins at `begin`: where the next space begins.
usize find_word_end(Str text, usize begin) {
  usize end = begin + 1;
  while (end < text.size() && !text.from(end).starts_with(kEscapedSpace)) ++end;
  return end;
}

}  // namespace

Status Encoder::encode_unigram(Str text) {
  const auto wants_prefix = [this](bool begins_with_space) {
    // Where spaces are merged, a word has one in front whatever the file says of a prefix.
    const auto mode = model_.space_prefix;
    return wants_space(begins_with_space) ||
           (model_.merge_spaces && mode != Tokenizer::Impl::SpacePrefix::kFirst);
  };
  usize n = 0;
  spell_unigram(model_, text, wants_prefix, [&](Str bytes) { n += bytes.size(); });
  if (n == 0) return {};
  Result<Span<u8>> memory = scratch_.take_raw(n, "normalized text", 1);
  if (!memory.ok()) return memory.error();
  u8* const out = memory.value().data();
  usize at = 0;
  spell_unigram(model_, text, wants_prefix, [&](Str bytes) {
    __builtin_memcpy(out + at, bytes.data(), bytes.size());
    at += bytes.size();
  });
  Result<Span<u8>> table = scratch_.take_raw(u64{n + 1} * sizeof(UnigramCut), "cuts of the text");
  if (!table.ok()) return table.error();
  const Span<UnigramCut> cuts(reinterpret_cast<UnigramCut*>(table.value().data()), n + 1);
  const Str spelled(memory.value());
  for (usize begin = 0; begin < n;) {
    const usize end = model_.split_words ? find_word_end(spelled, begin) : n;
    emit_cuts(spelled.slice(begin, end - begin), cuts.first(end - begin + 1));
    begin = end;
  }
  return {};
}

void Encoder::emit_cuts(Str text, Span<UnigramCut> cuts) {
  const u32 unknown = model_.vocab.unknown();
  cut_unigram({&model_.vocab, &model_.index, unknown, model_.unknown_score}, text, cuts);
  for (usize begin = 0; begin < text.size();) {
    const u32 id = cuts[begin].id;
    usize end = cuts[begin].link;
    // Unknown characters in a row are one token.
    while (id == unknown && end < text.size() && cuts[end].id == unknown) end = cuts[end].link;
    if (id == unknown && model_.byte_fallback) {
      emit_bytes(text.slice(begin, end - begin));
    } else {
      emit(id);
    }
    begin = end;
  }
}

Status Encoder::encode_wordpiece(Str text) {
  Result<Span<u8>> memory =
      scratch_.take_raw(WordReader::word_bytes(text.size()), "words of the text", 1);
  if (!memory.ok()) return memory.error();
  WordReader words(model_.word_rules, text,
                   {reinterpret_cast<char*>(memory.value().data()), memory.value().size()});
  u64 n_step = 0;
  for (Str word; words.next(word);) {
    const u32 n_before = n_out_;
    if (cut_word(model_.index, word, n_step, [&](u32 id) { emit(id); })) continue;
    n_out_ = n_before;
    emit(model_.vocab.unknown());
  }
  return {};
}

}  // namespace lbm
