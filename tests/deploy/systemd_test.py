"""The units of deploy/systemd: what systemd says of them, and whether the daemons do what the units rely on.

No systemd runs here: it is asked offline, and the test is the manager that a daemon talks to.
"""

import contextlib
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness

UNITS = pathlib.Path(__file__).parents[2] / "deploy/systemd"
MOST_EXPOSURE = 2.0
WATCHDOG_SECONDS = 0.6  # a proof is asked for three times as often


def directives(unit):
    """The values of every directive of a unit, in their order."""
    found = {}
    for line in (UNITS / f"{unit}.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True, timeout=60)


@unittest.skipIf(shutil.which("systemd-analyze") is None, "systemd-analyze is not installed")
class Analysis(unittest.TestCase):
    def test_systemd_finds_nothing_wrong(self):
        with tempfile.TemporaryDirectory() as place:
            units = []
            for unit in ("peermeshd", "peermesh-ca"):
                units.append(pathlib.Path(place) / f"{unit}.service")
                text = (UNITS / units[-1].name).read_text()
                units[-1].write_text(text.replace("=/usr/bin/peermesh", f"={harness.BIN}/peermesh"))
            done = analyze("verify", *units)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_little_is_exposed(self):
        for unit in ("peermeshd", "peermesh-ca"):
            done = analyze("security", "--offline=true", UNITS / f"{unit}.service")
            overall = re.search(rf"Overall exposure level for {unit}\.service: ([\d.]+)", done.stdout)
            self.assertTrue(overall, done.stdout + done.stderr)
            harness.figure(f"exposure_{unit}", float(overall[1]), "of 10", f"<= {MOST_EXPOSURE}")
            self.assertLessEqual(float(overall[1]), MOST_EXPOSURE)


class Manager:
    """The socket that systemd would read, and the environment it would give."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.environment = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))}
        self.fields = []

    def close(self):
        self.socket.close()

    def said(self, field, seconds=10):
        """Waits for a field and returns its value. What came before it is forgotten."""
        def come():
            while select.select([self.socket], [], [], 0)[0]:
                self.fields += self.socket.recv(1024).decode().splitlines()
            values = [line.partition("=")[2] for line in self.fields if line.startswith(field + "=")]
            return values[:1]
        value = harness.wait_for(come, seconds, field)[0]
        del self.fields[:1 + next(i for i, line in enumerate(self.fields) if line.startswith(field + "="))]
        return value

    def silent(self, seconds):
        """Whether no sign of life comes for so long, once those on their way are read."""
        with contextlib.suppress(AssertionError):
            while True:
                self.said("WATCHDOG", WATCHDOG_SECONDS)
        try:
            self.said("WATCHDOG", seconds)
        except AssertionError:
            return True
        return False


class Life(unittest.TestCase):
    def setUp(self):
        self.mesh = self.enterContext(harness.Mesh())
        self.manager = Manager(self.mesh.dir)
        self.addCleanup(self.manager.close)


    def test_a_peer_tells_of_its_life_and_proves_it(self):
        peer = self.mesh.start("alpha", environment=self.manager.environment)
        self.assertEqual(self.manager.said("READY"), "1")
        self.assertIn("peer alpha", self.manager.said("STATUS"))
        for _ in range(3):
            self.assertEqual(self.manager.said("WATCHDOG"), "1")
        peer.process.send_signal(1)  # SIGHUP: ExecReload
        self.assertEqual(self.manager.said("RELOADING"), "1")
        self.assertEqual(self.manager.said("READY"), "1")
        self.assertEqual(peer.end(), 0)
        self.assertEqual(self.manager.said("STOPPING"), "1")
        self.assertGreater(int(self.manager.said("EXTEND_TIMEOUT_USEC")), 5e6)

    def test_a_peer_that_cannot_reach_itself_gives_no_sign_of_life(self):
        peer = self.mesh.start("alpha", environment=self.manager.environment)
        self.manager.said("WATCHDOG")
        path = pathlib.Path(peer.facts["app_socket"])
        path.unlink()
        self.assertTrue(self.manager.silent(3 * WATCHDOG_SECONDS))
        self.assertIn("does not answer itself", peer.tail(200))

    def test_a_peer_whose_ca_runs_beside_it_speaks_for_itself(self):
        peer = self.mesh.start("alpha", environment=self.manager.environment)
        self.manager.said("READY")
        for line in pathlib.Path(f"/proc/{peer.pid}/task/{peer.pid}/children").read_text().split():
            variables = pathlib.Path(f"/proc/{line}/environ").read_bytes()
            self.assertNotIn(b"NOTIFY_SOCKET", variables)

    def test_a_ca_tells_of_its_life_and_proves_it(self):
        words = [harness.BIN / "peermesh-ca", "--init", "--listen", "127.0.0.1:0", "--data-dir", self.mesh.dir / "ca"]
        with open(self.mesh.dir / "ca.log", "wb") as log:
            ca = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stderr=log,
                                  env={**os.environ, **self.manager.environment})
        self.addCleanup(ca.kill)
        self.assertEqual(self.manager.said("READY"), "1")
        self.assertIn("CA of mesh", self.manager.said("STATUS"))
        for _ in range(3):
            self.manager.said("WATCHDOG")
        (self.mesh.dir / "ca/ca.sock").unlink()
        self.assertTrue(self.manager.silent(3 * WATCHDOG_SECONDS))
        ca.terminate()
        self.assertEqual(self.manager.said("STOPPING"), "1")
        self.assertEqual(ca.wait(10), 0)


def permitted(filters):
    """What SystemCallFilter= lines leave, as systemd knows the groups."""
    groups, group = {}, None
    for line in analyze("syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), [])
        elif line.strip() and not line.strip().startswith("#") and group is not None:
            group.append(line.strip())

    def members(name):
        return {call for one in groups[name] for call in (members(one) if one.startswith("@") else {one})}

    allowed = members("@default")
    for line in filters:
        names = {call for word in line.removeprefix("~").split()
                 for call in (members(word) if word.startswith("@") else {word})}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


# SQLite gives what it makes to the owner of the directory, if it is root.
AS_ROOT = {"fchown"} if os.geteuid() == 0 else set()


@unittest.skipIf(shutil.which("strace") is None or shutil.which("systemd-analyze") is None,
                 "strace and systemd-analyze are not both installed (deploy/install-deps test)")
@unittest.skipIf(harness.SANITIZED, "a sanitizer has system calls of its own")
class Sandbox(unittest.TestCase):
    """A unit that forbids what a daemon needs fails on a host we never see."""

    def test_the_units_permit_what_the_daemons_call(self):
        with harness.Mesh() as mesh:
            trace = mesh.dir / "trace"
            strace = ["strace", "-f", "-qq", "-o", str(trace), "--seccomp-bpf", "-e", "trace=all"]
            if subprocess.run([*strace, "true"], capture_output=True).returncode != 0:
                self.skipTest("this container allows no tracing")
            alpha = mesh.peer("alpha")
            alpha.prefix = strace
            manager = Manager(mesh.dir)
            self.addCleanup(manager.close)
            mesh.start("alpha", environment=manager.environment)
            alpha.prefix = []  # it would trace what asks for the metrics, too
            manager.said("WATCHDOG")
            mesh.add("beta")
            mesh.wait_linked(30)
            stream = alpha.subscribe("a.>")
            mesh["beta"].publish(("a.b", b"hello"))
            stream.wait_messages(1)
            stream.cancel()
            alpha.page("metrics")
            mesh.cli("drain", peer=alpha)
            alpha.process.wait(30)
            text = trace.read_text(errors="replace")
        text = text[re.search(r'execve\("[^"]*/peermeshd"', text).start():]  # what starts it has calls of its own
        calls = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", text, re.MULTILINE))
        families = set(re.findall(r"\bsocket\((AF_\w+),", text))
        self.assertLessEqual({"epoll_wait", "timerfd_create", "accept4", "prctl"}, calls, "the trace shows both daemons")
        for unit in ("peermeshd", "peermesh-ca"):  # the CA beside alpha is in the trace, too
            with self.subTest(unit=unit):
                unit = directives(unit)
                self.assertEqual(calls - permitted(unit["SystemCallFilter"]) - AS_ROOT, set())
                self.assertEqual(families - set(unit["RestrictAddressFamilies"][0].split()), set())
        self.assertNotRegex(text, r"mmap\([^)]*PROT_WRITE\|PROT_EXEC", "MemoryDenyWriteExecute=")


class Agreement(unittest.TestCase):
    def test_every_flag_and_variable_of_a_unit_exists(self):
        for unit in ("peermeshd", "peermesh-ca"):
            found = directives(unit)
            command = found["ExecStart"][0].split()
            self.assertEqual(command[0], f"/usr/bin/{unit}")
            text = subprocess.run([harness.BIN / unit, "--help"], capture_output=True, text=True, timeout=10).stdout
            for word in command:
                if word.startswith("--"):
                    self.assertRegex(text, rf"{word}\b")
            variables = " ".join(found["Environment"])
            directory = "PEERMESH_DATA_DIR" if unit == "peermeshd" else "PEERMESH_CA_DATA_DIR"
            self.assertIn(f"{directory}=%S/{found['StateDirectory'][0]}", variables)

    def test_the_units_are_ready_and_watched_by_what_the_daemons_say(self):
        for unit in ("peermeshd", "peermesh-ca"):
            found = directives(unit)
            self.assertEqual(found["Type"], ["notify"])
            self.assertEqual(found["NotifyAccess"], ["main"])
            # A failing proof takes up to four seconds and must still leave room for two more.
            self.assertGreaterEqual(int(found["WatchdogSec"][0].removesuffix("s")), 3 * 4)


if __name__ == "__main__":
    harness.main()
