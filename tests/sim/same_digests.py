#!/usr/bin/python3
"""Runs scripts with two builds of meshsim, by two compilers, and compares the digests of all they did.

    same_digests.py MESHSIM REFERENCE SCRIPTS      SCRIPTS is tests/scenarios/sim

The first build runs every seed twice, so that it must agree with itself, too. Exit code 77 if there is no reference.
"""

import json
import os
import subprocess
import sys

SEEDS = 10
SCRIPTS = ("killed", "trouble")  # what takes a second or two a seed under sanitizers


def digest(program, script, seed, seeds, *flags):
    command = [program, "run", script, "--seed", str(seed), "--seeds", str(seeds), "--jobs", "2", "--json", *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f"same_digests: {' '.join(command)} failed with {done.returncode}")
    return json.loads(done.stdout)[0]["digest"]


def first_difference(programs, script):
    for seed in range(1, SEEDS + 1):
        if len({digest(program, script, seed, 1) for program in programs}) > 1:
            return seed
    return None


def main():
    program, reference, scripts = sys.argv[1:]
    if not os.access(reference, os.X_OK):
        print(f"SKIP: {reference} is not built; tests/run builds it first")
        return 77
    differing = 0
    for name in SCRIPTS:
        script = os.path.join(scripts, name + ".txt")
        ours = digest(program, script, 1, SEEDS, "--twice")
        theirs = digest(reference, script, 1, SEEDS)
        if ours == theirs:
            print(f"{name}: {SEEDS} seeds, digest {ours} in both")
            continue
        differing += 1
        seed = first_difference((program, reference), script)
        print(f"{name}: digest {ours} of {program}, {theirs} of {reference}; the first seed that differs is {seed}")
        for each in (program, reference):
            print(f"  {each} run {script} --seed {seed} --trace 0s..3600s")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
