"""Every daemon of a mesh restarted in turn under load, some in good order and some killed: the history must hold.

    rolling_test.py                  # five daemons
    rolling_test.py --full           # sixteen
"""

import os
import statistics
import sys
import time
import unittest

import harness
import trial

SIZE, ROUNDS = (16, 3) if "--full" in sys.argv else (5, 1)
SUBJECTS = ["orders.eu.new", "orders.us.old", "stock.a", "stock.b", "news"]
BUSY_PATTERNS = ["orders.>", "news"]
IDLE_PATTERNS = [["stock.*"], [">"], ["*.eu.new", "news"], ["orders.*.old", "stock.a"]]
RATE = 800 // SIZE     # messages a second of each that publishes


class RollingRestart(unittest.TestCase):
    def start(self, run):
        """The mesh. Of each four peers three publish and listen, and one has no applications."""
        names = [f"peer{number}" for number in range(1, SIZE + 1)]
        for name in names:
            run.launch(name)
        run.figure("linked_seconds", run.mesh.wait_linked(trial.LINKED_SECONDS), "s")
        programs = []
        for number, name in enumerate(names):
            if number % 4 < 3:
                programs.append(run.load(name, "busy", subscribe=BUSY_PATTERNS, publish=SUBJECTS, rate=RATE,
                                         target=names[number - 1], direct_every=50))
            if number % 4 in (1, 2):
                programs.append(run.load(name, "idle", subscribe=IDLE_PATTERNS[number // 4 % len(IDLE_PATTERNS)]))
        for program in programs:
            program.wait_open()
        return names

    def test_each_daemon_restarted_in_turn_loses_nothing_unexplained(self):
        with trial.Trial("rolling", int(os.environ.get("PEERMESH_SEED", time.time_ns() % 1_000_000))) as run:
            names = self.start(run)
            run.pause(0.5, 1)
            linked = []
            for _ in range(ROUNDS):
                # Half of them each way, and nobody knows who.
                ways = [run.kill if number % 2 else run.end for number in range(len(names))]
                run.random.shuffle(ways)
                for name, way in zip(names, ways):
                    fault = run.fault("kill" if way == run.kill else "restart", name)
                    run.bit(fault, way(name))
                    run.pause(0, 0.5)
                    run.launch(name)
                    linked.append(run.mesh.wait_linked(trial.LINKED_SECONDS))
                    run.pause(0, 0.5)
            report = run.finish()
            run.figure("daemons", SIZE, "count")
            run.figure("restarts", len(linked), "count")
            run.figure("relinked_median", statistics.median(linked), "s")
            run.figure("relinked_longest", max(linked), "s", f"at most {trial.LINKED_SECONDS}")
        self.assertEqual(report["verdict"], "holds", report["doubts"] or report["first"])
        total = report["total"]
        self.assertEqual(total["unexplained"], 0)
        self.assertEqual(total["accepted"], sum(count for kind, count in total.items() if kind != "accepted"))
        self.assertGreater(total["delivered"], total["accepted"] / 2, "most of it arrives in spite of all")
        self.assertEqual(run.bites, {"kill": SIZE // 2 * ROUNDS, "restart": (SIZE + 1) // 2 * ROUNDS})
        self.assertEqual(report["kills"], SIZE // 2 * ROUNDS)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--full"]
    harness.main()
