#include "core/chat/template_value.h"

namespace lbm {
namespace {

constexpr u32 kMaxItems = 1u << 31;

// Room for one more element: doubles, so that appending n elements copies at most 2 n.
template <class T>
Status make_room(Arena& arena, T*& items, u32 size, u32& capacity, u32 wanted) {
  if (wanted <= capacity) return {};
  if (wanted > kMaxItems) return fail(ErrorCode::kLimit, "too many items").with(wanted, kMaxItems);
  u64 grown = capacity == 0 ? 4 : u64{capacity} * 2;
  if (grown < wanted) grown = wanted;
  if (grown > kMaxItems) grown = kMaxItems;
  u64 bytes = 0;
  if (!checked_mul(grown, sizeof(T), bytes))
    return fail(ErrorCode::kLimit, "too many items").with(wanted);
  Result<Span<u8>> memory = arena.take_raw(bytes, "template values", alignof(T));
  if (!memory.ok()) return memory.error();
  T* fresh = reinterpret_cast<T*>(memory.value().data());
  if (size != 0) __builtin_memcpy(static_cast<void*>(fresh), items, size * sizeof(T));
  items = fresh;
  capacity = static_cast<u32>(grown);
  return {};
}

}  // namespace

TemplateValue TemplateValue::none() {
  TemplateValue out;
  out.kind_ = TemplateKind::kNone;
  return out;
}

TemplateValue TemplateValue::boolean(bool v) {
  TemplateValue out;
  out.kind_ = TemplateKind::kBool;
  out.int_ = v ? 1 : 0;
  return out;
}

TemplateValue TemplateValue::integer(i64 v) {
  TemplateValue out;
  out.kind_ = TemplateKind::kInt;
  out.int_ = v;
  return out;
}

TemplateValue TemplateValue::number(f64 v) {
  TemplateValue out;
  out.kind_ = TemplateKind::kFloat;
  out.float_ = v;
  return out;
}

TemplateValue TemplateValue::text(Str v) {
  TemplateValue out;
  out.kind_ = TemplateKind::kString;
  out.pointer_ = v.data();
  out.size_ = static_cast<u32>(min_u64(v.size(), kMaxTextBytes));
  return out;
}

TemplateValue TemplateValue::markup(Str v) { return text(v).with_origin(TemplateOrigin::kMarkup); }

TemplateValue TemplateValue::list(const TemplateList& v) { return object(TemplateKind::kList, &v); }

TemplateValue TemplateValue::map(const TemplateMap& v) { return object(TemplateKind::kMap, &v); }

TemplateValue TemplateValue::clock(Str iso) {
  TemplateValue out = text(iso);
  out.kind_ = TemplateKind::kClock;
  return out;
}

TemplateValue TemplateValue::undefined(Str name) {
  TemplateValue out = text(name);
  out.kind_ = TemplateKind::kUndefined;
  return out;
}

// An undefined value has no text, so its origin is free to tell the two apart.
TemplateValue TemplateValue::forbidden(Str name) {
  return undefined(name).with_origin(TemplateOrigin::kMarkup);
}

TemplateValue TemplateValue::mixed(const TemplateText& v) {
  TemplateValue out = object(TemplateKind::kString, &v);
  out.origin_ = TemplateOrigin::kMixed;
  return out;
}

TemplateValue TemplateValue::object(TemplateKind kind, const void* v) {
  TemplateValue out;
  out.kind_ = kind;
  out.pointer_ = v;
  return out;
}

TemplateValue TemplateValue::absent() {
  TemplateValue out;
  out.kind_ = TemplateKind::kAbsent;
  return out;
}

TemplateValue TemplateValue::with_origin(TemplateOrigin origin) const {
  TemplateValue out = *this;
  out.origin_ = origin;
  return out;
}

TemplateValue TemplateValue::with_safe(bool safe) const {
  TemplateValue out = *this;
  out.safe_ = safe;
  return out;
}

Str TemplateValue::text() const {
  if (origin_ == TemplateOrigin::kMixed) return mixed_text().bytes;
  if (size_ == 0) return {};
  return {static_cast<const char*>(pointer_), size_};
}

const TemplateList& TemplateValue::as_list() const {
  LBM_CHECK(kind_ == TemplateKind::kList || kind_ == TemplateKind::kTuple);
  return *static_cast<const TemplateList*>(pointer_);
}

const TemplateMap& TemplateValue::as_map() const {
  LBM_CHECK(kind_ == TemplateKind::kMap);
  return *static_cast<const TemplateMap*>(pointer_);
}

Status TemplateList::reserve(Arena& arena, u32 n_item) {
  return make_room(arena, items_, size_, capacity_, n_item);
}

Status TemplateList::append(Arena& arena, TemplateValue v) {
  Status room = make_room(arena, items_, size_, capacity_, size_ + 1);
  if (!room.ok()) return room;
  items_[size_++] = v;
  return {};
}

Status TemplateMap::add(Arena& arena, TemplateValue key, TemplateValue v) {
  Status room = make_room(arena, entries_, size_, capacity_, size_ + 1);
  if (!room.ok()) return room;
  entries_[size_++] = {key, v};
  return {};
}

Status TemplateMap::set(Arena& arena, Str key, TemplateValue v) {
  if (TemplateValue* found = find(key)) {
    *found = v;
    return {};
  }
  return add(arena, TemplateValue::text(key), v);
}

const TemplateValue* TemplateMap::find(Str key) const {
  for (u32 i = 0; i < size_; ++i) {
    if (entries_[i].key.is(TemplateKind::kString) && entries_[i].key.text() == key)
      return &entries_[i].value;
  }
  return nullptr;
}

TemplateValue* TemplateMap::find(Str key) {
  return const_cast<TemplateValue*>(static_cast<const TemplateMap*>(this)->find(key));
}

}  // namespace lbm
