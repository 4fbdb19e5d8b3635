"""One minute of load and trouble: its history must hold. See soak.py."""

import os
import time
import unittest

import harness
import soak


class Histories(unittest.TestCase):
    def test_a_minute_of_kills_stops_partitions_and_joins_loses_nothing_unexplained(self):
        report = soak.run(1, int(os.environ.get("PEERMESH_SEED", time.time_ns() % 1_000_000)))
        # A fault that did not bite is no success.
        self.assertEqual(report["verdict"], "holds", report["doubts"] or report["first"])
        total = report["total"]
        self.assertEqual(total["unexplained"], 0)
        self.assertEqual(total["accepted"], sum(count for kind, count in total.items() if kind != "accepted"))
        self.assertGreater(total["delivered"], total["accepted"] / 2, "most of it arrives in spite of all")
        self.assertGreater(report["kills"], 0)


if __name__ == "__main__":
    harness.main()
