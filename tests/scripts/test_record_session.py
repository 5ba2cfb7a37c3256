"""The rows of the recorded session, without a machine."""

import re
import unittest

from scripts_path import ROOT

import record_session
from passes import session_rows

COMMANDS = ROOT / "core" / "chat" / "commands.cpp"
ROWS = [row for start in session_rows.STARTS for row in start.rows]


class SessionRowsTest(unittest.TestCase):
    def test_every_command_of_the_table_is_typed(self):
        known = set(re.findall(r'\{Command::k\w+, "(\w+)"', COMMANDS.read_text(encoding="ascii")))
        self.assertGreater(len(known), 30)
        typed = {name for row in ROWS for name in record_session.commands_typed(row)}
        self.assertEqual(sorted(known - typed), [])

    def test_patterns_are_patterns_and_pictures_have_names_of_their_own(self):
        for row in ROWS:
            for pattern in (*row.expect, row.until):
                re.compile(pattern)
        pictures = [row.picture for row in ROWS if row.picture]
        self.assertEqual(len(pictures), len(set(pictures)))
        names = [(start.name, row.name) for start in session_rows.STARTS for row in start.rows]
        self.assertEqual(len(names), len(set(names)))

    def test_a_command_that_nothing_used_is_told(self):
        help_text = "  /help [command | word]         this list\n  /exit                          leaves\n"
        self.assertTrue(record_session.check_commands(help_text, {"help", "exit"}).passed)
        outcome = record_session.check_commands(help_text, {"help"})
        self.assertFalse(outcome.passed)
        self.assertIn("exit", outcome.detail)
        self.assertFalse(record_session.check_commands("", {"help"}).passed)


if __name__ == "__main__":
    unittest.main()
