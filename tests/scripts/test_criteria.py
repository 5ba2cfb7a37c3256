"""docs/criteria.md: every criterion of the browser half is in the table, and each test that a row names has the id in a name."""

import re
import unittest

from scripts_path import ROOT

ROW = re.compile(r"^\| ([A-Z]+-\d+) \| ([^|]+) \| ([^|]+) \|$")
FILE = re.compile(r"`([^`]+)`")
# What the browser half is measured by; the specification has more, of other parts.
WANTED = [f"{gate}-{n}" for gate, numbers in (("CSS", (1, 3, 4, 6, 7, 8, 9)), ("MVP", (*range(2, 12), 15, *range(28, 34), 35, 36)),
                                             ("G", range(1, 7)), ("B", range(1, 6)), ("C", range(1, 8))) for n in numbers]
# What names a test in each language, on one line.
NAMES = {".cpp": re.compile(r'TEST_CASE\(\s*"([^"]*)"|^\s+"([^"]*)"'), ".mjs": re.compile(r"""["`']([^"`']*)["`']?"""),
         ".py": re.compile(r"def (test_\w+)|\"\"\"(.*)")}


def ids_in(name):
    """The ids that a name of a test has: 'C-1, C-2: resumes' and 'test_c_1_...' alike."""
    return {f"{word.upper()}-{number}" for word, number in re.findall(r"(?<![A-Za-z0-9])([A-Za-z]+)[-_](\d+)(?![0-9])", name)}


def names_in(text, suffix):
    for line in text.split("\n"):
        for groups in NAMES[suffix].findall(line):
            yield "".join(groups)


class CriteriaTest(unittest.TestCase):
    def rows(self):
        lines = (ROOT / "docs" / "criteria.md").read_text(encoding="utf-8").split("\n")
        return [row.groups() for row in map(ROW.match, lines) if row]

    def test_every_row_names_tests_that_name_it(self):
        self.assertGreater(len(self.rows()), 10)
        for criterion, _, tests in self.rows():
            files = FILE.findall(tests)
            self.assertTrue(files, f"{criterion} has no test")
            for name in files:
                path = ROOT / name
                with self.subTest(criterion=criterion, test=name):
                    self.assertTrue(path.is_file(), f"{name} is not there")
                    found = set().union(*map(ids_in, names_in(path.read_text(encoding="utf-8"), path.suffix)))
                    self.assertIn(criterion, found)

    def test_every_criterion_is_there_once(self):
        ids = [criterion for criterion, _, _ in self.rows()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(WANTED) - set(ids), set())

    def test_ids_are_read_out_of_names(self):
        self.assertEqual(ids_in("C-1, C-2: resumes (G04)"), {"C-1", "C-2"})
        self.assertEqual(ids_in("test_css_7_top_p"), {"CSS-7"})
        self.assertNotIn("B-1", ids_in("B-12"))


if __name__ == "__main__":
    unittest.main()
