#!/usr/bin/env python3
"""Measures lbm and another engine side by side, on the same file and threads, with the other engine's llama-bench.

  bench_compare.py --peer PATH/llama-bench [--peer-flags "-rtr 1 -fa 1"] -m FILE [-t 1] [-p 512] [-n 128] [-d 0]
                   [-r ROUNDS] [--samples 3] [--lbm build/lbm] [--lbm-flags "--isa avx2"] [--wait-quiet S] [--json]

In each round both engines run once for each test, one right after the other, and who is first alternates: A B, B A, A B ... A
machine changes from minute to minute (neighbours on the host, clock, what else runs), so only neighbours in time compare. Each
run is a process of its own that warms up and takes --samples samples; their median is the value of the round, and the quotient of
two neighbours is its ratio (above 1: lbm is faster). Printed are all rounds, and min, median and max over them.

-p 0 or -n 0 leaves that test out. With -d both tests start with that many tokens in the context; a llama-bench that has no -d is
asked for -gp instead, which measures decode only. `foreign` is how many cores other processes kept busy during a run: the busy time
of /proc/stat less that of the run.

--json: one object; prefill_ratio and decode_ratio have min, median, max, rounds (null where it was not measured), and lbm and peer the
tokens per second of each test. Exit codes: 0 measured, 1 a run failed (its last lines are shown), 2 usage.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 1800
TAIL_LINES = 15
QUIET_SHARE = 0.12  # of the machine, busy, over QUIET_LOOK_S
QUIET_LOOK_S = 0.25


class RunFailed(Exception):
    """A run that came to no result, in words for a person."""


@dataclass
class Run:
    """One process: tokens per second of each sample, what else was going on, and what the engine says of itself."""
    samples: list
    foreign: float
    row: dict

    @property
    def value(self):
        return statistics.median(self.samples)


@dataclass
class Test:
    """Prefill or decode, with a run of each side a round."""
    kind: str  # "prefill" or "decode"
    n_token: int
    depth: int
    lbm: list = field(default_factory=list)
    peer: list = field(default_factory=list)

    @property
    def name(self):
        base = ("pp" if self.kind == "prefill" else "tg") + str(self.n_token)
        return f"{base} @ d{self.depth}" if self.depth else base

    def ratios(self):
        return [a.value / b.value for a, b in zip(self.lbm, self.peer)]


# ---- the machine --------------------------------------------------------------------------------------------------------

def busy_seconds(stat_text=None):
    """(busy, all) CPU seconds of all processes since the start of the machine."""
    text = stat_text if stat_text is not None else Path("/proc/stat").read_text(encoding="ascii")
    ticks = [int(word) for word in text.splitlines()[0].split()[1:9]]  # user nice system idle iowait irq softirq steal
    rate = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / rate, sum(ticks) / rate


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def wait_until_quiet(limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        busy, total = busy_seconds()
        time.sleep(QUIET_LOOK_S)
        busy, total = busy_seconds()[0] - busy, busy_seconds()[1] - total
        if busy <= QUIET_SHARE * total:
            return


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


# ---- runs ---------------------------------------------------------------------------------------------------------------

def tail(text):
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])


def parse_report(text):
    """The last row of a report: lbm's object with `results`, or llama-bench's list, which other output may precede."""
    decoder = json.JSONDecoder()
    for start in (i for i, c in enumerate(text) if c in "[{" and (i == 0 or text[i - 1] == "\n")):
        try:
            report, _ = decoder.raw_decode(text[start:])
        except ValueError:
            continue
        if isinstance(report, dict) and report.get("results"):
            return {**{key: value for key, value in report.items() if key != "results"}, **report["results"][-1]}
        if isinstance(report, list) and report and "samples_ts" in report[-1]:
            return report[-1]
    raise ValueError("no results in the output")


def run_engine(command, wait_quiet_s):
    wait_until_quiet(wait_quiet_s)
    start, start_busy, start_own = time.monotonic(), busy_seconds()[0], children_seconds()
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except OSError as error:
        raise RunFailed(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"{shlex.join(command)}\nno result within {TIMEOUT_S} s") from error
    elapsed = max(time.monotonic() - start, 1e-3)
    own = children_seconds() - start_own
    foreign = max(0.0, (busy_seconds()[0] - start_busy - own) / elapsed)
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise RunFailed(f"{shlex.join(command)}\n{how}; it said last:\n{tail(done.stderr) or tail(done.stdout) or '(nothing)'}")
    try:
        row = parse_report(done.stdout)
        samples = [float(value) for value in row["samples_ts"]]
        if not samples or min(samples) <= 0:
            raise ValueError("a result without samples")
    except (ValueError, KeyError) as error:
        raise RunFailed(f"{shlex.join(command)}\n{error}; it said last:\n{tail(done.stdout)}\n{tail(done.stderr)}") from error
    return Run(samples, foreign, row)


class Engines:
    """How each side is called."""

    def __init__(self, options):
        self.options = options
        self.peer_knows_depth = options.depth == 0 or "--n-depth" in self.peer_help()

    def peer_help(self):
        try:
            done = subprocess.run([self.options.peer, "--help"], capture_output=True, text=True, errors="replace", timeout=60,
                                  check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunFailed(f"{self.options.peer} --help: {error}") from error
        return done.stdout + done.stderr

    def lengths(self, test):
        return ["-p", str(test.n_token if test.kind == "prefill" else 0), "-n", str(test.n_token if test.kind == "decode" else 0)]

    def lbm(self, test):
        o = self.options
        return [o.lbm, "bench", "-m", o.model, "-t", str(o.threads), *self.lengths(test), "-d", str(test.depth),
                "-r", str(o.samples), "--no-limits", "-o", "json", *shlex.split(o.lbm_flags)]

    def peer(self, test):
        o = self.options
        if test.depth and not self.peer_knows_depth:
            lengths = ["-p", "0", "-n", "0", "-gp", f"{test.depth},{test.n_token}"]
        else:
            lengths = self.lengths(test) + (["-d", str(test.depth)] if test.depth else [])
        return [o.peer, "-m", o.model, "-t", str(o.threads), *lengths, "-r", str(o.samples), "-o", "json",
                *shlex.split(o.peer_flags)]

    def can_run(self, test):
        return not (test.depth and test.kind == "prefill" and not self.peer_knows_depth)


def measure(options, report):
    """Runs all rounds; returns the tests. `report` is called with (round, test) after each pair."""
    engines = Engines(options)
    tests = [Test("prefill", options.n_prompt, options.depth), Test("decode", options.n_gen, options.depth)]
    tests = [test for test in tests if test.n_token and engines.can_run(test)]
    if not tests:
        raise RunFailed("nothing is left to measure (this llama-bench has no -d, so it measures decode at a depth only)")
    for index in range(options.rounds):
        for test in tests:
            sides = [("lbm", engines.lbm(test)), ("peer", engines.peer(test))]
            for side, command in sides if index % 2 == 0 else reversed(sides):
                getattr(test, side).append(run_engine(command, options.wait_quiet))
            report(index, test)
    return tests


# ---- results ------------------------------------------------------------------------------------------------------------

def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def describe(options, tests):
    out = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": cpu_model(), "n_cpu": os.cpu_count(),
           "model": os.path.basename(options.model), "threads": options.threads, "rounds": options.rounds,
           "peer_path": options.peer, "peer_flags": options.peer_flags, "lbm_flags": options.lbm_flags,
           "prefill_ratio": None, "decode_ratio": None, "lbm": {}, "peer": {}}
    first_lbm, first_peer = tests[0].lbm[0].row, tests[0].peer[0].row
    out["lbm_version"], out["lbm_isa"] = first_lbm.get("version"), first_lbm.get("isa")
    out["peer_version"] = f"{first_peer.get('build_commit', '?')} ({first_peer.get('build_number', '?')})"
    for test in tests:
        out[test.kind + "_ratio"] = {**spread(test.ratios()), "rounds": test.ratios()}
        for side in ("lbm", "peer"):
            runs = getattr(test, side)
            out[side][test.kind] = {"test": test.name, **spread([run.value for run in runs]),
                                    "rounds": [{"tok_s": run.value, "samples_ts": run.samples, "foreign": round(run.foreign, 3)}
                                               for run in runs]}
    return out


def print_round(index, test):
    lbm, peer = test.lbm[-1], test.peer[-1]
    print(f"{index + 1:5}  {test.name:14} {lbm.value:9.2f} {peer.value:9.2f} {lbm.value / peer.value:7.2f}"
          f"   {lbm.foreign:.2f} {peer.foreign:.2f}", flush=True)


def print_summary(result, tests):
    for test in tests:
        print()
        for side in ("lbm", "peer"):
            values = result[side][test.kind]
            print(f"{test.name} {side:5} {values['median']:9.2f} tok/s  ({values['min']:.2f} to {values['max']:.2f})")
        ratio = result[test.kind + "_ratio"]
        print(f"{test.name} ratio {ratio['median']:9.2f}        ({ratio['min']:.2f} to {ratio['max']:.2f})")
    print(f"\n{result['cpu']}, {result['threads']} of {result['n_cpu']} CPUs; lbm {result['lbm_version']} ({result['lbm_isa']}); "
          f"peer {result['peer_version']} {result['peer_flags']}")


def joined_flags(arguments):
    """`--peer-flags X` as `--peer-flags=X`: argparse takes an X that begins with a dash for an option of ours."""
    out = []
    for argument in arguments:
        if out and out[-1] in ("--peer-flags", "--lbm-flags"):
            out[-1] += "=" + argument
        else:
            out.append(argument)
    return out


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, metavar="PATH", help="the llama-bench of the other engine")
    parser.add_argument("--peer-flags", default="", metavar="FLAGS", help='passed on to it: "-rtr 1 -fa 1"')
    parser.add_argument("-m", "--model", required=True, metavar="FILE")
    parser.add_argument("-t", "--threads", type=int, default=1)
    parser.add_argument("-p", "--n-prompt", type=int, default=512, help="tokens to prefill; 0: not measured")
    parser.add_argument("-n", "--n-gen", type=int, default=128, help="tokens to decode; 0: not measured")
    parser.add_argument("-d", "--depth", type=int, default=0, help="tokens in the context before")
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=3, help="repetitions within a run (default 3)")
    parser.add_argument("--lbm", default=str(ROOT / "build" / "lbm"), metavar="PATH")
    parser.add_argument("--lbm-flags", default="", metavar="FLAGS")
    parser.add_argument("--wait-quiet", type=float, default=0, metavar="S",
                        help="wait up to S seconds before each run until the machine is quiet (default 0)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(joined_flags(sys.argv[1:] if arguments is None else arguments))
    if min(options.threads, options.rounds, options.samples) < 1 or min(options.n_prompt, options.n_gen, options.depth) < 0:
        parser.error("-t, -r and --samples begin at 1, -p, -n and -d at 0")
    if options.n_prompt == 0 and options.n_gen == 0:
        parser.error("nothing to measure: -p 0 and -n 0")
    return options


def main(arguments=None):
    options = parse_options(arguments)
    if not options.json:
        print("round  test                 lbm      peer   ratio   foreign load (cores)")
    try:
        tests = measure(options, (lambda index, test: None) if options.json else print_round)
    except RunFailed as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return 1
    result = describe(options, tests)
    if options.json:
        print(json.dumps(result))
    else:
        print_summary(result, tests)
    return 0


if __name__ == "__main__":
    sys.exit(main())
