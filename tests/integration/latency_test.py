"""How long a message takes to an application on another peer and back, on an idle mesh."""

import os
import re
import subprocess
import unittest

import harness
from harness import figure

MEDIAN_MICROSECONDS = 600
ROUND_TRIPS = 1000


@unittest.skipIf(harness.SANITIZED, "built with sanitizers: its speed is not its own")
class Latency(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def test_the_median_echo_across_two_peers_is_at_most_600_microseconds(self):
        words = [os.environ["PEERMESH_ECHO"], self.alpha.facts["app_socket"], self.beta.facts["app_socket"],
                 str(ROUND_TRIPS)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        values = {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+)", done.stdout)}
        self.assertEqual(values["count"], ROUND_TRIPS)
        figure("echo_two_peers_median", values["median_us"], "us", f"<= {MEDIAN_MICROSECONDS}")
        figure("echo_two_peers_p99", values["p99_us"], "us")
        figure("echo_two_peers_min", values["min_us"], "us")
        self.assertLessEqual(values["median_us"], MEDIAN_MICROSECONDS)
        # Every request and every answer crossed the link between the two.
        self.assertGreaterEqual(self.alpha.metric("peermesh_messages_total", event="sent"), ROUND_TRIPS)
        self.assertGreaterEqual(self.beta.metric("peermesh_messages_total", event="sent"), ROUND_TRIPS)


if __name__ == "__main__":
    harness.main()
