// Result<T>: a value or the Error that prevented it. Status: success or an Error. Both must be
// looked at.
#pragma once

#include "core/base/error.h"
#include "core/base/move.h"

namespace lbm {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(const Error& error) : error_(error) {}  // NOLINT: `return fail(...)` by intent

  [[nodiscard]] bool ok() const { return error_.code == ErrorCode::kOk; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : ok_(true) { new (PlaceAt{&value_}) T(lbm::move(value)); }       // NOLINT
  Result(const Error& error) : ok_(false) { new (PlaceAt{&error_}) Error(error); }  // NOLINT
  Result(Result&& other) noexcept : ok_(other.ok_) {
    if (ok_) {
      new (PlaceAt{&value_}) T(lbm::move(other.value_));
    } else {
      new (PlaceAt{&error_}) Error(other.error_);
    }
  }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  Result& operator=(Result&&) = delete;
  ~Result() {
    if (ok_) value_.~T();
  }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] T& value() {
    LBM_CHECK(ok_);
    return value_;
  }
  [[nodiscard]] const T& value() const {
    LBM_CHECK(ok_);
    return value_;
  }
  [[nodiscard]] const Error& error() const {
    LBM_CHECK(!ok_);
    return error_;
  }

 private:
  bool ok_;
  union {
    T value_;
    Error error_;
  };
};

}  // namespace lbm
