"""One virtual PC: QEMU with OVMF firmware, driven from Python. Standard library only; used by qemu.py and by the tests.

    with Machine(MachineOptions(images=[Path("images/llm-baremetal-boot.img")])) as machine:
        machine.wait_for(r"REPL ready", 60)
        machine.type_line("hello")
        machine.wait_for(r"^\\[stats\\]", 60)
        machine.screenshot(Path("chat.png"))

What is heard of the machine: `log`, the debug console, which is the program's own text in clean UTF-8 (firmware and
escape sequences are not in it), and `serial`, everything that the first serial port sent. The serial port is read all
the time by a thread: firmware that finds it full drops text and slows down.

Everything that QEMU needs besides its images lives in one private folder, which goes away with the machine. Images are
opened as snapshots: a run never changes them.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from qemu_png import ppm_to_png

# Code and variables belong together; the first pair that is there is taken.
FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)

# With thread=multi a busy host makes barriers between cores a thousand times slower; with one core they are the same.
TCG = "tcg,thread=single"

DISK_DEVICES = {
    "virtio": ["-device", "virtio-blk-pci,drive=d{n},bootindex={order}"],
    "ahci": ["-device", "ide-hd,drive=d{n},bus=ide.{n},bootindex={order}"],
    "nvme": ["-device", "nvme,drive=d{n},serial=lbm{n},bootindex={order}"],
    "usb": ["-device", "usb-storage,drive=d{n},bus=usb.0,bootindex={order}"],
}

POLL_S = 0.02
LINK_BASE = 0x10000  # of our PE files (mk/flags.mk): what their symbol tables count from
ESCAPE = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")
FAULT = re.compile(rb"!!!! X64 Exception Type - ")


class MachineError(Exception):
    """The machine did not do what was asked; `transcript` is the end of what it said."""

    def __init__(self, reason, transcript=""):
        super().__init__(reason)
        self.transcript = transcript


@dataclass
class MachineOptions:
    images: List[Path] = field(default_factory=list)   # raw disk images, the first one boots
    folders: List[Path] = field(default_factory=list)  # shown as FAT16 volumes of at most 504 MB, after the images
    kernel: Optional[Path] = None                      # an EFI application to start directly, without a disk
    disk: str = "virtio"                               # of DISK_DEVICES
    memory: str = "2G"
    cpu: str = "max"
    n_core: int = 1
    accelerator: str = TCG
    files: Dict[str, bytes] = field(default_factory=dict)  # fw_cfg: handed to the program under these names
    window: bool = False
    firmware: Optional[Path] = None                    # the code; its variables lie beside it
    machine: str = "q35"                               # QEMU's -machine, with its properties
    vga: str = "std"                                   # or "none": no graphics at all
    serial_port: bool = True                           # False: no serial port in the machine
    drive_options: str = "snapshot=on,cache=unsafe"    # how disks are opened; the default never changes an image
    faults: Optional[Path] = None                      # blkdebug rules for the first image: which reads fail
    extra: List[str] = field(default_factory=list)     # further arguments of QEMU
    qemu: str = "qemu-system-x86_64"


def find_firmware(wanted: Optional[Path] = None):
    """(code, variables) of OVMF."""
    if wanted is not None:
        variables = Path(str(wanted).replace("CODE", "VARS").replace("code", "vars").replace(".secboot", ""))
        if wanted.is_file() and variables.is_file() and variables != wanted:
            return wanted, variables
        raise MachineError(f"{wanted}: no firmware, or no variables beside it ({variables})")
    for code, variables in FIRMWARE:
        if Path(code).is_file() and Path(variables).is_file():
            return Path(code), Path(variables)
    raise MachineError("no UEFI firmware for QEMU was found (Debian's package is called ovmf; or: make deps)")


def escape_option(text) -> str:
    """A value inside a QEMU option list: a comma ends it unless it is doubled."""
    return str(text).replace(",", ",,")


def command_line(options: MachineOptions, private: Path, code: Path) -> List[str]:
    """The QEMU command for these options. `private` holds vars.fd, the sockets, the log and the fw_cfg files."""
    if options.disk not in DISK_DEVICES:
        raise MachineError(f"{options.disk}: no disk kind; there are {', '.join(DISK_DEVICES)}")
    base = escape_option(private)
    command = [options.qemu, "-nodefaults", "-no-reboot", "-machine", options.machine, "-accel", options.accelerator,
               "-cpu", options.cpu, "-smp", str(options.n_core), "-m", options.memory, "-vga", options.vga,
               "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={escape_option(code)}",
               "-drive", f"if=pflash,unit=1,format=raw,file={base}/vars.fd",
               "-chardev", f"socket,id=serial,path={base}/serial.sock", "-serial", "chardev:serial" if options.serial_port else "none",
               "-chardev", f"socket,id=qmp,path={base}/qmp.sock", "-mon", "chardev=qmp,mode=control",
               "-debugcon", f"file:{base}/debug.log",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"]
    if not options.window:
        command += ["-display", "none"]
    if options.kernel is not None:
        command += ["-kernel", str(options.kernel)]
    if options.disk == "usb":
        command += ["-device", "qemu-xhci,id=usb"]
    drives = [escape_option(image) for image in options.images]
    if options.faults is not None:
        drives[0] = f"blkdebug:{escape_option(options.faults)}:{drives[0]}"
    drives += [f"fat:{escape_option(folder)}" for folder in options.folders]  # writable by snapshot=on, like the images
    for n, drive in enumerate(drives):
        command += ["-drive", f"if=none,id=d{n},format=raw,{options.drive_options},file={drive}"]
        order = n if options.kernel is None else n + 1  # a kernel takes the first place
        command += [argument.format(n=n, order=order) for argument in DISK_DEVICES[options.disk]]
    for name in options.files:
        command += ["-fw_cfg", f"name={escape_option(name)},file={base}/{fw_cfg_file_name(name)}"]
    return command + options.extra


def fw_cfg_file_name(name: str) -> str:
    return "fw_cfg-" + re.sub(r"[^A-Za-z0-9]", "-", name)


def strip_escapes(text: str) -> str:
    return ESCAPE.sub("", text).replace("\r", "").replace("\0", "")


def describe_fault(serial: str) -> str:
    """One line about the exception report of EDK2's firmware, with the address to look up in the program's symbols."""
    kind = re.search(r"Exception Type - \w+\(([^)]*)\)", serial)
    address = re.search(r"RIP +- +([0-9A-F]+)", serial)
    image = re.search(r"ImageBase=([0-9A-F]+)", serial)
    text = f"a processor exception: {kind.group(1) if kind else 'of unknown kind'}"
    if address and image:
        offset = int(address.group(1), 16) - int(image.group(1), 16) + LINK_BASE
        text += f", at {offset:#x} of the program (llvm-symbolizer --obj=...efi {offset:#x})"
    return text


class Machine:
    """A running machine. Leaving the `with` block ends it, whatever happened."""

    def __init__(self, options: MachineOptions, on_serial: Optional[Callable[[bytes], None]] = None):
        self.options = options
        self.exit_code: Optional[int] = None
        self.started = 0.0
        self._on_serial = on_serial
        self._serial_bytes = bytearray()
        self._serial_socket: Optional[socket.socket] = None
        self._serial_thread: Optional[threading.Thread] = None
        self._lock = threading.Lock()
        self._qmp: Optional[QmpClient] = None
        self._process: Optional[subprocess.Popen] = None
        self._private: Optional[Path] = None
        self._first_log: Optional[float] = None
        self._last_log = ""
        self._stderr = ""

    # ---- life ----

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        if shutil.which(self.options.qemu) is None:
            raise MachineError(f"{self.options.qemu} is not installed (make deps installs it)")
        code, variables = find_firmware(self.options.firmware)
        # A short name: the path of a Unix socket has to fit in 107 bytes.
        self._private = Path(tempfile.mkdtemp(prefix="lbm-"))
        shutil.copyfile(variables, self._private / "vars.fd")
        for name, content in self.options.files.items():
            (self._private / fw_cfg_file_name(name)).write_bytes(content)
        command = command_line(self.options, self._private, code)
        # We listen and QEMU connects, so there is nothing to wait for and to try again.
        serial_listener = listen_on(self._private / "serial.sock")
        qmp_listener = listen_on(self._private / "qmp.sock")
        self.started = time.monotonic()
        with open(self._private / "stderr.log", "wb") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=errors, start_new_session=True)
        try:
            self._serial_socket = self._accept(serial_listener)
            self._qmp = QmpClient(self._accept(qmp_listener))
        except MachineError as error:
            try:
                self._process.wait(timeout=1)  # its last words, if these were the last
            except subprocess.TimeoutExpired:
                pass
            reason = self.qemu_errors().strip() or str(error)
            raise MachineError(f"QEMU did not start: {reason}") from error
        finally:
            serial_listener.close()
            qmp_listener.close()
        self._serial_thread = threading.Thread(target=self._drain_serial, daemon=True)
        self._serial_thread.start()

    def _accept(self, listener):
        listener.settimeout(0.1)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                connection, _ = listener.accept()
                connection.settimeout(None)
                return connection
            except socket.timeout:
                if self._process.poll() is not None:
                    break
        raise MachineError("it did not connect to its sockets")

    def close(self):
        """Ends the machine if it still runs, and removes its folder. May be called again."""
        if self._process is not None and self._process.poll() is None:
            # The group is the machine's own: start_new_session made it.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process is not None and self.exit_code is None:
            self.exit_code = self._process.returncode
        if self._serial_thread is not None:
            self._serial_thread.join(timeout=5)
        if self._serial_socket is not None:
            self._serial_socket.close()
            self._serial_socket = None
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._private is not None:
            self._last_log = self.log
            self._stderr = self.qemu_errors()
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_exit(self, timeout_s: float) -> int:
        """Waits until the machine ends by itself; returns QEMU's exit code."""
        deadline = time.monotonic() + timeout_s
        while self.running():
            self.check_fault()
            if time.monotonic() >= deadline:
                raise MachineError(f"the machine did not end within {timeout_s:g} s", self.transcript_tail())
            time.sleep(POLL_S)
        self.exit_code = self._process.returncode
        if self._serial_thread is not None:
            self._serial_thread.join(timeout=5)
        return self.exit_code

    def check_fault(self):
        """Raises MachineError when the firmware reports a processor exception: nothing more will come."""
        if FAULT.search(self.serial_bytes) is None:
            return
        time.sleep(0.5)  # the rest of the report
        raise MachineError(describe_fault(self.serial), self.transcript_tail())

    # ---- what it says ----

    def _drain_serial(self):
        while True:
            try:
                data = self._serial_socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._serial_bytes += data
            if self._on_serial is not None:
                self._on_serial(data)

    @property
    def log_bytes(self) -> bytes:
        if self._private is None:
            return self._last_log.encode()
        try:
            data = (self._private / "debug.log").read_bytes()
        except OSError:
            return b""
        if data and self._first_log is None:
            self._first_log = time.monotonic()
        return data

    @property
    def log(self) -> str:
        """The debug console so far."""
        return self.log_bytes.decode("utf-8", errors="replace")

    @property
    def serial(self) -> str:
        """The serial port so far, without escape sequences and carriage returns."""
        with self._lock:
            data = bytes(self._serial_bytes)
        return strip_escapes(data.decode("utf-8", errors="replace"))

    @property
    def serial_bytes(self) -> bytes:
        with self._lock:
            return bytes(self._serial_bytes)

    def qemu_errors(self) -> str:
        if self._private is None:
            return self._stderr
        try:
            return (self._private / "stderr.log").read_text(errors="replace")
        except OSError:
            return ""

    @property
    def boot_s(self) -> Optional[float]:
        """Seconds from power-on to the program's first words, as far as somebody was waiting for them."""
        return None if self._first_log is None else self._first_log - self.started

    def transcript_tail(self, n_line: int = 40) -> str:
        text = self.log or self.serial
        return "\n".join(text.splitlines()[-n_line:])

    def wait_for(self, pattern: str, timeout_s: float, start: int = 0, source: str = "log") -> "re.Match":
        """Waits until `pattern` (multi-line) is in `source`, "log" or "serial", from character `start` on."""
        compiled = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout_s
        while True:
            self.check_fault()
            ended = not self.running()  # looked at first: what came before the end is still read below
            match = compiled.search(self.log if source == "log" else self.serial, start)
            if match:
                return match
            if ended:
                raise MachineError(f"the machine ended (exit code {self._process.returncode}) before /{pattern}/ came; "
                                   f"{self.qemu_errors().strip()}", self.transcript_tail())
            if time.monotonic() >= deadline:
                raise MachineError(f"/{pattern}/ did not come within {timeout_s:g} s", self.transcript_tail())
            time.sleep(POLL_S)

    # ---- what it is told ----

    def send(self, data: bytes):
        """Types bytes on the serial port."""
        self._serial_socket.sendall(data)

    def type_line(self, text: str):
        """Types a line on the serial port, and Enter."""
        self.send(text.encode("utf-8") + b"\r")

    def press(self, keys: str):
        """Presses a key of the keyboard by its QEMU name ("ret", "esc", "a"); "ctrl-c" presses several at once."""
        codes = [{"type": "qcode", "data": name} for name in keys.split("-")]
        self.qmp("send-key", keys=codes)
        time.sleep(0.12)  # QEMU holds a key for 100 ms; the next one must not come before its release

    def qmp(self, command: str, **arguments):
        return self._qmp.execute(command, arguments)

    def screenshot(self, path: Path):
        """Writes the screen as PNG."""
        path = Path(path).resolve()
        try:
            self.qmp("screendump", filename=str(path), format="png")
        except MachineError:
            # QEMU before 7.1 knows only PPM.
            raw = self._private / "screen.ppm"
            self.qmp("screendump", filename=str(raw))
            path.write_bytes(ppm_to_png(raw.read_bytes()))

    def quit(self):
        """Switches the machine off at once."""
        try:
            self.qmp("quit")
        except MachineError:
            pass


class QmpClient:
    """QEMU's machine protocol: one JSON object a line."""

    def __init__(self, connection: socket.socket, timeout_s: float = 30):
        connection.settimeout(timeout_s)
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()
        self._read()  # the greeting
        self.execute("qmp_capabilities", {})

    def _read(self):
        try:
            line = self._lines.readline()
        except OSError as error:
            raise MachineError(f"QEMU's monitor does not answer: {error}") from error
        if not line:
            raise MachineError("QEMU closed its monitor")
        return json.loads(line)

    def execute(self, command: str, arguments: dict):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        with self._lock:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise MachineError(f"QEMU's monitor is gone: {error}") from error
            while True:
                answer = self._read()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise MachineError(f"{command}: {answer['error'].get('desc', answer['error'])}")
                # Anything else is an event.

    def close(self):
        self._lines.close()
        self._socket.close()


def listen_on(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    return listener
