"""deploy/demo, as a user runs it, once everything is built."""

import os
import pathlib
import re
import subprocess
import time
import unittest

import harness

ROOT = pathlib.Path(__file__).parents[2]
DEMO = ROOT / "deploy/demo"
SECONDS = 30  # required, with everything installed and built


def run(*arguments):
    build = pathlib.Path(os.environ["PEERMESH_BIN"]).parent
    return subprocess.run([DEMO, "--no-install", *arguments], cwd="/", text=True, timeout=100, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "PEERMESH_BUILD_DIR": str(build)})


class Demo(unittest.TestCase):
    def test_three_peers_carry_a_file_and_leave(self):
        began = time.monotonic()
        result = run()
        took = time.monotonic() - began
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        sums = re.findall(r"^(alpha|beta|gamma) +([0-9a-f]{64}) +(\d+) messages$", result.stdout, re.MULTILINE)
        self.assertEqual([name for name, _, _ in sums], ["alpha", "beta", "gamma"])
        self.assertEqual(len({(digest, count) for _, digest, count in sums}), 1)
        self.assertGreaterEqual(int(sums[0][2]), 10_000)
        self.assertIn("process_resident_memory_bytes", result.stdout)
        self.assertIn("gamma stopped", result.stdout)
        harness.figure("demo", took, "s", f"< {SECONDS}")
        self.assertLess(took, SECONDS)

    def test_a_file_it_cannot_read_is_named_before_anything_starts(self):
        result = run("/nonexistent/file")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/nonexistent/file", result.stderr)

    def test_an_unknown_option_is_a_usage_error(self):
        result = run("--frobnicate")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--help", result.stderr)


if __name__ == "__main__":
    harness.main()
