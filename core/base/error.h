// What went wrong, as data. An Error allocates nothing and becomes text only where a person reads
// it (format_error).
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// One enumerator for each way an input or the environment can fail. Spelled in messages as
// [truncated], [bad_magic] ...
enum class ErrorCode : u8 {
  kOk,
  kTruncated,        // the bytes end before the structure does
  kBadMagic,         // not the format that was expected
  kBadEndian,        // the format, in the other byte order
  kBadVersion,       // a version this build does not read
  kLimit,            // a count or length beyond what the format or this build allows
  kBadName,          // an empty, overlong or malformed key or name
  kDuplicate,        // a key or name that was given before
  kBadType,          // a value or tensor of a type that is unknown or not allowed here
  kBadAlignment,     // an alignment that is 0, too large or not a power of two
  kBadShape,         // dimensions that are impossible for the type or the model
  kOverflow,         // a size whose product or sum does not fit
  kBadOffset,        // an offset that is misaligned or beyond the data
  kOverlap,          // two tensors that share bytes
  kMissing,          // a required key, tensor or file is absent
  kMismatch,         // two parts of the input contradict each other
  kBadValue,         // a value out of its range
  kNumeric,          // NaN or infinity where a number is needed
  kIo,               // the device or file system failed
  kBadHash,          // the bytes are not the ones that were promised
  kUnsupported,      // valid, but not something this build can run
  kInvalidArgument,  // a caller's or user's argument is out of range
  kOutOfMemory,      // memory is short
  kContextFull,      // more tokens than the context has room for
  kNotRewindable,    // a position that can no longer be returned to
  kNotFound,         // no such file, command or entry
  kCancelled,        // stopped by the user
  kBadSyntax,        // a template, setting or grammar that does not parse
  kTemplate,         // the template itself raised an exception
  kReadOnly,         // the volume can not be written
};

inline constexpr u32 kErrorCodeCount = static_cast<u32>(ErrorCode::kReadOnly) + 1;

// "truncated", "bad_magic", ...
[[nodiscard]] Str error_code_name(ErrorCode code);

struct Error {
  static constexpr u32 kSubjectCapacity = 96;
  static constexpr u64 kNoOffset = ~u64{0};

  ErrorCode code = ErrorCode::kOk;
  u8 subject_size = 0;
  bool has_value = false;
  bool has_limit = false;
  char subject[kSubjectCapacity] = {};  // the key, tensor or file that is at fault; cut if longer
  const char* what = "";                // a literal: the reason, without the numbers
  u64 value = 0;
  u64 limit = 0;
  u64 offset = kNoOffset;  // byte offset in the input
  u32 source_line = 0;
  const char* source_file = "";

  [[nodiscard]] Str subject_text() const { return {subject, subject_size}; }

  // Builders, so that the place of failure reads as one expression:
  //   return fail(ErrorCode::kBadOffset, "offset beyond data").about(name).with(offset,
  //   limit).at(position);
  Error& about(Str name);
  Error& with(u64 new_value) {
    value = new_value;
    has_value = true;
    return *this;
  }
  Error& with(u64 new_value, u64 new_limit) {
    with(new_value);
    limit = new_limit;
    has_limit = true;
    return *this;
  }
  Error& at(u64 new_offset) {
    offset = new_offset;
    return *this;
  }
};

[[nodiscard]] Error fail(ErrorCode code, const char* what, const char* file = __builtin_FILE(),
                         u32 line = __builtin_LINE());

// Writes "subject: what 912 (limit 900) at byte 77 [bad_offset]" into `out`; returns the part that
// was written.
[[nodiscard]] Str format_error(const Error& error, Span<char> out);

}  // namespace lbm
