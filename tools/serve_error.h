// A request that `lbm serve` does not carry out: the status and the OpenAI error object that say
// so.
#pragma once

#include <stdexcept>
#include <string>

namespace lbm::cli {

class ApiError : public std::runtime_error {
 public:
  // `code` is what programs compare, `param` the field that is wrong; empty: null in the object.
  ApiError(int status, const std::string& message, std::string code = "", std::string param = "")
      : std::runtime_error(message),
        status_(status),
        code_(std::move(code)),
        param_(std::move(param)) {}

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& code() const { return code_; }
  [[nodiscard]] const std::string& param() const { return param_; }

 private:
  int status_;
  std::string code_;
  std::string param_;
};

}  // namespace lbm::cli
