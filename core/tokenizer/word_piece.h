// WordPiece: words are cut by always taking the longest piece, from left to right.
//
// Text becomes words first: split at white space, with every punctuation mark, ASCII symbol and
// Chinese character a word of its own; controls dropped; where the model asks for it, accents taken
// off and letters made small. Vocabularies are stored with U+2581 in front of pieces that begin a
// word and without the ## of those that do not. A word that can not be cut to its end is the
// unknown token as a whole. Source: arXiv:1810.04805 and the tokenizer of BERT; the details are
// llama.cpp's, docs/formats/tokenizer.md lists where they differ from Hugging Face's.
#pragma once

#include "core/base/span.h"
#include "core/tokenizer/piece_index.h"

namespace lbm {

struct WordRules {
  bool lowercase = true;
  bool strip_accents = true;
  // As Hugging Face does it: characters are decomposed as a whole, only non-spacing marks are
  // accents, and of the controls only tab, line feed and carriage return are white space. Else, as
  // in llama.cpp, all but the first code point of a character is dropped, and every mark.
  bool as_hugging_face = false;
  u32 max_chars = 0;  // a longer word is unknown; 0: no limit
};

// The words of a text, one after the other.
class WordReader {
 public:
  // Bytes that the longest word of n bytes of text may take, with U+2581 in front.
  static constexpr u64 word_bytes(u64 n_byte) { return 3 * n_byte + 3; }

  // Words are written into `word`, of word_bytes(text.size()).
  WordReader(WordRules rules, Str text, Span<char> word)
      : rules_(rules), text_(text), word_(word) {}

  // The next word, with U+2581 in front. False after the last one. Words beyond rules.max_chars are
  // given as U+2581 alone.
  [[nodiscard]] bool next(Str& word);

 private:
  void append(u32 codepoint);
  // The letters of `codepoint` as the rules spell them.
  void append_letter(u32 codepoint);

  WordRules rules_;
  Str text_;
  Span<char> word_;
  usize position_ = 0;
  usize n_ = 0;
  u32 n_char_ = 0;
};

// Cuts `word` and gives put(id) each piece. False where no piece fits at some place; what was put
// before is void then. Adds the steps of all walks to n_step: at most word.size() * (longest
// piece).
template <class Put>
bool cut_word(const PieceIndex& index, Str word, u64& n_step, const Put& put) {
  for (usize begin = 0; begin < word.size();) {
    PieceIndex::Walk walk(index);
    u32 longest = Vocab::kNoToken;
    usize end_of_longest = begin;
    for (usize end = begin; end < word.size();) {
      ++n_step;
      if (!walk.step(static_cast<u8>(word[end++]))) break;
      const u32 id = walk.id();
      if (id == Vocab::kNoToken) continue;
      longest = id;
      end_of_longest = end;
    }
    if (longest == Vocab::kNoToken) return false;
    put(longest);
    begin = end_of_longest;
  }
  return true;
}

}  // namespace lbm
