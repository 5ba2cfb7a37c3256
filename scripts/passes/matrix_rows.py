"""The rows of the boot matrix: machines, what is on their disks, and the dialog that has to come about.

A dialog is a sequence of steps, each looking only at what came after the one before:
  ("wait", RE)      the program says a line that matches
  ("serial", RE)    the serial port does, whoever speaks: for what the firmware says
  ("type", TEXT)    a line on the serial port, and Enter
  ("keys", TEXT)    the same on the keyboard
  ("unplug",)       the USB disk is taken out
  ("sleep", S)      so many seconds pass
  ("exit", CODE)    the machine ends by itself with this code
"""

from dataclasses import dataclass
from typing import Tuple

PROMPT = "banana"
ANSWER = r"^\[stats\] tokens=[1-9]\d* "
DIGEST = r"^\[digest\] (?P<digest>[0-9a-f]{64})$"
READY = r"^OK: REPL ready \(/help\)$"
PROMPT_SHOWN = r"^You: "
NOTICED_S = 4  # the firmware looks for disks that are gone every second
NO_MODEL = r"^OK: REPL ready \(no model\)\. Type /help$"

Step = Tuple  # (kind, argument)
Dialog = Tuple[Step, ...]

SHUT_DOWN: Dialog = (("type", "/shutdown"), ("exit", 0))
ASK: Dialog = (("type", PROMPT), ("wait", ANSWER), ("wait", DIGEST))
CHAT: Dialog = (("wait", READY), *ASK, *SHUT_DOWN)
CHAT_BY_KEYBOARD: Dialog = (("wait", READY), ("keys", PROMPT), ("wait", ANSWER), ("wait", DIGEST), ("keys", "/shutdown"), ("exit", 0))


def refused(reason: str) -> Dialog:
    """A model is refused for a named reason, and the prompt is there all the same: it lists the models and shuts down."""
    return (("wait", reason), ("wait", NO_MODEL), ("type", "/models"), ("wait", r"^  summary: total="), *SHUT_DOWN)


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    dialog: Dialog = CHAT
    content: str = "tiny"      # tiny, split, slm, llama2c, folder, none, two-volumes, second-only, too-large, cut-off, slow (Contents)
    disk: str = "virtio"
    memory: str = "1G"
    cpu: str = "max"
    n_core: int = 1
    firmware: str = ""         # of FIRMWARE; empty: what qemu_machine.py finds
    machine: str = "q35"
    vga: str = "std"
    serial_port: bool = True
    drive_options: str = "snapshot=on,cache=unsafe"
    fault: str = ""            # once, always: reads of the model's data that fail
    extra: Tuple[str, ...] = ()
    least_timeout_s: int = 0   # where the firmware itself takes long
    is_short: bool = False     # part of the short form

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong with this machine, so its program has nothing to complain of."""
        return self.dialog in (CHAT, CHAT_BY_KEYBOARD) and not self.fault and "readonly" not in self.drive_options


SMM = "q35,smm=on"
SECURE_FLASH = ("-global", "driver=cfi.pflash01,property=secure,value=on")
USB_KEYBOARD = ("-device", "qemu-xhci,id=keys", "-device", "usb-kbd,bus=keys.0")
FIRMWARE = {
    "2M": "/usr/share/OVMF/OVMF_CODE.fd",
    "secboot": "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "snakeoil": "/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd",
}

ROWS = (
    Row("firmware-4m", "OVMF of 4 MiB, virtio disk, 1 GiB, every CPU feature, one core", is_short=True),
    Row("firmware-2m", "OVMF of 2 MiB", firmware="2M"),
    Row("firmware-secboot", "OVMF with SMM that could do Secure Boot, without keys", firmware="secboot", machine=SMM, extra=SECURE_FLASH),
    Row("secure-boot-unsigned", "Secure Boot on: the firmware refuses an unsigned program", firmware="snakeoil", machine=SMM,
        extra=SECURE_FLASH, dialog=(("serial", r"BdsDxe: failed to (?:load|start) Boot\d+ .*: (?:Access Denied|Security Violation)"),)),
    Row("disk-ahci", "SATA disk", disk="ahci"),
    Row("disk-nvme", "NVMe disk", disk="nvme"),
    Row("disk-usb", "USB stick", disk="usb", is_short=True),
    Row("ram-256m", "256 MiB of memory", memory="256M", is_short=True),
    Row("ram-512m", "512 MiB of memory", memory="512M"),
    Row("ram-2g", "2 GiB of memory", memory="2G"),
    Row("ram-4g", "4 GiB of memory: a hole below 4 GiB", memory="4G"),
    Row("ram-8g", "8 GiB of memory", memory="8G"),
    Row("cpu-qemu64", "no AVX, no SSE4", cpu="qemu64", is_short=True),
    Row("cpu-nehalem", "SSE4.2, no AVX", cpu="Nehalem"),
    Row("cpu-haswell", "AVX2 and no later feature", cpu="Haswell"),
    Row("cpu-max-no-avx", "every feature but AVX", cpu="max,avx=off"),
    Row("cores-2", "two cores", n_core=2, is_short=True),
    Row("cores-4", "four cores", n_core=4),
    Row("cores-4-qemu64", "four cores without AVX", n_core=4, cpu="qemu64"),
    Row("no-keyboard", "no keyboard controller: typed on the serial port", machine="q35,i8042=off"),
    Row("no-serial", "no serial port: typed on the keyboard", serial_port=False, dialog=CHAT_BY_KEYBOARD),
    Row("usb-keyboard", "no keyboard but one on USB, no serial port", machine="q35,i8042=off", serial_port=False, extra=USB_KEYBOARD,
        dialog=CHAT_BY_KEYBOARD),
    Row("screen-640", "a screen of 640 x 480", vga="none", extra=("-device", "VGA,xres=640,yres=480")),
    Row("screen-4k", "a screen of 3840 x 2160", vga="none", extra=("-device", "VGA,xres=3840,yres=2160,vgamem_mb=64")),
    Row("no-gop", "no graphics card", vga="none", is_short=True),
    Row("no-gop-no-keyboard", "serial port only", vga="none", machine="q35,i8042=off"),
    Row("read-only-disk", "write-protected USB stick", disk="usb", drive_options="readonly=on"),
    Row("read-only-virtio", "write-protected virtio disk", drive_options="readonly=on"),
    Row("model-split", "the model in three parts", content="split"),
    Row("model-slm", "the model as .slm", content="slm"),
    Row("model-llama2c", "the model of llama2.c, with its tokenizer.bin", content="llama2c"),
    Row("two-volumes", "a second volume with another model", content="two-volumes",
        dialog=(("wait", READY), *ASK, ("type", "/models"), ("wait", r" \d+:models/other\.gguf$"), ("wait", r"^  summary: total=2 bin=0 gguf=2 "),
                ("type", "/model other.gguf"), ("wait", r"^OK: Model loaded: \d+:models/other\.gguf "), ("type", PROMPT), ("wait", ANSWER),
                *SHUT_DOWN)),
    Row("model-on-the-second", "a boot volume without a model, a model on the next one", content="second-only", disk="ahci"),
    Row("no-model", "no model on any volume", content="none",
        dialog=(("wait", NO_MODEL), ("wait", r"^No model was found\."), ("type", "models"), ("wait", r"^  summary: total=0 "), *SHUT_DOWN)),
    Row("model-too-large", "a model larger than memory", content="too-large", memory="256M", dialog=refused(r"\[out_of_memory\]$"), is_short=True),
    Row("model-cut-off", "a model file that ends too early", content="cut-off", dialog=refused(r"\[truncated\]$")),
    Row("read-error-once", "one read of the model fails once: it is tried again", fault="once"),
    Row("read-error-always", "a sector of the model is never read", fault="always", dialog=refused(r"\[io\]$"), is_short=True),
    Row("unplugged-idle", "the stick is taken out while nothing is read: the chat goes on", disk="usb",
        dialog=(("wait", READY), *ASK, ("wait", PROMPT_SHOWN), ("unplug",), ("sleep", NOTICED_S), ("type", "/reset"), *ASK, ("type", "/models"), ("wait", r"^  summary: total="), *SHUT_DOWN)),
    Row("unplugged-folder", "the same with a stick that keeps its state in a folder", disk="usb", content="folder",
        dialog=(("wait", READY), ("type", "/save here"), ("wait", r"^OK: from here on conversations are kept"), ("type", "/reset"), *ASK,
                ("wait", PROMPT_SHOWN), ("unplug",), ("sleep", NOTICED_S), ("type", "/reset"), *ASK, *SHUT_DOWN)),
    # Once the disk is gone, this firmware takes 50 s to give up the first read, and 10 s for the next.
    Row("unplugged-loading", "the stick is taken out while the model loads", disk="usb", content="slow", least_timeout_s=240,
        drive_options="snapshot=on,cache=unsafe,throttling.bps-read=6000000",
        dialog=(("wait", r"Loading +[1-9]"), ("unplug",), *refused(r"\[io\]$"))),
)
