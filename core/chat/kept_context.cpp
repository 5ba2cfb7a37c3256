// See kept_context.h.
#include "core/chat/kept_context.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr Str kRecord = "SNAPSHOT";

Record snapshot_record(StateStore& store, const Engine& engine) {
  const Sha256BlockFn blocks = engine.kernels().sha256_blocks;
  return Record(store.files(), kRecord, blocks != nullptr ? blocks : sha256_blocks_portable);
}

// SHA-256 of the file where it was hashed on loading, else of its name and size.
Sha256Digest identity(const ContextToKeep& of) {
  if (!(of.engine.file_hash() == Sha256Digest())) return of.engine.file_hash();
  Sha256 hash;
  hash.update(of.model_label.bytes());
  u8 size[8];
  for (u32 i = 0; i < 8; ++i) size[i] = static_cast<u8>(of.model_bytes >> (8 * i));
  hash.update(size);
  return hash.finish();
}

// Pieces of any size in, appends of a buffer's size out: on a stick each write has its price.
class Appender final : public StateVisitor {
 public:
  Appender(Record& record, Span<u8> buffer) : record_(record), buffer_(buffer) {}

  [[nodiscard]] bool on_state(Span<u8> bytes) override { return add(bytes); }
  [[nodiscard]] bool add(Span<const u8> bytes) {
    while (!bytes.empty()) {
      const usize n = static_cast<usize>(min_u64(bytes.size(), buffer_.size() - n_held_));
      __builtin_memcpy(buffer_.data() + n_held_, bytes.data(), n);
      n_held_ += n;
      bytes = bytes.from(n);
      if (n_held_ == buffer_.size() && !flush()) return false;
    }
    return true;
  }
  [[nodiscard]] bool flush() {
    status_ = record_.append(buffer_.first(n_held_));
    n_held_ = 0;
    return status_.ok();
  }
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  Record& record_;
  Span<u8> buffer_;
  usize n_held_ = 0;
  Status status_;
};

class Filler final : public StateVisitor {
 public:
  Filler(const Record& record, u64 at) : record_(record), at_(at) {}

  [[nodiscard]] bool on_state(Span<u8> bytes) override {
    status_ = record_.read(at_, bytes);
    at_ += bytes.size();
    return status_.ok();
  }
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  const Record& record_;
  u64 at_;
  Status status_;
};

}  // namespace

Result<u64> save_context(StateStore& store, const ContextToKeep& from, Str name, Str text,
                         Span<u8> buffer, ProgressObserver* progress) {
  Session& session = from.engine.session();
  SnapshotHead head;
  head.n_token = session.n_state_token();
  if (head.n_token == 0) return fail(ErrorCode::kInvalidArgument, "nothing was evaluated yet");
  if (const Status named = head.set_name(name); !named.ok()) return named.error();
  const Span<const u32> tokens = session.tokens().first(head.n_token);
  head.kv_type = static_cast<u32>(session.kv_type());
  head.model = identity(from);
  head.state_bytes = session.state_bytes(head.n_token);
  head.text_bytes = text.size();
  head.tokens = hash_tokens(tokens);

  Record record = snapshot_record(store, from.engine);
  if (const Status opened = store.open(record, kSnapshotBytes, progress); !opened.ok())
    return opened.error();
  if (head.payload_bytes() > record.capacity()) {
    return fail(ErrorCode::kLimit, "the context is larger than its place")
        .about(kRecord)
        .with(head.payload_bytes(), record.capacity());
  }
  if (!store.why_read_only().empty())
    return fail(ErrorCode::kReadOnly, "nothing is kept here").about(kRecord);
  u8 bytes[SnapshotHead::kBytes];
  head.write(bytes);
  record.begin();
  Appender out(record, buffer);
  const bool is_whole =
      out.add(bytes) &&
      out.add({reinterpret_cast<const u8*>(tokens.data()), tokens.size_bytes()}) &&
      out.add(text.bytes()) && session.visit_state(out) && out.flush();
  const Status kept = store.note(record, is_whole ? record.commit() : out.status());
  if (!kept.ok()) return kept.error();
  return head.payload_bytes();
}

Result<Str> load_context(StateStore& store, const ContextToKeep& into, Str name, Span<u8> buffer) {
  Session& session = into.engine.session();
  Record record = snapshot_record(store, into.engine);
  if (const Status opened = record.open(); !opened.ok()) return opened.error();
  if (record.damaged()) return fail(ErrorCode::kBadHash, "it is damaged").about(kRecord);
  if (!record.present()) return fail(ErrorCode::kNotFound, "no context was kept");
  u8 bytes[SnapshotHead::kBytes] = {};
  const usize n_head = static_cast<usize>(min_u64(record.size(), sizeof(bytes)));
  if (const Status read = record.read(0, {bytes, n_head}); !read.ok()) return read.error();
  const Result<SnapshotHead> parsed = SnapshotHead::parse(bytes, record.size());
  if (!parsed.ok()) return parsed.error();
  const SnapshotHead& head = parsed.value();
  if (!name.empty() && head.name_text() != name)
    return fail(ErrorCode::kNotFound, "the context that was kept has another name")
        .about(head.name_text());
  SnapshotHead wanted;
  wanted.kv_type = static_cast<u32>(session.kv_type());
  wanted.model = identity(into);
  wanted.state_bytes = session.state_bytes(head.n_token);
  if (const Status fits = match_snapshot(head, wanted, session.n_ctx()); !fits.ok())
    return fits.error();

  const usize n_token_byte = usize{head.n_token} * sizeof(u32);
  if (n_token_byte > buffer.size() || head.text_bytes > buffer.size() - n_token_byte)
    return fail(ErrorCode::kLimit, "the kept context is too long").about(head.name_text());
  const Span<u8> front = buffer.first(n_token_byte + static_cast<usize>(head.text_bytes));
  if (const Status read = record.read(SnapshotHead::kBytes, front); !read.ok()) return read.error();
  const Span<const u32> tokens(reinterpret_cast<const u32*>(front.data()), head.n_token);
  if (!(hash_tokens(tokens) == head.tokens))
    return fail(ErrorCode::kBadHash, "the tokens are not those of the context")
        .about(head.name_text());
  Filler filler(record, SnapshotHead::kBytes + front.size());
  const Status restored = session.restore_state(tokens, filler);
  if (!restored.ok()) return filler.status().ok() ? restored.error() : filler.status().error();
  return Str(Span<const u8>(front.from(n_token_byte)));
}

}  // namespace lbm
