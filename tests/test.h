// The test macros: TEST_CASE, CHECK and REQUIRE, and nothing else.
//
// The tests of the core run three times from the same sources: on the host under Catch2, and, where
// neither a C++ library nor exceptions exist (LBM_TEST_BARE), as part of an EFI application under
// QEMU and as a WebAssembly module in Node.
// The second half of this file is all of Catch2 that such a test may use. Tests that need more live
// in tests/hosted/ and include this header too.
#pragma once

#ifndef LBM_TEST_BARE

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>  // Catch2 3
#else
#include <catch2/catch.hpp>  // Catch2 2: Debian 12
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#else

#include "core/base/types.h"

// What `for (u32 n : {1, 2, 3})` means to the compiler; hosted, it comes with the standard library.
namespace std {
template <class Element>
class initializer_list {
 public:
  constexpr const Element* begin() const { return begin_; }
  constexpr const Element* end() const { return begin_ + size_; }

 private:
  const Element* begin_ = nullptr;
  decltype(sizeof(0)) size_ = 0;
};
}  // namespace std

namespace lbm::test {

struct TestCase {
  const char* name;
  const char* tags;
  void (*body)();
  const char* file;
};

// Records one evaluated expression; shows it when it failed.
void check(bool passed, const char* expression, const char* file, u32 line);
// The same, and leaves the test case when it failed.
void require(bool passed, const char* expression, const char* file, u32 line);

}  // namespace lbm::test

// A test case announces itself by a pointer in the section .lbmtest$b. The linker sorts the parts
// of a PE section by what follows the '$', so the runner finds all of them between its own $a and
// $z (tests/bare/runner.cpp): no constructor has to run. In WebAssembly the linker names both ends
// of every section whose name is an identifier (tests/node/runner.cpp).
#if defined(__wasm__)
#define LBM_TEST_SECTION "lbmtest"
#else
#define LBM_TEST_SECTION ".lbmtest$b"
#endif
#define LBM_TEST_JOIN2(a, b) a##b
#define LBM_TEST_JOIN(a, b) LBM_TEST_JOIN2(a, b)
#define LBM_TEST_CASE(id, title, label)                                                        \
  static void LBM_TEST_JOIN(lbm_test_body_, id)();                                             \
  static constexpr ::lbm::test::TestCase LBM_TEST_JOIN(lbm_test_case_, id) = {                 \
      title, label, &LBM_TEST_JOIN(lbm_test_body_, id), __FILE__};                             \
  [[gnu::section(LBM_TEST_SECTION),                                                            \
    gnu::used]] static const ::lbm::test::TestCase* const LBM_TEST_JOIN(lbm_test_entry_, id) = \
      &LBM_TEST_JOIN(lbm_test_case_, id);                                                      \
  static void LBM_TEST_JOIN(lbm_test_body_, id)()

#define TEST_CASE(title, label) LBM_TEST_CASE(__LINE__, title, label)
// The condition is converted, not assigned: explicit operator bool works as it does in an `if`.
#define CHECK(...) \
  ::lbm::test::check(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
#define REQUIRE(...) \
  ::lbm::test::require(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

#endif
