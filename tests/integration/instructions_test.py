"""What the ledger costs a message, in instructions: two daemons under callgrind, its level changed between batches.

Instructions, because they do not depend on what else the machine does. Everything a daemon does meanwhile counts: its
turns, its sweeps, its heartbeats, which valgrind's slowness makes larger than life on both sides alike.
"""

import re
import shutil
import statistics
import subprocess
import unittest

from peermesh.v1 import message_pb2

import harness
from harness import figure, wait_for

MESSAGES = 20_000
PAIRS = 5
REQUIRED = 1.03


@unittest.skipIf(harness.SANITIZED, "built with sanitizers: their instructions are not its own")
@unittest.skipIf(shutil.which("callgrind_control") is None, "valgrind is not installed; deploy/install-deps test does that")
class Instructions(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        wrapper = cls.mesh.dir / "peermeshd.sh"
        wrapper.write_text('#!/bin/sh\nexec valgrind --quiet --tool=callgrind --instr-atstart=no '
                           f'--callgrind-out-file={cls.mesh.dir}/counts.%p {harness.BIN / "peermeshd"} "$@"\n')
        wrapper.chmod(0o755)
        for name in ("alpha", "beta"):
            cls.mesh.peer(name).program = wrapper
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked(60)
        cls.stream = cls.beta.subscribe("cost", on_overflow=message_pb2.ON_OVERFLOW_BLOCK)
        wait_for(lambda: cls.alpha.publish(("cost", b"first")) and cls.stream.arrived, 30, "the first message")
        for peer in (cls.alpha, cls.beta):
            subprocess.run(["callgrind_control", "--instr=on", str(peer.pid)], check=True, capture_output=True)

    def counted(self):
        """Instructions of both daemons since it was last asked."""
        total = 0
        for peer in (self.alpha, self.beta):
            seen = set(self.mesh.dir.glob(f"counts.{peer.pid}.*"))
            subprocess.run(["callgrind_control", "--dump", str(peer.pid)], check=True, capture_output=True)
            dump = wait_for(lambda: set(self.mesh.dir.glob(f"counts.{peer.pid}.*")) - seen, 30, "callgrind's dump").pop()
            text = wait_for(lambda: re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.M), 30, "its totals")
            total += int(text[1])
            dump.unlink()
        return total

    def batch(self, level):
        """Instructions a message takes at a level."""
        for peer in (self.alpha, self.beta):
            self.mesh.cli("leaks", "level", level, peer=peer)
        self.counted()
        before = len(self.stream.arrived)
        self.mesh.cli("pub", "cost", "x" * 128, "--count", MESSAGES, peer=self.alpha)
        self.stream.wait_messages(before + MESSAGES, 60)
        self.assertEqual(len(self.stream.arrived), before + MESSAGES)
        self.assertEqual(self.stream.lost, [])
        return self.counted() / MESSAGES

    def test_a_message_costs_at_most_3_percent_more_with_the_ledger_on(self):
        self.batch("track")  # to warm up: what is made once
        ratios, costs = [], {"off": [], "track": []}
        for _ in range(PAIRS):
            for level in costs:
                costs[level].append(self.batch(level))
            ratios.append(costs["track"][-1] / costs["off"][-1])
        for level, values in costs.items():
            figure(f"instructions_per_message_{level}", statistics.median(values), "instructions")
        figure("instructions_ratio_min", min(ratios), "")
        figure("instructions_ratio_max", max(ratios), "")
        figure("instructions_ratio_median", statistics.median(ratios), "", f"<= {REQUIRED}")
        self.assertLessEqual(statistics.median(ratios), REQUIRED)


if __name__ == "__main__":
    harness.main()
