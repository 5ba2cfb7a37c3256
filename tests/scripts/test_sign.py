"""sign.py: a program is signed with the key that was given, and only when it is one that firmware takes. predict_pcr.py, too."""

import contextlib
import hashlib
import io
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import scripts_path  # noqa: F401
import check_pe
import predict_pcr
import sign


def small_pe(flags=0x140):
    """A PE file of three sections that signing tools and check_pe accept."""
    data = bytearray(2560)
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 0x3C, 64)
    data[64:68] = b"PE\0\0"
    struct.pack_into("<HHIIIHH", data, 68, 0x8664, 3, 0, 0, 0, 240, 0x2022)
    struct.pack_into("<HBBIIIIIQIIHHHHHHIIIIHH", data, 88, 0x20B, 14, 0, 512, 1024, 0, 4096, 4096, 0x10000, 4096, 512, 6, 0, 0, 0, 6,
                     0, 0, 4 * 4096, 1024, 0, 10, flags)
    struct.pack_into("<I", data, 88 + 108, 16)  # entries of the data directory
    struct.pack_into("<II", data, 88 + 112 + 40, 3 * 4096, 12)
    for i, (name, rights, content) in enumerate(((b".text", 0x60000020, b"\xC3"), (b".sbat", 0x40000040, b"sbat,1,SBAT\n"),
                                                 (b".reloc", 0x42000040, struct.pack("<IIHH", 4096, 12, 0, 0)))):
        at = 88 + 240 + 40 * i
        struct.pack_into("<8sIIIIIIHHI", data, at, name, len(content), (i + 1) * 4096, 512, 1024 + 512 * i, 0, 0, 0, 0, rights)
        data[1024 + 512 * i:1024 + 512 * i + len(content)] = content
    return bytes(data)


class SignTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.source = self.folder / "app.efi"
        self.source.write_bytes(small_pe())
        self.out = self.folder / "signed.efi"

    def sign(self, key="db.key", certificate="db.crt"):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = sign.main(["--key", str(self.folder / key) if key else "", "--cert", str(self.folder / certificate) if certificate
                              else "", "--out", str(self.out), str(self.source)])
        return code, text.getvalue()

    def make_key(self, name):
        """A throw-away key and its certificate."""
        subprocess.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2",
                        "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt"], check=True, capture_output=True)

    def test_the_small_program_is_sound(self):
        self.assertEqual(check_pe.check(small_pe()), [])

    def test_what_is_missing_is_named(self):
        for arguments, words in ((("", ""), "make sign KEY=db.key CERT=db.crt"), (("none.key", "db.crt"), "none.key")):
            with self.subTest(words):
                code, output = self.sign(*arguments)
                self.assertEqual(code, 1)
                self.assertIn(words, output)
                self.assertFalse(self.out.exists())

    def test_a_program_that_firmware_refuses_is_not_signed(self):
        for name in ("db.key", "db.crt"):
            (self.folder / name).write_text("-")
        self.source.write_bytes(small_pe(flags=0x40))
        code, output = self.sign()
        self.assertEqual(code, 1)
        self.assertIn("NX_COMPAT", output)

    @unittest.skipUnless(shutil.which("sbsign") and shutil.which("openssl"), "needs sbsigntool and openssl")
    def test_the_signature_is_of_that_key_and_of_these_bytes(self):
        self.make_key("db")
        self.make_key("other")
        code, output = self.sign()
        self.assertEqual(code, 0, output)
        self.assertEqual(check_pe.check(self.out.read_bytes()), [])

        def verifies(certificate):
            return subprocess.run(["sbverify", "--cert", self.folder / certificate, self.out], capture_output=True,
                                  check=False).returncode == 0
        self.assertTrue(verifies("db.crt"))
        self.assertFalse(verifies("other.crt"))
        data = bytearray(self.out.read_bytes())
        data[1024] ^= 1
        self.out.write_bytes(data)
        self.assertFalse(verifies("db.crt"))

    @unittest.skipUnless(shutil.which("sbsign") and shutil.which("openssl"), "needs sbsigntool and openssl")
    def test_a_key_that_is_not_of_the_certificate(self):
        self.make_key("db")
        self.make_key("other")
        self.out.write_bytes(b"an older one")
        self.assertEqual(self.sign("other.key", "db.crt")[0], 1)
        self.assertEqual(self.out.read_bytes(), b"an older one")


class PredictPcrTest(unittest.TestCase):
    def test_one_measurement(self):
        data = b"temp=0\n"
        expected = hashlib.sha256(bytes(32) + hashlib.sha256(data).digest()).digest()
        self.assertEqual(predict_pcr.extend(predict_pcr.START, data), expected)

    def test_files_in_their_order(self):
        with tempfile.TemporaryDirectory() as folder:
            config, model = Path(folder) / "repl.cfg", Path(folder) / "tiny.gguf"
            config.write_bytes(b"temp=0\n")
            model.write_bytes(b"GGUF")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                self.assertEqual(predict_pcr.main([str(config), str(model)]), 0)
            # What is measured is the hash of each file.
            first = predict_pcr.extend(bytes(32), hashlib.sha256(b"temp=0\n").digest())
            expected = predict_pcr.extend(first, hashlib.sha256(b"GGUF").digest())
            self.assertEqual(out.getvalue(), expected.hex() + "\n")
            with contextlib.redirect_stderr(out):
                self.assertEqual(predict_pcr.main([f"{folder}/none"]), 1)


if __name__ == "__main__":
    unittest.main()
