// See journal.h.
#include "core/state/journal.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr Str kStem = "LOG";
constexpr Str kHashField = ",\"h\":\"";
constexpr usize kHexBytes = 64;
constexpr u64 kMaxCount = u64{1} << 53;  // of segments and lines: counting on never wraps

// Cuts `text` to `most` bytes, between characters.
Str cut(Str text, usize most) {
  if (text.size() <= most) return text;
  usize n = most;
  while (n > 0 && (static_cast<u8>(text[n]) & 0xC0) == 0x80) --n;
  return text.first(n);
}

void put_json_text(Str text, TextWriter& out) {
  constexpr Str kDigits = "0123456789abcdef";
  out.append("\"");
  for (usize i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\\') {
      out.append("\\").append(text.slice(i, 1));
    } else if (static_cast<u8>(c) < 0x20 || c == 0x7F) {
      const u8 byte = static_cast<u8>(c);
      out.append("\\u00").append(kDigits.slice(byte >> 4, 1)).append(kDigits.slice(byte & 15, 1));
    } else {
      out.append(text.slice(i, 1));
    }
  }
  out.append("\"");
}

Sha256Digest chain(const Sha256Digest& before, Str line) {
  Sha256 hash;
  hash.update(before.bytes);
  hash.update(line.bytes());
  return hash.finish();
}

// The number behind `key` in a line of ours. False: there is none.
bool number_behind(Str line, Str key, u64& out) {
  const usize at = line.find(key);
  if (at == Str::kNone) return false;
  const usize first = at + key.size();
  usize end = first;
  while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
  return parse_u64(line.slice(first, end - first), out);
}

struct Head {
  u64 segment = 0;
  u64 first = 0;
  Sha256Digest prev;
};

bool parse_head(Str line, Head& out) {
  constexpr Str kPrev = "\"prev\":\"";
  if (!line.starts_with("{\"journal\":1,\"segment\":")) return false;
  const usize prev = line.find(kPrev);
  if (prev == Str::kNone || line.size() != prev + kPrev.size() + kHexBytes + 2) return false;
  return number_behind(line, "\"segment\":", out.segment) && out.segment != 0 &&
         out.segment <= kMaxCount && number_behind(line, "\"first\":", out.first) &&
         out.first <= kMaxCount &&
         parse_hex_digest(line.slice(prev + kPrev.size(), kHexBytes), out.prev);
}

// True when `line` is number `n` of the chain that ends in `last`, which then is its hash.
bool continues(Str line, u64 n, Sha256Digest& last) {
  const usize tail = kHashField.size() + kHexBytes + 2;
  if (line.size() <= tail || !line.ends_with("\"}")) return false;
  const usize split = line.size() - tail;
  Sha256Digest said;
  u64 number = 0;
  if (line.slice(split, kHashField.size()) != kHashField ||
      !parse_hex_digest(line.slice(split + kHashField.size(), kHexBytes), said) ||
      !line.starts_with("{\"n\":") || !number_behind(line, "{\"n\":", number) || number != n) {
    return false;
  }
  if (!(chain(last, line.first(split)) == said)) return false;
  last = said;
  return true;
}

// Cuts the first line off `text`. False: none is whole.
bool take_line(Str& text, Str& line) {
  const usize end = text.find("\n");
  if (end == Str::kNone) return false;
  line = text.first(end);
  text = text.from(end + 1);
  return true;
}

}  // namespace

Journal::Journal(StateStore& store, Span<u8> buffer) : store_(store), buffer_(buffer) {
  for (u32 i = 0; i < kStateLogs; ++i) {
    names_[i] = numbered_record(kStem, i);
    records_[i] = Record(store.files(), names_[i].str());
  }
}

bool Journal::open() {
  segment_ = 0;
  next_line_ = 1;
  n_text_ = 0;
  last_ = {};
  bool is_sound = true;
  u32 newest = 0;
  for (u32 i = 0; i < kStateLogs; ++i) {
    if (!records_[i].open().ok()) continue;
    if (records_[i].damaged()) is_sound = false;
    u8 bytes[256] = {};
    const usize n = static_cast<usize>(min_u64(records_[i].size(), sizeof(bytes)));
    if (!records_[i].present() || !records_[i].read(0, {bytes, n}).ok()) continue;
    Str rest(Span<const u8>(bytes, n));
    Str line;
    Head head;
    if (!take_line(rest, line) || !parse_head(line, head) || head.segment % kStateLogs != i) {
      is_sound = false;
      continue;
    }
    if (head.segment <= segment_) continue;
    segment_ = head.segment;
    newest = i;
  }
  if (segment_ == 0) return is_sound;
  // The whole of the newest one.
  const Span<u8> room = buffer_.from(Record::kHeaderBytes);
  const Result<Span<u8>> bytes = records_[newest].read_all(room);
  Str rest = bytes.ok() ? Str(bytes.value()) : Str();
  n_text_ = rest.size();
  Str line;
  Head head;
  bool is_whole = take_line(rest, line) && parse_head(line, head);
  if (is_whole) start(head.segment, head.first, head.prev);
  while (is_whole && !rest.empty()) {
    is_whole = take_line(rest, line) && continues(line, next_line_, last_);
    if (is_whole) ++next_line_;
  }
  if (is_whole) return is_sound;
  n_text_ = 0;  // the next line begins a segment
  return false;
}

void Journal::start(u64 segment, u64 first_line, const Sha256Digest& last) {
  segment_ = segment;
  next_line_ = first_line;
  last_ = last;
}

Status Journal::begin_segment() {
  const u64 segment = segment_ + 1;
  Record& record = records_[segment % kStateLogs];
  const Status opened = store_.open(record, kLogBytes);
  if (!opened.ok()) return opened;
  TextWriter out({reinterpret_cast<char*>(buffer_.data()) + Record::kHeaderBytes,
                  buffer_.size() - Record::kHeaderBytes});
  out.print("{{\"journal\":1,\"segment\":{},\"first\":{},\"prev\":\"{}\"}\n", segment, next_line_,
            to_hex(last_).str());
  segment_ = segment;
  n_text_ = out.text().size();
  return {};
}

Status Journal::add(Str time, Str event) {
  // Escapes make six bytes of one, at most.
  TextBuffer<128 + 6 * (kMaxEventBytes + kMaxTimeBytes) + kHexBytes> line;
  line.print("{{\"n\":{},\"t\":", next_line_);
  put_json_text(cut(time, kMaxTimeBytes), line);
  line.append(",\"e\":");
  put_json_text(cut(event, kMaxEventBytes), line);
  const Sha256Digest hash = chain(last_, line.text());
  line.append(kHashField).append(to_hex(hash).str()).append("\"}\n");
  LBM_CHECK(!line.truncated());
  const usize most = static_cast<usize>(min_u64(kLogBytes, buffer_.size())) - Record::kHeaderBytes;
  // A segment that a stranger wrote may be fuller than ours become.
  if (n_text_ == 0 || n_text_ > most || line.text().size() > most - n_text_) {
    const Status flushed = flush();
    if (!flushed.ok()) return flushed;
    const Status begun = begin_segment();
    if (!begun.ok()) return begun;
  }
  __builtin_memcpy(buffer_.data() + Record::kHeaderBytes + n_text_, line.text().data(),
                   line.text().size());
  n_text_ += line.text().size();
  last_ = hash;
  ++next_line_;
  is_dirty_ = true;
  return {};
}

Status Journal::flush() {
  if (!is_dirty_) return {};
  is_dirty_ = false;
  return store_.write(records_[segment_ % kStateLogs], buffer_, n_text_);
}

Journal::Chain Journal::read(Span<u8> scratch, Reader& reader) {
  Chain result;
  Sha256Digest last;
  u64 expected = 0;
  const u64 oldest = segment_ >= kStateLogs ? segment_ - kStateLogs + 1 : 1;
  for (u64 segment = oldest; segment <= segment_ && segment_ != 0; ++segment) {
    const Record& record = records_[segment % kStateLogs];
    Str rest;
    if (segment == segment_) {
      rest = text();
    } else if (record.present()) {
      const Result<Span<u8>> bytes = record.read_all(scratch);
      if (bytes.ok()) rest = Str(bytes.value());
    }
    Str line;
    Head head;
    if (!take_line(rest, line) || !parse_head(line, head) || head.segment != segment) {
      if (expected != 0) ++result.n_unreadable;
      continue;
    }
    reader.on_line(line);
    const bool is_first = expected == 0;
    if (is_first) result.first_line = head.first;
    if (!is_first && result.broken_line == 0 && (head.first != expected || !(head.prev == last)))
      result.broken_line = head.first;
    last = head.prev;
    expected = head.first;
    while (take_line(rest, line)) {
      reader.on_line(line);
      if (!continues(line, expected, last) && result.broken_line == 0)
        result.broken_line = expected;
      ++expected;
      ++result.n_line;
    }
  }
  return result;
}

}  // namespace lbm
