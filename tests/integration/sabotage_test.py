"""Real daemons with one promise broken in one place: each must be found out by the history of a short run.

    sabotage_test.py [MUTANT]        # drop; the program is PEERMESH_MUTANT

What finds nothing wrong with them proves nothing. It is a forced failure, too: all that can explain it must be kept.

Some mutants are not those of tests/sim/sabotage: what the wire would refuse to encode ends a daemon by a check of its own.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import harness

MUTANT = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "drop"
# Which invariant must find it, and what must happen so that it shows.
PLANS = {"drop": ("owed", "nothing", 0.36), "renumber": ("number", "nothing", 0.36),
         "twice": ("duplicate", "nothing", 0.36), "forget-gap": ("owed", "isolate", 0.6),
         "miscount": ("books", "nothing", 0.36)}
VIOLATED = 1


class Sabotage(unittest.TestCase):
    def test_a_mutant_among_three_peers_is_found_out(self):
        invariant, faults, minutes = PLANS[MUTANT]
        words = ["/usr/bin/python3", "-B", str(pathlib.Path(__file__).with_name("soak.py")), "--hasty", "--faults", faults,
                 "--minutes", str(minutes), "--program", f"beta={os.environ['PEERMESH_MUTANT']}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, VIOLATED, done.stdout[-3000:] + done.stderr[-3000:])
        place = re.search(r"^history, logs and data directories are kept in (\S+)$", done.stdout, re.MULTILINE)
        self.assertIsNotNone(place, done.stdout[-3000:])
        kept = pathlib.Path(place[1])
        self.assertTrue((kept / "report.json").exists(), "the run broke off: " + done.stdout[-3000:] + done.stderr[-3000:])
        report = json.loads((kept / "report.json").read_text())
        found = {name: count for name, count in report["violations"].items() if count}
        self.assertIn(invariant, found, report["first"][:3])
        harness.figure(f"sabotage_{MUTANT}_violations", found[invariant], "count", "1 or more")
        for what in ("history/trial.history", "history/beta-busy.history", "history/names.txt", "peers/beta.log",
                     "peers/beta/state.db", "beta-busy.out"):
            self.assertTrue((kept / what).exists(), f"{what} is not among what is kept")
        self.assertIn(f"VIOLATION {invariant}", done.stdout)
        shutil.rmtree(kept, ignore_errors=True)  # a CA may still be ending


if __name__ == "__main__":
    harness.main()
