// See state_store.h.
#include "core/state/state_store.h"

namespace lbm {

RecordName numbered_record(Str stem, u32 number) {
  RecordName name;
  TextWriter text(name.text);
  text.append(stem).print("{}{}", number / 10, number % 10);
  name.size = static_cast<u32>(text.text().size());
  return name;
}

Str StateStore::why_read_only() const {
  return has_failed_ ? reason_.text() : files_->why_read_only();
}

Str StateStore::take_notice() {
  const Str why = why_read_only();
  if (why.empty() || was_told_) return {};
  was_told_ = true;
  return why;
}

Status StateStore::open(Record& record, u64 bytes) {
  Status opened = record.open();
  if (opened.ok() || opened.error().code != ErrorCode::kNotFound) return opened;
  const Str why = why_read_only();
  if (!why.empty()) return fail(ErrorCode::kReadOnly, "nothing is kept here").about(record.name());
  const Status made = files_->reserve(record.name(), bytes);
  if (!made.ok()) return made;
  return record.open();
}

Status StateStore::write(Record& record, Span<u8> bytes, usize size) {
  if (!why_read_only().empty())
    return fail(ErrorCode::kReadOnly, "nothing is kept here").about(record.name());
  return note(record, record.write(bytes, size));
}

Status StateStore::note(const Record& record, const Status& committed) {
  if (committed.ok()) {
    if (observer_ != nullptr) observer_->on_commit(record.name(), record.generation());
    return committed;
  }
  // What does not fit is the caller's affair; the medium is as good as before.
  if (committed.error().code == ErrorCode::kLimit) return committed;
  has_failed_ = true;
  char text[200];
  reason_.clear();
  reason_.append(format_error(committed.error(), text));
  return committed;
}

}  // namespace lbm
