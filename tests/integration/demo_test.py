"""deploy/demo, as a user runs it, once everything is built."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import harness

ROOT = pathlib.Path(__file__).parents[2]
DEMO = ROOT / "deploy/demo"
SECONDS = 30  # required, with everything installed and built


def start(*arguments, cwd="/", **environment):
    build = pathlib.Path(os.environ["PEERMESH_BIN"]).parent
    return subprocess.Popen([DEMO, "--no-install", *arguments], cwd=cwd, text=True, start_new_session=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PEERMESH_BUILD_DIR": str(build), **environment})


def run(*arguments, **where):
    demo = start(*arguments, **where)
    try:
        out, err = demo.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        os.killpg(demo.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(demo.args, demo.returncode, out, err)


def alive(group):
    try:
        os.killpg(group, 0)  # also finds a process that has ended and is about to be collected
    except ProcessLookupError:
        return False
    return True


class Demo(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="peermesh-test.")
        self.addCleanup(directory.cleanup)
        self.dir = pathlib.Path(directory.name)

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

    def test_a_file_of_ones_own_is_found_from_where_one_is_and_arrives_whatever_is_in_it(self):
        (self.dir / "odd").write_bytes(b"\xff\0 not text\n\nno newline at the end")
        result = run("odd", cwd=self.dir)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(len(re.findall(r" [0-9a-f]{64}  3 messages$", result.stdout, re.MULTILINE)), 3, result.stdout)

    def test_a_failure_says_what_failed_why_and_where_the_logs_are(self):
        result = run(PEERMESH_LOG_LEVEL="loud", TMPDIR=str(self.dir))
        self.assertEqual(result.returncode, 1)
        self.assertIn("failed while starting alpha", result.stderr)
        self.assertIn("log.level is 'loud'", result.stderr)
        logs = re.search(r"logs are in (\S+)", result.stderr)[1]
        self.assertIn("loud", (pathlib.Path(logs) / "alpha.log").read_text())

    def test_an_interrupt_ends_what_it_started_and_leaves_nothing_behind(self):
        for arguments, code in ((["--keep"], 0), ([], 130)):
            with self.subTest(arguments):
                demo = start(*arguments, TMPDIR=str(self.dir))
                begun = "The mesh runs on" if code == 0 else "Everybody knows"
                for line in demo.stdout:
                    if begun in line:
                        break
                os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
                out, err = demo.communicate(timeout=60)
                self.assertEqual(demo.returncode, code, out + err)
                self.assertIn("stopped" if code == 0 else "interrupted while", out)
                self.assertEqual(list(self.dir.iterdir()), [])
                harness.wait_for(lambda: not alive(demo.pid), 5, "all that it started to be gone")

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
