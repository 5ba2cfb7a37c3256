#!/usr/bin/env python3
"""How long Esc takes to stop a load, a prefill and an answer of `lbm chat`, as a person sees it.

A pseudo-terminal types; the time runs from the Esc byte to the first byte of the line that says that it was heard. A lone Esc is told
from an escape sequence by 25 ms of silence, which are part of the figure. Prints a table; asserts nothing, because nothing timed is a
test. Needs a model and a built lbm; a large model and one thread make it harder.
"""
import argparse
import os
import pty
import re
import select
import signal
import statistics
import sys
import tempfile
import time

ESC = b"\x1b"


class Chat:
    """One `lbm chat` in a pseudo-terminal."""

    def __init__(self, arguments):
        self.output = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execv(arguments[0], arguments)

    def wait_for(self, pattern, timeout_s, start=0):
        """The time at which the output from `start` on had `pattern`."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if re.search(pattern, self.output[start:]):
                return time.monotonic()
            if select.select([self._fd], [], [], 0.01)[0]:
                try:
                    data = os.read(self._fd, 65536)
                except OSError:
                    break
                self.output += data
        raise TimeoutError(f"{pattern!r} did not come; the end of the output: {self.output[-400:]!r}")

    def type(self, data):
        os.write(self._fd, data)

    def close(self):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def stop_after(chat, begun, said, delay_s):
    """Waits for `begun` and `delay_s`, presses Esc, and gives the milliseconds until `said`."""
    start = len(chat.output)
    chat.wait_for(begun, 120, max(0, start - 400))
    chat.wait_for(b"^", delay_s + 1)
    time.sleep(delay_s)
    mark = len(chat.output)
    pressed = time.monotonic()
    chat.type(ESC)
    return (chat.wait_for(said, 60, mark) - pressed) * 1e3


def measure_load(options):
    # The whole file is hashed while it is read, which makes a load long enough to be stopped.
    chat = Chat(base(options) + ["--digest"])
    try:
        return stop_after(chat, rb"Loading", rb"cancelled|ERROR: cannot load", 0.02)
    finally:
        chat.close()


def measure_turn(options, question, begun, delay_s):
    chat = Chat(base(options))
    try:
        chat.wait_for(rb"You: ", 120)
        chat.type(question + b"\r")
        took = stop_after(chat, begun, rb"\(stopped", delay_s)
        # The session goes on, and what is typed now arrives.
        mark = len(chat.output)
        chat.wait_for(rb"You: ", 30, mark - 200)
        return took
    finally:
        chat.close()


def base(options):
    return [options.lbm, "chat", "-m", options.model, "--config", options.config, *options.chat_argument]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lbm", default="build/lbm")
    parser.add_argument("--model", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("chat_argument", nargs="*", help="more arguments of lbm chat, after --")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write("max_tokens=0\nloop_guard=0\nautosave=0\nlog=0\nhistory=0\n")
        config.flush()
        options.config = config.name
        long_question = b"word " * 2500
        cases = {
            "load": lambda: measure_load(options),
            "prefill": lambda: measure_turn(options, long_question, rb"AI: ", 0.3),
            "decode": lambda: measure_turn(options, b"Tell me a very long story.", rb"AI: \S+", 0.3),
        }
        print(f"{'stops':10}{'median':>10}{'worst':>10}   ms, {options.runs} runs")
        for name, measure in cases.items():
            times = []
            for _ in range(options.runs):
                try:
                    times.append(measure())
                except TimeoutError as error:
                    print(f"{name}: {error}", file=sys.stderr)
            if times:
                print(f"{name:10}{statistics.median(times):10.1f}{max(times):10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
