// The console can only be looked at from outside; here it has to survive what it is given.
#include "tests/bare/machine.h"
#include "tests/test.h"

using namespace lbm;

TEST_CASE("the console has a plausible width", "[efi]") {
  CHECK(bare::console().n_column() >= 20);
  CHECK(bare::console().n_column() <= 1000);
}

TEST_CASE("no key is there when nobody types", "[efi]") {
  CHECK(bare::console().poll_key().key == Key::kNone);
  CHECK(!bare::console().take_interrupt());
}

TEST_CASE("any bytes can be written", "[efi]") {
  bare::console().write(
      "[console] \x1b[92mgreen\x1b[0m caf\xc3\xa9 \xe2\x82\xac \xe4\xbd\xa0 \xf0\x9f\x98\x80 "
      "tab\tend \xff\xc3\n");
  bare::console().write(Str("[console] zero \0 byte\n", 22));
  bare::console().write("");
}
