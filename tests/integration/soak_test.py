"""One minute of load and trouble, and a rolling restart: the history of both must hold. See soak.py."""

import os
import time
import unittest

import harness
import soak

ROUNDS = 2  # of a rolling restart


class Histories(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("PEERMESH_SEED", time.time_ns() % 1_000_000))

    def assert_holds(self, report):
        # A fault that did not bite is no success.
        self.assertEqual(report["verdict"], "holds", report["doubts"] or report["first"])
        total = report["total"]
        self.assertEqual(total["unexplained"], 0)
        self.assertEqual(total["accepted"], sum(count for kind, count in total.items() if kind != "accepted"))
        self.assertGreater(total["delivered"], total["accepted"] / 2, "most of it arrives in spite of all")

    def test_a_minute_of_kills_stops_partitions_and_joins_loses_nothing_unexplained(self):
        report = soak.run(1, self.seed)
        self.assert_holds(report)
        self.assertGreater(report["kills"], 0)

    def test_a_rolling_restart_under_load_loses_nothing_unexplained(self):
        with soak.Soak(self.seed) as run:
            run.start()
            for _ in range(ROUNDS):
                for name in ("alpha", "beta", "gamma"):
                    run.restart(name)
                    run.mesh.wait_linked(soak.LINKED_SECONDS)
                    run.pause(0.5, 1)
            report = run.finish()
        self.assert_holds(report)
        self.assertEqual(report["kills"], 0)
        self.assertEqual(run.bites, {"restart": ROUNDS * 3})


if __name__ == "__main__":
    harness.main()
