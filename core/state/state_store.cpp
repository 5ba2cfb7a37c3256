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

namespace {

Error refused(const Record& record) {
  return fail(ErrorCode::kReadOnly, "nothing is kept here").about(record.name());
}

}  // namespace

Str StateStore::why_read_only() const {
  return has_failed_ ? reason_.text() : files_->why_read_only();
}

Str StateStore::take_notice() {
  const Str why = why_read_only();
  const bool is_news = !why.empty() && !was_told_;
  was_told_ = !why.empty();
  return is_news ? why : Str();
}

Status StateStore::open(Record& record, u64 bytes, ProgressObserver* progress) {
  const Status opened = record.open();
  const bool is_whole =
      opened.ok() && (record.present() || record.capacity() + Record::kHeaderBytes >= bytes);
  if (is_whole) return opened;
  // Also where opening failed because of it: a disk that was taken out.
  if (!why_read_only().empty()) return refused(record);
  const ErrorCode code = opened.ok() ? ErrorCode::kOk : opened.error().code;
  // kLimit: too small for anything, as a power cut may leave what was just made.
  if (!opened.ok() && code != ErrorCode::kNotFound && code != ErrorCode::kLimit) return opened;
  const Status made = files_->reserve(record.name(), bytes, progress);
  if (made.ok()) return record.open();
  // An image may have smaller places than this version makes.
  return opened.ok() && made.error().code == ErrorCode::kLimit ? opened : made;
}

Status StateStore::write(Record& record, Span<u8> bytes, usize size) {
  if (!why_read_only().empty()) return refused(record);
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
  reason_.clear();
  // What the medium says of itself is the reason, and its notice is enough.
  if (const Str why = files_->why_read_only(); !why.empty()) {
    reason_.append(why);
    return refused(record);
  }
  char text[200];
  reason_.append(format_error(committed.error(), text));
  return committed;
}

}  // namespace lbm
