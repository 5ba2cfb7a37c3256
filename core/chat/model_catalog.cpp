// See model_catalog.h.
#include "core/chat/model_catalog.h"

#include "core/format/split.h"

namespace lbm {
namespace {

char fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c + ('a' - 'A'));
  return c == '\\' ? '/' : c;
}

bool starts_with_folded(Str text, Str prefix) {
  if (prefix.size() > text.size()) return false;
  for (usize i = 0; i < prefix.size(); ++i) {
    if (fold(text[i]) != fold(prefix[i])) return false;
  }
  return true;
}

bool same_folded(Str a, Str b) { return a.size() == b.size() && starts_with_folded(a, b); }

Str leaf(Str path) {
  usize start = 0;
  for (usize i = 0; i < path.size(); ++i) {
    if (path[i] == '/') start = i + 1;
  }
  return path.from(start);
}

Str stem(Str name) {
  for (usize i = name.size(); i > 0; --i) {
    if (name[i - 1] == '.') return name.first(i - 1);
  }
  return name;
}

// "tokenizer.bin", "stories15M.tokenizer.bin"
bool is_tokenizer(Str name) {
  constexpr Str kName = "tokenizer.bin";
  if (name.size() < kName.size()) return false;
  const usize before = name.size() - kName.size();
  return same_folded(name.from(before), kName) && (before == 0 || name[before - 1] == '.');
}

// How well a file answers to a name; a better match hides all worse ones.
enum class Match : u8 { kNone, kPrefix, kStem, kStemGguf, kLeaf, kPath };

Match match(const FileEntry& file, Str name) {
  TextBuffer<FileEntry::kMaxPath + 16> label;
  label.print("{}:{}", file.volume, file.name());
  if (same_folded(file.name(), name) || same_folded(label.text(), name)) return Match::kPath;
  const Str own = leaf(file.name());
  if (same_folded(own, name)) return Match::kLeaf;
  // x.gguf before x.bin: only it carries its tokenizer.
  if (same_folded(stem(own), name) || same_folded(stem(file.name()), name)) {
    return file_kind(own) == "gguf" ? Match::kStemGguf : Match::kStem;
  }
  return starts_with_folded(own, name) ? Match::kPrefix : Match::kNone;
}

}  // namespace

Str file_label(const FileEntry& file, TextWriter& out) {
  if (file.volume == 0) return out.append(file.name()).text();
  return out.print("{}:{}", file.volume, file.name()).text();
}

Str file_kind(Str path) {
  const Str own = leaf(path);
  const Str extension = own.from(stem(own).size());
  if (same_folded(extension, ".gguf")) return "gguf";
  if (same_folded(extension, ".bin")) return "bin";
  if (same_folded(extension, ".slm")) return "slm";
  return "unknown";
}

void ModelCatalog::refresh(Volume& volume) {
  n_file_ = volume.list_models(storage_);
  if (n_file_ > storage_.size()) n_file_ = static_cast<u32>(storage_.size());
  fold_parts();
}

// Only what can be chosen stays: of a split model its first part, with the size of all, and no
// tokenizers of llama2.c.
void ModelCatalog::fold_parts() {
  const Span<FileEntry> files = storage_.first(n_file_);
  for (FileEntry& file : files) {
    PartName first;
    if (!parse_part_name(file.name(), first) || first.number != 1) continue;
    for (const FileEntry& other : files) {
      PartName part;
      if (other.volume != file.volume || !parse_part_name(other.name(), part)) continue;
      if (part.number != 1 && part.count == first.count && same_folded(part.stem, first.stem))
        file.size_bytes += other.size_bytes;
    }
  }
  u32 n_kept = 0;
  for (u32 i = 0; i < n_file_; ++i) {
    PartName part;
    const bool is_later_part = parse_part_name(files[i].name(), part) && part.number != 1;
    if (!is_later_part && !is_tokenizer(leaf(files[i].name()))) files[n_kept++] = files[i];
  }
  n_file_ = n_kept;
}

Result<u32> ModelCatalog::resolve(Str name) const {
  name = name.trimmed();
  while (name.starts_with("/") || name.starts_with("\\") || name.starts_with("./")) {
    name = name.from(name.starts_with("./") ? 2 : 1);
  }
  if (name.empty()) return fail(ErrorCode::kNotFound, "no model is named");
  u64 number = 0;
  if (parse_u64(name, number) && number >= 1 && number <= n_file_)
    return static_cast<u32>(number - 1);
  Match best = Match::kNone;
  u32 index = 0;
  u32 n_best = 0;
  for (u32 i = 0; i < n_file_; ++i) {
    const Match found = match(storage_[i], name);
    if (found == Match::kNone || found < best) continue;
    n_best = found == best ? n_best + 1 : 1;
    if (found > best) index = i;
    best = found;
  }
  if (n_best == 0)
    return fail(ErrorCode::kNotFound, "no model of this name; /models lists them").about(name);
  // The same path on two volumes: the program's own volume comes first. Anything else must be said
  // more exactly.
  if (n_best > 1 && best < Match::kLeaf) {
    return fail(ErrorCode::kInvalidArgument, "more than one model begins so; /models has numbers")
        .about(name)
        .with(n_best);
  }
  return index;
}

ModelCatalog::Totals ModelCatalog::totals() const {
  Totals totals;
  for (u32 i = 0; i < n_file_; ++i) {
    const Str kind = file_kind(storage_[i].name());
    if (kind == "bin") ++totals.n_bin;
    if (kind == "gguf") ++totals.n_gguf;
    totals.bytes += storage_[i].size_bytes;
  }
  return totals;
}

}  // namespace lbm
