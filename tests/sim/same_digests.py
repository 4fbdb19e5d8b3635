#!/usr/bin/python3
"""Runs scripts and experiments with two builds of meshsim, by two compilers, and compares the digests of all they did.

    same_digests.py MESHSIM REFERENCE SCENARIOS      SCENARIOS is tests/scenarios

The first build runs every seed twice, so that it must agree with itself, too. Exit code 77 if there is no reference.
"""

import os
import re
import subprocess
import sys

# What takes a second or two a seed under sanitizers: command, file, flags, seeds.
RUNS = (
    ("run", "sim/killed.txt", (), 10),
    ("run", "sim/trouble.txt", (), 10),
    ("experiment", "large/e4.txt", ("--cases", "small-any", "--peers", "60"), 2),
    ("experiment", "large/e5.txt", ("--cases", "small-silent-100", "--peers", "50"), 1),
)


def digest(program, run, seed, seeds, *flags):
    kind, script, more, _ = run
    command = [program, kind, script, *more, "--seed", str(seed), "--seeds", str(seeds), "--jobs", "2", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    # Few peers need not keep the bounds of many; a run that failed otherwise has no digest of all.
    digests = re.findall(r"^digest (\w+)$", done.stdout, re.MULTILINE)
    if not digests or (done.returncode != 0 and kind == "run"):
        print(done.stdout)
        sys.exit(f"same_digests: {' '.join(command)} failed with {done.returncode}")
    return digests[-1]


def first_difference(programs, run):
    for seed in range(1, run[3] + 1):
        if len({digest(program, run, seed, 1) for program in programs}) > 1:
            return seed
    return None


def main():
    program, reference, scenarios = sys.argv[1:]
    if not os.access(reference, os.X_OK):
        print(f"SKIP: {reference} is not built; tests/run builds it first")
        return 77
    differing = 0
    for kind, script, flags, seeds in RUNS:
        run = (kind, os.path.join(scenarios, script), flags, seeds)
        ours = digest(program, run, 1, seeds, "--twice")
        theirs = digest(reference, run, 1, seeds)
        if ours == theirs:
            print(f"{script}: {seeds} seeds, digest {ours} in both")
            continue
        differing += 1
        seed = first_difference((program, reference), run)
        print(f"{script}: digest {ours} of {program}, {theirs} of {reference}; the first seed that differs is {seed}")
        for each in (program, reference):
            print(f"  {each} {kind} {run[1]} {' '.join(flags)} --seed {seed}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
