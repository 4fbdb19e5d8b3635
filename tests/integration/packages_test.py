"""What deploy/install-deps installs exists and can be installed together on a fresh Debian 12; nothing is, here.

tests/minbase goes all the way: it installs, builds and runs the demo.
"""

import pathlib
import re
import shutil
import subprocess
import unittest

import harness

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 100
# What mmdebstrap and apt say when a mirror cannot be had, as opposed to a package.
UNREACHABLE = r"Temporary failure|Could not (connect|resolve)|Failed to fetch|Unable to connect|Network is unreachable"


def packages(tier):
    done = subprocess.run([ROOT / "deploy/install-deps", "--list", tier], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.split()


class Packages(unittest.TestCase):
    def test_every_tier_can_be_installed_on_a_fresh_debian(self):
        if shutil.which("mmdebstrap") is None:
            self.skipTest("mmdebstrap is not installed (deploy/install-deps test)")
        done = subprocess.run(["mmdebstrap", "--simulate", "--variant=minbase", f"--include={','.join(packages('bench'))}",
                               "bookworm", "/dev/null"], capture_output=True, text=True, timeout=SECONDS)
        if done.returncode != 0 and re.search(UNREACHABLE + "|chroot mode|unshare", done.stderr):
            self.skipTest(f"mmdebstrap cannot work here: {done.stderr.strip().splitlines()[-1]}")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_each_tier_holds_the_one_before(self):
        build, test, bench = (set(packages(tier)) for tier in ("build", "test", "bench"))
        self.assertTrue(build < test < bench)

    def test_no_daemon_is_installed(self):
        script = (ROOT / "deploy/install-deps").read_text()
        for daemon in ("prometheus", "nats-server"):
            self.assertRegex(script, rf"_tools='[^']*\b{daemon}\b")
            self.assertNotRegex(script, rf"_packages='[^']*^  {daemon}\b")


if __name__ == "__main__":
    harness.main()
