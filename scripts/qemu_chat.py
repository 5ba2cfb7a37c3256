"""One answer from the bare machine, for `qemu.py chat`: the volume it boots, what it is told, and what it said."""

import math
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from qemu_machine import MachineError

ROOT = Path(__file__).resolve().parent.parent
VVFAT_LIMIT = 480_000_000  # of the 504 MB that QEMU's folder-as-a-volume has


def fill_boot_folder(root: Path, efi: Path, models, files):
    """Makes `root` a folder that QEMU shows as a bootable FAT16 volume. Program and models are links; `files` is name -> bytes.

    Errors: MachineError when the models are more than such a volume holds.
    """
    if sum(model.stat().st_size for model in models) > VVFAT_LIMIT:
        names = ", ".join(model.name for model in models)
        raise MachineError(f"{names}: more than the {VVFAT_LIMIT // 10**6} MB that a folder can show as a volume; "
                           "with mtools and sgdisk (make deps) it is put on an image, or take a smaller model")
    (root / "EFI" / "BOOT").mkdir(parents=True)
    (root / "EFI" / "BOOT" / "BOOTX64.EFI").symlink_to(efi.resolve())
    (root / "models").mkdir()
    for model in models:
        (root / "models" / model.name).symlink_to(model.resolve())
    for name, content in files.items():
        (root / name).write_bytes(content)


class BootVolume:
    """A volume that boots `efi` with `models` on it, for one run.

    It is made as the release image is (scripts/make_image.py), so that what boots here is what boots from a stick.
    Without the tools for that, QEMU shows a folder of links as a FAT16 volume, which is enough for small models.
    """

    def __init__(self, efi: Path, models, config: str = ""):
        self._folder = Path(tempfile.mkdtemp(prefix="lbm-boot-"))
        self.images = []
        self.folders = []
        try:
            if shutil.which("mformat") and shutil.which("mcopy") and shutil.which("sgdisk"):
                self._make_image(efi, models, config)
            else:
                self._make_folder(efi, models, config)
        except BaseException:
            self.remove()
            raise

    def _make_image(self, efi, models, config):
        image = self._folder / "boot.img"
        command = [sys.executable, str(ROOT / "scripts" / "make_image.py"), "--efi", str(efi), "--out", str(image)]
        for model in models:
            command += ["--model", str(model)]
        if config:
            (self._folder / "repl.cfg").write_text(config, encoding="utf-8")
            command += ["--cfg", str(self._folder / "repl.cfg")]
        made = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if made.returncode != 0:
            raise MachineError(f"the boot image could not be made: {made.stdout.strip()}")
        self.images = [image]

    def _make_folder(self, efi, models, config):
        root = self._folder / "volume"
        fill_boot_folder(root, efi, models, {"repl.cfg": config.encode("utf-8")} if config else {})
        self.folders = [root]

    def remove(self):
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def script_line(text: str) -> str:
    """A prompt as the REPL would have it typed: several lines go between triple quotes, a slash is doubled."""
    text = text.replace("\r\n", "\n")
    if "\n" in text:
        return f'"""{text}"""'
    return "/" + text if text.startswith("/") else text


def chat_script(arguments) -> str:
    """What the REPL is to be told: settings, the prompts, and the end."""
    lines = [f"/set temp {arguments.temp:g}", f"/set max_tokens {arguments.n}", "/set stats on", "/set digest on"]
    if arguments.seed is not None:
        lines.append(f"/set seed {arguments.seed}")
    if arguments.system is not None:
        lines.append(f"/system {arguments.system}")
    lines += [script_line(prompt) for prompt in arguments.prompt]
    return "\n".join(lines + ["/shutdown"]) + "\n"


def parse_answer(log: str) -> dict:
    """Text, digest and rates of the last answer in a log. Errors: MachineError."""
    stats = None
    for stats in re.finditer(r"^\[stats\] tokens=(\d+) .*$", log, re.MULTILINE):
        pass
    if stats is None:
        raise MachineError("there is no answer in the log", "\n".join(log.splitlines()[-30:]))
    begin = log.rfind("\nAI: ", 0, stats.start())
    text = log[begin + len("\nAI: "):stats.start()] if begin >= 0 else ""
    text = re.sub(r"\n\((?:stopped|ended)[^\n]*\)\n\Z", "\n", text)  # the REPL's remark on the answer
    numbers = dict(re.findall(r"(\w+)=([^\s]+)", stats.group()))
    digest = re.compile(r"^\[digest\] ([0-9a-f]{64})$", re.MULTILINE).search(log, stats.end())
    answer = {"text": text[:-1] if text.endswith("\n") else text, "digest": digest.group(1) if digest else None}
    for key, name in (("prompt_tok_s", "prefill_tok_s"), ("decode_tok_s", "tok_s")):
        try:
            rate = float(numbers[name])
        except (KeyError, ValueError):
            rate = math.inf
        answer[key] = rate if math.isfinite(rate) else None  # JSON has no infinity
    answer["prompt_tokens"] = int(numbers.get("prompt", 0))
    answer["output_tokens"] = int(numbers["tokens"])
    answer["stop_reason"] = numbers.get("stop")
    return answer
