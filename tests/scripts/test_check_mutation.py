"""check_mutation.py: which checks it finds, and what it makes of them."""
import unittest

import scripts_path  # noqa: F401
from check_mutation import FileMutants, blanked, chosen, is_pure

SOURCE = '''
Status read(u64 n) {
  // if (n > 1) return fail(ErrorCode::kLimit, "not code");
  if (n == 0 || n > kMost) {
    return fail(ErrorCode::kLimit, "if (x > 1) fail()").with(n);
  }
  if (Status s = require(8); !s.ok()) return s;
  if (static_cast<u32>(n) < 4) count(n);
  if (n >= 7 && is_odd(n > 2)) return fail(ErrorCode::kBadValue, "odd");  // mutants: an example
  const u32 x = reader.required("key", 1, kMaxWidth);
  const f64 y = reader.number_or("key", 1.0, -1e6, 1e6);
  return {};
}
'''


class FindsChecks(unittest.TestCase):
    def setUp(self):
        self.file = FileMutants("x.cpp", SOURCE, 1)
        self.kinds = [(m.line, m.kind) for m in self.file.mutants]

    def test_conditions_with_their_terms_and_limits(self):
        self.assertEqual([kind for line, kind in self.kinds if line == 4], ["delete", "invert", "term 1", "term 2", "limit 2"])

    def test_the_condition_of_a_status_is_what_follows_its_declaration(self):
        self.assertEqual([m.text for m in self.file.mutants if m.line == 7], ["!s.ok()"] * 2)

    def test_a_branch_that_refuses_nothing_is_no_check(self):
        self.assertNotIn(8, [line for line, _ in self.kinds])

    def test_comparisons_inside_of_calls_are_left_alone(self):
        self.assertEqual([kind for line, kind in self.kinds if line == 9], ["delete", "invert", "term 1", "limit 1", "term 2"])

    def test_ranges(self):
        self.assertEqual([kind for line, kind in self.kinds if line in (10, 11)], ["low", "high", "low", "high"])

    def test_reasons_are_read_from_the_line(self):
        self.assertEqual({m.reason for m in self.file.mutants if m.line == 9}, {"an example"})
        self.assertEqual({m.reason for m in self.file.mutants if m.line == 4}, {""})

    def test_comments_and_strings_hold_no_checks(self):
        self.assertNotIn(3, [line for line, _ in self.kinds])
        self.assertNotIn(5, [line for line, _ in self.kinds])

    def test_the_mutated_text_has_every_number_once_and_the_same_lines(self):
        for mutant in self.file.mutants:
            self.assertEqual(self.file.mutated.count(f"lbm_is_mutant({mutant.ident}) "), 1)
        self.assertEqual(self.file.mutated.count("\n"), SOURCE.count("\n"))
        self.assertIn("(n >= kMost)", self.file.mutated)
        self.assertIn("(kMaxWidth) + 1", self.file.mutated)


    def test_the_text_notes_which_mutants_would_have_decided_otherwise(self):
        idents = {(m.line, m.kind): m.ident for m in self.file.mutants}
        delete, invert = idents[4, "delete"], idents[4, "invert"]
        # Where the condition holds, without it nothing is refused; its opposite differs in any case.
        self.assertIn(f", {invert}, {delete}, 0)", self.file.mutated)
        self.assertIn(f"lbm_decides(n == 0, 0, {idents[4, 'term 1']}, 0)", self.file.mutated)
        self.assertIn(f"lbm_decides(is_odd(n > 2), 0, 0, {idents[9, 'term 2']})", self.file.mutated)
        self.assertIn(f"lbm_note({idents[4, 'limit 2']}, (n >= kMost) != (n > kMost))", self.file.mutated)
        self.assertIn(f"lbm_note({idents[10, 'low']}, true), 1)", self.file.mutated)

    def test_terms_of_a_condition_on_several_lines(self):
        file = FileMutants("x.cpp", "void f() {\n  if (a > b ||\n      c <\n      d) return false;\n}\n", 1)
        self.assertEqual([m.kind for m in file.mutants], ["delete", "invert", "term 1", "limit 1", "term 2", "limit 2"])


class Pieces(unittest.TestCase):
    def test_what_may_be_asked_twice(self):
        for code in ("a.size() > b", "static_cast<u64>(x) < limit", "min_u64(a, b) >= c"):
            self.assertTrue(is_pure(code), code)
        for code in ("in.read_u32() > 5", "next() < n", "++n > 3"):
            self.assertFalse(is_pure(code), code)

    def test_blanking_keeps_the_length_and_the_lines(self):
        text = 'a /* b\nc */ "d\\"e" // f\n\'"\' g'
        self.assertEqual(len(blanked(text)), len(text))
        self.assertEqual(blanked(text).split(), ["a", "g"])
        self.assertEqual(blanked(text).count("\n"), 2)

    def test_choices_nest(self):
        self.assertEqual(chosen([(1, "a"), (2, "b")], "c"), "(lbm_is_mutant(1) ? (a) : (lbm_is_mutant(2) ? (b) : (c)))")


if __name__ == "__main__":
    unittest.main()
