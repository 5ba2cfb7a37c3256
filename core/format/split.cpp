#include "core/format/split.h"

#include "core/base/arith.h"
#include "core/base/byte_reader.h"
#include "core/base/fmt.h"
#include "core/format/gguf.h"

namespace lbm {
namespace {

constexpr Str kNoKey = "split.no";
constexpr Str kCountKey = "split.count";
constexpr Str kTensorsKey = "split.tensors.count";
constexpr u64 kMaxCount = 65535;  // the key is a u16

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Five digits at `at`.
bool read_digits(Str text, usize at, u32& out) {
  constexpr usize kDigits = 5;
  out = 0;
  for (usize i = at; i < at + kDigits; ++i) {
    if (!is_digit(text[i])) return false;
    out = out * 10 + static_cast<u32>(text[i] - '0');
  }
  return true;
}

}  // namespace

bool parse_part_name(Str name, PartName& out) {
  constexpr usize kTail = sizeof("-00001-of-00002.gguf") - 1;
  if (name.size() <= kTail) return false;
  const usize at = name.size() - kTail;
  const Str tail = name.from(at);
  PartName parsed;
  if (tail[0] != '-' || tail.slice(6, 4) != "-of-" || !read_digits(tail, 1, parsed.number) ||
      !read_digits(tail, 10, parsed.count)) {
    return false;
  }
  parsed.stem = name.first(at);
  parsed.suffix = tail.from(15);
  if (parsed.suffix[0] != '.' || parsed.number == 0 || parsed.number > parsed.count) return false;
  out = parsed;
  return true;
}

// ---- the joined bytes

Status JoinedSource::read(u64 offset, Span<u8> out) {
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kTruncated, "read beyond the last part").at(size_);
  }
  for (usize i = 0; i < pieces_.size() && !out.empty(); ++i) {
    const u64 end = i + 1 < pieces_.size() ? pieces_[i + 1].offset : size_;
    if (offset >= end) continue;
    const usize n = static_cast<usize>(min_u64(out.size(), end - offset));
    const Status status = pieces_[i].source->read(offset - pieces_[i].offset, out.first(n));
    if (!status.ok()) {
      Error error = status.error();
      if (error.offset != Error::kNoOffset) error.offset += pieces_[i].offset;
      return error;
    }
    offset += n;
    out = out.from(n);
  }
  return {};
}

bool JoinedSource::concurrent() const {
  for (const Piece& piece : pieces_) {
    if (!piece.source->concurrent()) return false;
  }
  return true;
}

// ---- the parts

Result<ModelFile> read_gguf(ByteSource& source, Arena& arena) {
  Result<ModelFile> file = GgufReader(source, arena).read();
  if (!file.ok()) return file;
  Result<u64> count = file.value().get_u64_or(kCountKey, 1, 0, kMaxCount);
  if (!count.ok()) return count.error();
  if (count.value() <= 1) return file;
  if (count.value() > kMaxParts) {
    return fail(ErrorCode::kLimit, "too many parts; join them with lbm convert or gguf-split")
        .about(kCountKey)
        .with(count.value(), kMaxParts)
        .at(file.value().place_of(kCountKey));
  }
  Result<u64> index = file.value().get_u64(kNoKey, 0, count.value() - 1);
  if (!index.ok()) return index.error();
  return SplitReader(source, arena)
      .join(file.value(), static_cast<u32>(index.value()), static_cast<u32>(count.value()));
}

Result<ModelFile> SplitReader::join(const ModelFile& own, u32 index, u32 count) {
  if (Status s = check_name(index, count); !s.ok()) return s.error();
  Result<Span<Part>> parts = arena_.take<Part>(count, "parts of the model");
  if (!parts.ok()) return parts.error();
  parts_ = parts.value();
  Result<Span<ModelPart>> listed = arena_.take<ModelPart>(count, "parts of the model");
  if (!listed.ok()) return listed.error();
  listed_ = listed.value();
  if (Status s = open_parts(own, index); !s.ok()) return s.error();
  if (Status s = check_total(); !s.ok()) return s.error();
  return merge();
}

// The name is the only way to the other parts, so it has to agree with what the file says.
Status SplitReader::check_name(u32 index, u32 count) {
  const Str name = source_.name();
  if (!parse_part_name(name, name_)) {
    return fail(ErrorCode::kMissing,
                "a part of a split model needs its name, NAME-00001-of-0000N.gguf, so that the "
                "others can be found beside it; this is part")
        .about(name)
        .with(index + 1, count);
  }
  if (name_.count != count) {
    return fail(ErrorCode::kMismatch, "the name tells another number of parts than the file")
        .about(name)
        .with(name_.count, count);
  }
  if (name_.number != index + 1) {
    return fail(ErrorCode::kMismatch, "the name tells another part than the file; it was renamed")
        .about(name)
        .with(name_.number, index + 1);
  }
  return {};
}

// Opens and reads every part but the own one.
Status SplitReader::open_parts(const ModelFile& own, u32 index) {
  u64 offset = 0;
  for (u32 i = 0; i < parts_.size(); ++i) {
    TextBuffer<FileEntry::kMaxPath + 1> name;
    // {:5} pads with spaces, names with zeros.
    name.print("{}-", name_.stem);
    for (u32 unit = 10000; unit != 0; unit /= 10) name.print("{}", (i + 1) / unit % 10);
    name.print("-of-");
    for (u32 unit = 10000; unit != 0; unit /= 10) name.print("{}", name_.count / unit % 10);
    name.print("{}", name_.suffix);
    Result<Str> kept = arena_.take_text(name.text(), "names of parts");
    if (!kept.ok()) return kept.error();
    listed_[i].name = kept.value();
    if (i == index) {
      parts_[i] = {&source_, own};
    } else {
      Result<ByteSource*> source = source_.open_beside(kept.value());
      if (!source.ok()) {
        if (source.error().code != ErrorCode::kNotFound) return source.error();
        return fail(ErrorCode::kMissing, "this part of the model is not beside the others; parts")
            .about(kept.value())
            .with(i + 1, parts_.size());
      }
      Result<ModelFile> file = GgufReader(*source.value(), arena_).read();
      if (!file.ok()) return in_part(file.error(), i);
      parts_[i] = {source.value(), file.value()};
    }
    const ModelFile& file = parts_[i].file;
    listed_[i].offset = offset;
    listed_[i].n_byte = file.file_size();
    listed_[i].n_tensor = file.n_tensor();
    if (!checked_add(offset, file.file_size(), offset)) {
      return fail(ErrorCode::kOverflow, "the parts together are too large").about(kept.value());
    }
    if (Status s = check_part(i); !s.ok()) return in_part(s.error(), i);
  }
  return {};
}

// What part `index` says about the whole has to be what the first says.
Status SplitReader::check_part(u32 index) {
  const ModelFile& first = parts_[0].file;
  const ModelFile& file = parts_[index].file;
  Result<u64> number = file.get_u64(kNoKey, 0, kMaxCount);
  if (!number.ok()) return number.error();
  if (number.value() != index) {
    return fail(ErrorCode::kMismatch, "this part has the name of another; it says that it is part")
        .about(kNoKey)
        .with(number.value() + 1, index + 1)
        .at(file.place_of(kNoKey));
  }
  Result<u64> count = file.get_u64(kCountKey, 0, kMaxCount);
  if (!count.ok()) return count.error();
  if (count.value() != parts_.size()) {
    return fail(ErrorCode::kMismatch, "a part of another model: its number of parts")
        .about(kCountKey)
        .with(count.value(), parts_.size())
        .at(file.place_of(kCountKey));
  }
  Result<u64> all = file.get_u64(kTensorsKey, 0, kMaxTensorCount);
  if (!all.ok()) return all.error();
  if (index == 0) n_tensor_ = all.value();
  if (all.value() != n_tensor_) {
    return fail(ErrorCode::kMismatch, "a part of another model: its tensors in all parts")
        .about(kTensorsKey)
        .with(all.value(), n_tensor_)
        .at(file.place_of(kTensorsKey));
  }
  constexpr Str kSameKeys[] = {"general.architecture", "general.name"};
  for (const Str key : kSameKeys) {
    MetaValue here;
    MetaValue there;
    if (!file.find(key, here) || !first.find(key, there)) continue;
    if (here.type == there.type && here.text == there.text) continue;
    return fail(ErrorCode::kMismatch, "a part of another model: it differs from the first in this")
        .about(key)
        .at(here.file_offset);
  }
  return {};
}

Status SplitReader::check_total() const {
  u64 n_tensor = 0;
  for (const ModelPart& part : listed_) n_tensor += part.n_tensor;
  if (n_tensor == n_tensor_) return {};
  return fail(ErrorCode::kMismatch, "the parts together have another number of tensors")
      .about(kTensorsKey)
      .with(n_tensor, n_tensor_)
      .at(parts_[0].file.place_of(kTensorsKey));
}

// The entries of all tables in one, with offsets that count from the first byte of the first part.
// check_total() has seen that there are no more of them than one file may have.
Result<ModelFile> SplitReader::merge() {
  u64 n_byte = 0;
  u32 n_tensor = 0;
  for (const Part& part : parts_) {
    const NameTable& names = part.file.tensors_;
    n_byte += names.position(names.size()) - names.position(0);
    n_tensor += names.size();
  }
  Result<NameTable> names = NameTable::create(arena_, n_tensor, "table of tensors");
  if (!names.ok()) return names.error();  // mutants: what is taken next is larger, and fails, too
  Result<Span<u8>> table = arena_.take_raw(n_byte, "table of tensors");
  if (!table.ok()) return table.error();
  if (Status s = copy_table(table.value(), names.value()); !s.ok()) return s.error();

  Result<Span<JoinedSource::Piece>> pieces =
      arena_.take<JoinedSource::Piece>(parts_.size(), "parts of the model");
  if (!pieces.ok()) return pieces.error();
  for (u32 i = 0; i < parts_.size(); ++i) {
    pieces.value()[i] = {parts_[i].source, listed_[i].offset};
  }
  const u64 size = listed_[parts_.size() - 1].offset + listed_[parts_.size() - 1].n_byte;
  Result<JoinedSource*> joined =
      arena_.make<JoinedSource>("parts of the model", pieces.value(), size);
  if (!joined.ok()) return joined.error();

  ModelFile whole = parts_[0].file;
  whole.tensor_table_ = table.value();
  whole.tensors_ = names.value();
  whole.parts_ = listed_;
  whole.data_ = joined.value();
  whole.file_size_ = size;
  whole.data_offset_ = 0;
  return whole;
}

Status SplitReader::copy_table(Span<u8> table, NameTable& names) {
  usize at = 0;
  u32 index = 0;
  for (u32 p = 0; p < parts_.size(); ++p) {
    const ModelFile& file = parts_[p].file;
    for (u32 i = 0; i < file.n_tensor(); ++i, ++index) {
      const u32 start = file.tensors_.position(i);
      const usize n = file.tensors_.position(i + 1) - start;
      __builtin_memcpy(table.data() + at, file.tensor_table_.data() + start, n);
      names.set(index, static_cast<u32>(at), file.tensors_.name(i));
      at += n;
      // The offset is the last field of an entry.
      const u64 offset = listed_[p].offset + file.tensor(i).file_offset;
      for (u32 k = 0; k < 8; ++k) table[at - 8 + k] = static_cast<u8>(offset >> (8 * k));
    }
  }
  names.set_end(static_cast<u32>(at));
  const Status sorted = names.sort(table);
  if (sorted.ok()) return {};
  Error error = sorted.error();
  // Of a name that stands twice the message has a place in our table, which nobody can look up.
  error.offset = Error::kNoOffset;
  error.what = "two parts have a tensor of this name; one is of another model";
  return error;
}

Error SplitReader::in_part(const Error& error, u32 index) const {
  TextBuffer<Error::kSubjectCapacity> subject;
  subject.print("part {}", index + 1);
  if (error.subject_size != 0) subject.print(", {}", error.subject_text());
  Error out = error;
  return out.about(subject.text());
}

}  // namespace lbm
