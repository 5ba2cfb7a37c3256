"""deps.sh in a world of stand-ins: what it asks for, when it refreshes the lists, and what it says where it cannot help."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from scripts_path import ROOT

# dpkg-query and apt-cache answer from two lists of names; apt-get writes down what it was asked for.
STAND_INS = {
    "dpkg-query": 'name=$(eval echo "\\${$#}"); grep -qx -- "$name" "$WORLD/installed" && printf installed',
    "apt-cache": 'printf "  Candidate: "; grep -qx -- "$2" "$WORLD/known" && echo 1.0 || echo "(none)"',
    "apt-get": 'echo "$USER_IS apt-get $*" >> "$WORLD/calls"; case "$1" in update) cp "$WORLD/known-after" "$WORLD/known";; '
               'install) [ ! -e "$WORLD/broken" ] || { rm "$WORLD/broken"; exit 100; };; esac',
    "id": 'echo "$USER_ID"',
    "sudo": 'USER_IS=sudo "$@"',
}
BUILD = ["make", "clang-19", "lld-19", "llvm-19", "g++", "libcli11-dev", "nlohmann-json3-dev", "libcpp-httplib-dev", "gnu-efi",
         "xfonts-terminus"]


class DepsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.world = Path(folder.name)
        self.bin = self.world / "bin"
        self.bin.mkdir()
        for name in ("sed", "grep", "cp", "rm", "env", "bash", "sh"):
            (self.bin / name).symlink_to(shutil.which(name))
        for name, body in STAND_INS.items():
            self.stand_in(name, body)
        self.set_world(installed=[], known=BUILD)

    def stand_in(self, name, body):
        script = self.bin / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)

    def set_world(self, installed, known, known_after=None):
        for name, packages in (("installed", installed), ("known", known),
                               ("known-after", known if known_after is None else known_after)):
            (self.world / name).write_text("".join(package + "\n" for package in packages))
        (self.world / "calls").write_text("")

    def run_deps(self, *arguments, user_id=0):
        """(exit code, all output, the calls of apt-get)"""
        environment = {"PATH": str(self.bin), "WORLD": str(self.world), "USER_IS": "root" if user_id == 0 else "user",
                       "USER_ID": str(user_id), "LC_ALL": "C"}
        result = subprocess.run([shutil.which("bash"), ROOT / "scripts" / "deps.sh", *arguments], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return result.returncode, result.stdout, (self.world / "calls").read_text().splitlines()

    def test_does_nothing_when_all_is_there(self):
        self.set_world(installed=BUILD, known=[])
        self.assertEqual(self.run_deps("build"), (0, "", []))

    def test_names_what_is_missing_and_why_and_installs_that_only(self):
        self.set_world(installed=["make", "g++", "libcli11-dev", "nlohmann-json3-dev", "libcpp-httplib-dev"], known=BUILD)
        code, output, calls = self.run_deps("build")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"gnu-efi +UEFI headers\n")
        self.assertEqual(len(calls), 1)
        self.assertTrue(calls[0].startswith("root apt-get install -y"), calls)
        self.assertTrue(calls[0].endswith(" gnu-efi xfonts-terminus clang-19 lld-19 llvm-19"), calls)

    def test_takes_the_clang_that_is_installed_else_the_first_that_apt_knows(self):
        rest = [package for package in BUILD if "-19" not in package]
        self.set_world(installed=rest + ["clang-17"], known=["clang-19", "lld-19", "llvm-19", "lld-17", "llvm-17"])
        self.assertEqual(self.run_deps("--list", "build")[1].split(), ["lld-17", "llvm-17"])
        self.set_world(installed=rest, known=["clang-18", "clang-16", "lld-18", "llvm-18"])
        self.assertEqual(self.run_deps("--list", "build")[1].split(), ["clang-18", "lld-18", "llvm-18"])

    def test_refreshes_the_lists_only_when_they_lack_something(self):
        self.set_world(installed=[], known=[], known_after=BUILD)
        code, output, calls = self.run_deps("build")
        self.assertEqual(code, 0, output)
        self.assertEqual([call.split()[2] for call in calls], ["update", "install"])

    def test_old_lists_that_name_vanished_files_get_a_second_try(self):
        (self.world / "broken").write_text("")
        code, output, calls = self.run_deps("build")
        self.assertEqual(code, 0, output)
        self.assertEqual([call.split()[2] for call in calls], ["install", "update", "install"])

    def test_asks_through_sudo_where_it_is_not_root(self):
        code, output, calls = self.run_deps("build", user_id=1000)
        self.assertEqual(code, 0, output)
        self.assertTrue(calls[0].startswith("sudo apt-get install"), calls)
        (self.bin / "sudo").unlink()
        code, output, calls = self.run_deps("build", user_id=1000)
        self.assertEqual((code, calls[1:]), (1, []))
        self.assertIn("As root, run:", output)

    def test_a_system_that_is_too_old_is_told_so(self):
        self.set_world(installed=[], known=["make", "g++", "clang-14"])
        code, output, _ = self.run_deps("build")
        self.assertEqual(code, 1)
        self.assertIn("no clang 16 or newer", output)

    def test_a_system_without_apt_is_told_what_is_missing(self):
        (self.bin / "apt-get").unlink()
        code, output, _ = self.run_deps("build")
        self.assertEqual(code, 1)
        self.assertIn("clang++-19", output)
        self.assertIn("package manager", output)

    def test_node_that_is_new_enough_counts_wherever_it_comes_from(self):
        self.set_world(installed=BUILD, known=[])
        self.stand_in("npm", "true")
        self.stand_in("node", "echo v20.19.0")
        self.assertEqual(self.run_deps("web"), (0, "", []))
        for version in ("v20.18.9", "v18.20.4", "v9.99.0", "", "none"):
            self.stand_in("node", f"echo {version}")
            code, output, calls = self.run_deps("web")
            self.assertEqual((code, [call for call in calls if "install" in call]), (1, []), version)
            self.assertIn("nodejs.org", output)

    def test_node_is_installed_where_the_package_is_new_enough(self):
        self.set_world(installed=BUILD, known=["nodejs", "npm"])
        self.stand_in("apt-cache", 'printf "  Candidate: "; case "$2" in nodejs) echo 20.19.2+dfsg-1;; *) echo 1.0;; esac')
        code, output, calls = self.run_deps("web")
        self.assertEqual(code, 0, output)
        self.assertTrue(calls[0].endswith(" nodejs npm"), calls)

    def test_tests_want_a_browser_and_go_on_where_no_package_has_one(self):
        self.set_world(installed=BUILD, known=BUILD + ["chromium"])
        self.stand_in("npm", "true")
        self.stand_in("node", "echo v22.0.0")
        self.assertIn("chromium", self.run_deps("--list", "test")[1].split())
        self.set_world(installed=BUILD, known=BUILD)
        code, output, _ = self.run_deps("--list", "test")
        self.assertEqual(code, 0)
        self.assertIn("LBM_CHROMIUM", output)
        self.stand_in("google-chrome", "true")
        self.assertNotIn("LBM_CHROMIUM", self.run_deps("--list", "test")[1])

    def test_usage(self):
        self.assertEqual(self.run_deps()[0], 2)
        self.assertEqual(self.run_deps("none")[0], 2)


if __name__ == "__main__":
    unittest.main()
