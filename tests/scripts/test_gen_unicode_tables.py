"""The generated Unicode tables are what the generator gives, and --check can fail."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import scripts_path
import gen_unicode_tables as generator

DATA = Path("/usr/share/unicode")
FILES = ("UnicodeData.txt", "PropList.txt", "EastAsianWidth.txt")


class CutTest(unittest.TestCase):
    def test_equal_pieces_are_kept_once(self):
        pieces, indices = generator.cut([1, 2, 1, 2, 3, 3], 2)
        self.assertEqual(pieces, [(1, 2), (3, 3)])
        self.assertEqual(indices, [0, 0, 1])


@unittest.skipUnless(all((DATA / name).exists() for name in FILES), "the package unicode-data is not installed")
class CommittedTest(unittest.TestCase):
    def check(self, data):
        script = scripts_path.ROOT / "scripts/gen_unicode_tables.py"
        return subprocess.run([sys.executable, str(script), "--check", "--data", str(data)], capture_output=True, text=True)

    def test_the_committed_file_is_up_to_date(self):
        result = self.check(DATA)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_other_data_are_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                (Path(folder) / name).write_bytes((DATA / name).read_bytes())
            wide = Path(folder) / "EastAsianWidth.txt"
            wide.write_text(wide.read_text(encoding="utf-8") + "0041;W\n", encoding="utf-8")
            if self.check(DATA).stdout.startswith("not compared"):
                self.skipTest("the committed file is of another version of Unicode")
            self.assertEqual(self.check(folder).returncode, 1)

    def test_another_version_is_not_compared(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "PropList.txt").write_text("# PropList-99.0.0.txt\n", encoding="utf-8")
            result = self.check(folder)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("not compared", result.stdout)


if __name__ == "__main__":
    unittest.main()
