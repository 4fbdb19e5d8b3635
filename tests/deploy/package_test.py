"""The Debian package: made, found clean by lintian, installed in a throw-away Debian, used there, and purged without a trace."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import debian
import harness
from debian import run

# What dpkg and apt write about any package, not what the package has.
BOOKKEEPING = ("var/lib/dpkg/", "var/log/", "var/cache/", "var/lib/apt/", "var/lib/systemd/", "run/adduser/", "tmp/",
               "proc/", "dev/")
# As the units have it.
START = """
set -e
install -d -o peermesh -g peermesh -m 700 /var/lib/peermesh
install -d -o peermesh -g peermesh -m 755 /run/peermesh
run() { setpriv --reuid peermesh --regid peermesh --init-groups --no-new-privs "$@"; }
export PEERMESH_DATA_DIR=/var/lib/peermesh PEERMESH_RUN_DIR=/run/peermesh
run peermeshd --config /etc/peermesh/peermesh.yaml --join /nowhere --name alpha || [ $? = 5 ]
run peermeshd --config /etc/peermesh/peermesh.yaml --create --name alpha --listen 127.0.0.1:0 --metrics off --ca-listen 127.0.0.1:0 &
peermesh health --wait 20s
peermesh status
peermesh drain
wait $!
"""


def files(root):
    """Every path in it, and what accounts there are."""
    paths = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    accounts = {name: sorted((root / "etc" / name).read_text().splitlines()) for name in ("passwd", "group", "shadow", "gshadow")}
    # What account tools keep of the last version.
    return {path for path in paths if not (path + "/").startswith(BOOKKEEPING) and not re.fullmatch(r"etc/\w+-", path)}, accounts


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.deb = debian.package()

    def contents(self):
        return [line.split()[5].removeprefix(".") for line in run("dpkg-deb", "-c", self.deb).splitlines()]

    @unittest.skipIf(shutil.which("lintian") is None, "lintian is not installed (deploy/install-deps test)")
    def test_lintian_finds_nothing(self):
        words = ["lintian", "--fail-on", "error,warning", *(["--allow-root"] if os.geteuid() == 0 else []), str(self.deb)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_it_has_what_a_host_needs(self):
        found = self.contents()
        for path in ("/usr/bin/peermeshd", "/usr/bin/peermesh-ca", "/usr/bin/peermesh", "/lib/systemd/system/peermeshd.service",
                     "/lib/systemd/system/peermesh-ca.service", "/etc/peermesh/peermesh.yaml", "/usr/share/man/man1/peermesh.1.gz",
                     "/usr/share/man/man1/peermesh-leaks.1.gz", "/usr/share/man/man8/peermeshd.8.gz",
                     "/usr/share/man/man8/peermesh-ca.8.gz", "/usr/share/bash-completion/completions/peermesh",
                     "/usr/share/zsh/vendor-completions/_peermesh", "/usr/share/fish/vendor_completions.d/peermesh.fish",
                     "/usr/share/peermesh/prometheus/alerts.yaml", "/usr/share/peermesh/protos/peermesh/v1/messaging.proto"):
            self.assertIn(path, found)
        self.assertFalse([path for path in found if re.search(r"\.(a|h)$|meshsim|/usr/local|/work|/home", path)])

    def test_it_is_made_the_same_again(self):
        with tempfile.TemporaryDirectory() as place:
            run("cpack", "--config", "CPackConfig.cmake", "-B", place, cwd=debian.BUILD, env={**os.environ, "SOURCE_DATE_EPOCH": "1795219200"})
            again = next(pathlib.Path(place).glob("*.deb"))
            self.assertEqual(again.read_bytes(), self.deb.read_bytes())

    def test_it_installs_works_and_goes_without_a_trace(self):
        if debian.missing():
            self.skipTest(debian.missing())
        place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="peermesh-package.")))
        root = place / "root"
        debian.make(root, debian.depends(self.deb))
        before = files(root)
        shutil.copy(self.deb, root / "tmp/peermesh.deb")

        self.enter(root, "dpkg", "-i", "/tmp/peermesh.deb")
        self.assertEqual(self.enter(root, "dpkg", "--verify", "peermesh").strip(), "")
        self.assertIn("peermesh-ca:", (root / "etc/passwd").read_text())
        self.assertTrue((root / "lib/systemd/system/peermeshd.service").is_file())
        wanted = [path for path in (root / "etc/systemd").rglob("*peermesh*")] if (root / "etc/systemd").exists() else []
        self.assertEqual(wanted, [], "nothing is enabled")
        self.assertFalse((root / "var/lib/peermesh").exists(), "nothing was started")
        shown = self.enter(root, "bash", "-c", START)
        self.assertRegex(shown, r"alpha")

        self.enter(root, "dpkg", "--remove", "peermesh")
        self.assertTrue((root / "var/lib/peermesh/identity").is_dir(), "keys stay until a purge")
        self.assertTrue((root / "etc/peermesh/peermesh.yaml").is_file())
        self.enter(root, "dpkg", "--purge", "peermesh")
        after = files(root)
        self.assertEqual(after[0] - before[0], set())
        self.assertEqual(before[0] - after[0], set())
        self.assertEqual(after[1], before[1])

    def enter(self, root, *words):
        done = debian.enter(root, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout


if __name__ == "__main__":
    harness.main()
