"""Operators' mistakes: one sentence, a documented exit code, and nothing lost: after the remedy the same start works.

The table in docs/operations.md ("When something is wrong") is what is promised. Each row has a test here, which
compares what the program says and its exit code with the row; a row without a test fails, too.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest

import forge
import harness

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"
ROOT = os.geteuid() == 0
SOMEBODY = 65534
FAKETIME = shutil.which("faketime")
# Days back the monotonic clock would be before its own beginning.
ONLY_THE_WALL_CLOCK = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def promised():
    """{mistake: (pattern of the sentence, exit code)} of the table."""
    section = PAGE.read_text().partition("## When something is wrong\n")[2].partition("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[2].isdigit():
            pattern = ".*".join(re.escape(part) for part in cells[1].strip("`").split("…"))
            rows[cells[0]] = (re.compile(pattern), int(cells[2]))
    return rows


PROMISED = promised()
SEEN = set()
SKIPPED = set()


def tearDownModule():
    if len(os.sys.argv) == 1:  # all tests were to run
        missing = set(PROMISED) - SEEN - SKIPPED
        assert not missing, f"rows of {PAGE.name} that no test makes happen: {sorted(missing)}"


OWN_MOUNTS = "PEERMESH_TEST_OWN_MOUNTS"  # set: what is mounted here, nobody else sees


class MistakesTest(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")

    def told(self, mistake, code, text):
        """What was said and the code are those of the row."""
        pattern, expected = PROMISED[mistake]
        SEEN.add(mistake)
        said = [line for line in text.splitlines() if line.startswith(("peermeshd: ", "peermesh-ca: "))]
        mine = [line for line in said if pattern.fullmatch(line)]
        self.assertEqual(len(mine), 1, f"{mistake}: {pattern.pattern}\n{text}")
        self.assertEqual(code, expected, text)
        return mine[0]

    def refused(self, mistake, peer, **options):
        before = len(peer.log.read_text()) if peer.log.exists() else 0
        with self.assertRaises(harness.Ended) as caught:
            peer.launch(**options)
        return self.told(mistake, caught.exception.code, peer.log.read_text()[before:])

    def member(self, name, **options):
        """A peer that has joined and ended."""
        peer = self.mesh.start(name, join=self.mesh.token(name), **options)
        peer.end()
        return peer

    @staticmethod
    def works(peer, **options):
        """The remedy was enough: it is who it was, and ends in good order."""
        before = peer.facts.get("peer_id")
        peer.launch(**options)
        assert before in (None, peer.id), f"{before} became {peer.id}"
        assert peer.end() == 0

    @staticmethod
    def need(condition, reason, *mistakes):
        if not condition:
            SKIPPED.update(mistakes)
            raise unittest.SkipTest(reason)


class Clocks(MistakesTest):
    """The wall clock is moved by libfaketime, which the others do not see."""

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha", config={"limits": {"handshakes": {"per_second": 2000, "burst": 2000}}})

    def setUp(self):
        self.need(FAKETIME, "faketime is not installed (deploy/install-deps test)", "clock wrong, at a start",
                  "clock wrong, when joining", "clock of the CA wrong, or its root has expired")
        self.need(not harness.SANITIZED, "a sanitizer wants to be the first library", "clock wrong, at a start",
                  "clock wrong, when joining", "clock of the CA wrong, or its root has expired")
        super().setUp()

    @contextlib.contextmanager
    def clock_off(self, peer, offset):
        peer.prefix = [FAKETIME, "-f", offset]
        try:
            yield {"environment": ONLY_THE_WALL_CLOCK}
        finally:
            peer.prefix = []

    def test_a_peer_whose_clock_is_far_off_does_not_start_and_does_once_it_is_right(self):
        peer = self.member("late")
        certificate = (peer.dir / "identity" / "cert.pem").read_bytes()
        with self.clock_off(peer, "-400d") as options:
            self.refused("clock wrong, at a start", peer, **options)
        # Ahead, the certificate has run out: the CA is asked for a new one, and has run out as well.
        with self.clock_off(peer, "+9d") as options:
            self.refused("clock wrong, when joining", peer, **options)
        self.assertEqual((peer.dir / "identity" / "cert.pem").read_bytes(), certificate)
        self.works(peer)

    def test_a_join_by_a_wrong_clock_spends_no_token(self):
        peer, token = self.mesh.peer("early"), self.mesh.token("early")
        for offset in ("-400d", "+9d"):
            with self.clock_off(peer, offset) as options:
                self.refused("clock wrong, when joining", peer, join=token, **options)
        self.works(peer, join=token)

    def test_a_ca_by_whose_clock_its_root_is_not_valid_does_not_serve(self):
        with harness.Mesh() as other:
            founder = other.start("founder")
            founder.end()
            ca = [harness.BIN / "peermesh-ca", "--data-dir", founder.dir / "ca", "--listen", "127.0.0.1:0"]
            for offset in ("-2y", "+40y"):
                done = subprocess.run([FAKETIME, "-f", offset, *ca], capture_output=True, text=True, timeout=20,
                                      env={**os.environ, **ONLY_THE_WALL_CLOCK})
                self.told("clock of the CA wrong, or its root has expired", done.returncode, done.stderr)
            self.works(founder)

    def test_a_peer_a_few_minutes_behind_refuses_who_is_newer_and_links_once_its_clock_is_right(self):
        peer = self.member("behind")
        ca = self.alpha.dir / "ca"
        root = forge.Root(self.mesh.dir / "forged", ca / "root-key.pem", ca / "root.pem")
        own = self.alpha.dir / "identity" / "cert.pem"
        _, fresh = root.issue(self.alpha.facts["mesh_id"], name="alpha", begin=-1 / 1440,
                              key_file=own.with_name("key.pem"))
        own.write_text(fresh.read_text())
        self.alpha.process.send_signal(signal.SIGHUP)
        client = root.issue(self.alpha.facts["mesh_id"], role="client", usage="clientAuth")
        der = ssl.PEM_cert_to_DER_cert(fresh.read_text())
        harness.wait_for(lambda: forge.served_certificate(self.alpha.facts["listen"], *client) == der, 5,
                         "the new certificate to be served")
        with self.clock_off(peer, "-5m") as options:
            peer.launch(**options)
            self.addCleanup(peer.kill)
            harness.wait_for(lambda: peer.metric("peermesh_handshakes_refused_total", reason="not_yet_valid") > 0, 15,
                             "a refusal to be counted")
            self.assertIn("handshake refused", peer.log.read_text())
            self.assertTrue(peer.running)
        peer.restart()
        self.mesh.wait_linked(20, [self.alpha, peer])


class Disks(MistakesTest):
    """A data directory on a file system of two megabytes, which only this process and its children see."""

    def setUp(self):
        self.need(OWN_MOUNTS in os.environ, "mounting needs root", "disk full", "disk full under the store")
        super().setUp()

    def small(self, name, bytes_=2 << 20):
        """A peer not yet started, whose data directory is small and outlives it."""
        peer = self.mesh.peer(name)
        peer.dir.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={bytes_},mode=700", "none", peer.dir], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", peer.dir], check=False)
        self.addCleanup(lambda: peer.running and peer.kill())
        return peer

    @staticmethod
    def fill(peer, leave=0):
        ballast = peer.dir / "ballast"
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        if leave:
            os.truncate(ballast, max(0, ballast.stat().st_size - leave))
        return ballast

    def test_a_first_start_on_a_full_disk_makes_nothing_and_spends_no_token(self):
        peer, token = self.small("first"), self.mesh.token("first")
        ballast = self.fill(peer)
        self.refused("disk full", peer, join=token)
        self.assertFalse((peer.dir / "identity" / "cert.pem").exists())
        ballast.unlink()
        # Room for the identity, and none for the store: it is in the mesh, and starts when there is room.
        ballast = self.fill(peer, leave=24 << 10)
        self.refused("disk full under the store", peer, join=token)
        ballast.unlink()
        self.works(peer, join=token)

    def test_a_peer_whose_disk_is_full_keeps_what_it_has(self):
        peer = self.small("kept")
        peer.launch(join=self.mesh.token("kept"))
        self.assertEqual(peer.end(), 0)
        identity = {path.name: path.read_bytes() for path in (peer.dir / "identity").iterdir()}
        ballast = self.fill(peer)
        with self.assertRaises(harness.Ended) as caught:
            peer.launch()
        self.assertEqual(caught.exception.code, 4)
        self.assertEqual({path.name: path.read_bytes() for path in (peer.dir / "identity").iterdir()}, identity)
        ballast.unlink()
        self.works(peer)

    def test_a_running_peer_on_a_full_disk_renews_and_writes_when_there_is_room(self):
        with harness.Mesh() as other:
            founder = other.start("founder", certificate_lifetime="8s")
            self.mesh, outer = other, self.mesh
            self.addCleanup(setattr, self, "mesh", outer)
            peer = self.small("runner")
            journal = peer.dir / "journal"
            peer.launch(join=other.token("runner"), journal=journal)
            other.wait_linked(10)
            ballast = self.fill(peer)
            on_disk = (peer.dir / "identity" / "cert.pem").read_bytes()
            before = peer.status().certificate_expiry.seconds
            harness.wait_for(lambda: peer.status().certificate_expiry.seconds > before, 15, "a renewal")
            harness.wait_for(lambda: "the certificate in use is not on disk" in peer.log.read_text(), 5, "the log")
            self.assertEqual((peer.dir / "identity" / "cert.pem").read_bytes(), on_disk, "whole, and the one before")
            # The first certificate runs out, and the peer is still a member: the new one is in use.
            harness.wait_for(lambda: time.time() > before + 1, 15, "the first certificate to run out")
            other.wait_linked(10)
            harness.wait_for(lambda: "nothing more is recorded" in peer.log.read_text(), 15, "the journal to end")
            peer.publish(("disk.full", b"it goes on"))
            ballast.unlink()
            harness.wait_for(lambda: (peer.dir / "identity" / "cert.pem").read_bytes() != on_disk, 15,
                             "the certificate to be written")
            del peer.flags["journal"]
            peer.restart()
            other.wait_linked(15)
            founder.end()


class Addresses(MistakesTest):
    def test_a_port_in_use_names_who_has_it(self):
        peer = self.member("crowded")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = self.refused("port in use", peer, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertIn(f"python3, pid {os.getpid()})", said)
        peer.flags["listen"] = "127.0.0.1:0"
        self.works(peer)

    def test_a_name_that_no_hosts_file_knows(self):
        peer = self.member("nameless")
        self.refused("host name not known", peer, listen="no.such.host.invalid:0")
        peer.flags["listen"] = "127.0.0.1:0"
        self.works(peer)


class Owners(MistakesTest):
    def test_a_key_that_others_may_read(self):
        peer = self.member("open")
        key = peer.dir / "identity" / "key.pem"
        key.chmod(0o640)
        said = self.refused("key open to others", peer)
        subprocess.run(said.rpartition("Run: ")[2].split(), check=True)
        self.works(peer)

    def test_a_key_or_directory_of_another_user(self):
        self.need(ROOT, "giving files away needs root", "key of another user", "data directory of another user")
        for mistake, part in (("key of another user", "identity/key.pem"), ("data directory of another user", "")):
            with self.subTest(mistake):
                peer = self.mesh.peer(f"given-{len(part)}")
                peer.launch(join=self.mesh.token(peer.name))
                peer.end()
                os.chown(peer.dir / part, SOMEBODY, SOMEBODY)
                said = self.refused(mistake, peer)
                subprocess.run(said.rpartition("Run: ")[2].split(), check=True)
                self.works(peer)

    def test_a_directory_in_which_nothing_may_be_made(self):
        self.need(ROOT, "being somebody else needs root", "directory not writable")
        self.mesh.dir.chmod(0o755)
        peer = self.mesh.peer("elsewhere")
        parent = self.mesh.dir / "parent"
        parent.mkdir(mode=0o755)
        peer.dir = parent / "data"
        peer.prefix = ["setpriv", "--reuid", str(SOMEBODY), "--clear-groups"]
        self.refused("directory not writable", peer, create=True, ca_listen="127.0.0.1:0")
        os.chown(parent, SOMEBODY, SOMEBODY)
        self.works(peer, create=True, ca_listen="127.0.0.1:0")

    def test_two_daemons_on_one_data_directory(self):
        twin = harness.Peer(self.mesh, "alpha")
        twin.log = self.mesh.dir / "twin.log"
        said = self.refused("two daemons, one data directory", twin)
        self.assertIn(f"pid {self.alpha.pid}", said)
        self.assertTrue(self.alpha.status().peer_id, "the first one goes on")

    def test_the_data_directory_of_another_mesh(self):
        peer = self.member("loyal")
        with harness.Mesh() as other:
            other.start("founder")
            self.refused("token of another mesh", peer, join=other.token("loyal"))
        self.works(peer)


class Files(MistakesTest):
    def test_half_a_configuration(self):
        peer = self.member("half")
        config = self.mesh.dir / "half.yaml"
        peer.flags["config"] = config
        config.write_text("limits:\n  peer_by")
        said = self.refused("half a configuration", peer)
        done = subprocess.run([harness.BIN / "peermeshd", "--check-config", "--config", config], text=True,
                              capture_output=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr.strip()), (2, said))
        config.write_text("limits: {peer_bytes: {per_second: 10MiB}}\n")
        done = subprocess.run([harness.BIN / "peermeshd", "--check-config", "--config", config], text=True,
                              capture_output=True, timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, "configuration is valid\n"))
        self.works(peer)

    def test_a_configuration_that_is_shown_is_one_that_is_taken(self):
        words = [harness.BIN / "peermeshd", "--data-dir", self.mesh.dir / "shown", "--seed", "a:1", "--seed", "b:2"]
        shown = subprocess.run([*words, "--show-config"], text=True, capture_output=True, timeout=20, check=True,
                               env={**os.environ, "PEERMESH_LOG_LEVEL": "debug", "PEERMESH_JOIN": "pm1.secret"})
        self.assertNotIn("secret", shown.stdout)
        self.assertRegex(shown.stdout, r"(?m)^  level: debug +# environment, PEERMESH_LOG_LEVEL$")
        self.assertRegex(shown.stdout, r"(?m)^seeds: \[a:1, b:2\] +# flag$")
        config = self.mesh.dir / "shown.yaml"
        config.write_text(shown.stdout)
        again = subprocess.run([harness.BIN / "peermeshd", "--show-config", "--config", config], text=True,
                               capture_output=True, timeout=20, check=True)
        bare = lambda text: [line.partition(" #")[0].rstrip() for line in text.splitlines()]
        self.assertEqual(bare(again.stdout), bare(shown.stdout))
        self.assertFalse((self.mesh.dir / "shown").exists(), "nothing is touched")

    def test_a_run_directory_whose_sockets_would_have_too_long_a_name(self):
        peer = self.member("long")
        self.refused("run directory too long", peer, run_dir=self.mesh.dir / ("x" * 110))
        del peer.flags["run_dir"]
        self.works(peer)

    def test_an_identity_that_is_half_written(self):
        peer = self.member("torn")
        for name in ("cert.pem", "ca.pem"):
            path = peer.dir / "identity" / name
            whole = path.read_bytes()
            for size in (0, 40):
                with self.subTest(name, size=size):
                    path.write_bytes(whole[:size])
                    self.refused("identity half written", peer)
            path.write_bytes(whole)
        # A write that was cut off leaves its own file beside the good one, and harms nobody.
        (peer.dir / "identity" / "cert.pem.1.tmp").write_bytes(b"-----BEGIN")
        self.works(peer)

    def test_a_store_that_is_damaged(self):
        peer = self.member("rotten")
        for state in peer.dir.glob("state.db*"):
            state.write_bytes(b"x" * 8192)
        self.refused("store damaged", peer)
        for state in peer.dir.glob("state.db*"):
            state.rename(state.with_name("away-" + state.name))
        peer.launch()
        self.mesh.wait_linked(20, [self.alpha, peer])
        peer.end()


class Tokens(MistakesTest):
    def test_tokens_that_let_nobody_in(self):
        token = self.mesh.token()
        self.mesh.start("lucky", join=token)
        self.refused("token used or expired", self.mesh.peer("second"), join=token)
        expired = self.mesh.token("slow", "--ttl", "1s")
        before = time.monotonic()
        harness.wait_for(lambda: time.monotonic() > before + 1.2, 5, "the token to expire")
        self.refused("token used or expired", self.mesh.peer("slow"), join=expired)
        good = self.mesh.token("typist")
        mistyped = good[:30] + ("a" if good[30] != "a" else "b") + good[31:]
        self.refused("token mistyped", self.mesh.peer("typist"), join=mistyped)
        self.works(self.mesh.peer("typist"), join=good)

    def test_a_name_that_is_taken(self):
        peer = harness.Peer(self.mesh, "alpha")
        peer.dir, peer.log = self.mesh.dir / "impostor", self.mesh.dir / "impostor.log"
        token = self.mesh.token()
        self.refused("name taken", peer, join=token)
        peer.name = "itself"
        self.works(peer, join=token)

    def test_a_ca_that_is_not_there(self):
        peer, token = self.mesh.peer("alone"), self.mesh.token("alone")
        with socket.create_server(("127.0.0.1", 0)) as free:
            nowhere = f"127.0.0.1:{free.getsockname()[1]}"
        self.refused("CA not reached", peer, join=token.partition("@")[0] + "@" + nowhere)
        self.works(peer, join=token)

    def test_nothing_to_be_in(self):
        peer = self.mesh.peer("stranger")
        self.refused("no mesh and no token", peer)
        self.works(peer, join=self.mesh.token("stranger"))

    def test_a_certificate_that_ran_out_while_the_ca_was_away(self):
        with harness.Mesh() as other:
            founder = other.start("founder", certificate_lifetime="3s")
            peer = other.start("sleeper", join=other.token("sleeper"))
            peer.end()
            founder.end()
            ended = ["openssl", "x509", "-in", peer.dir / "identity" / "cert.pem", "-noout", "-checkend", "0"]
            harness.wait_for(lambda: subprocess.run(ended, capture_output=True, check=False).returncode, 10,
                             "the certificate to run out")
            self.refused("certificate run out, CA not reached", peer)
            founder.launch()
            self.works(peer)


class Limits(MistakesTest):
    def test_too_few_open_files(self):
        peer = self.member("narrow")
        peer.prefix = ["prlimit", "--nofile=100:100"]
        self.refused("few open files permitted", peer)
        peer.prefix = ["prlimit", "--nofile=128:128"]
        peer.launch()
        self.mesh.wait_linked(20, [self.alpha, peer])
        self.assertEqual(peer.end(), 0, "and it hears that it is to end")

    def test_the_codes_are_those_that_help_promises(self):
        for program in ("peermeshd", "peermesh-ca"):
            text = subprocess.run([harness.BIN / program, "--help"], capture_output=True, text=True, timeout=20).stdout
            codes = set(re.findall(r"\b(\d)\b ", text.partition("Exit codes:")[2]))
            for mistake, (pattern, code) in PROMISED.items():
                if pattern.pattern.startswith(re.escape(program + ": ")):
                    self.assertIn(str(code), codes, f"{program}: {mistake}")

    def test_programs_are_hardened(self):
        for program in ("peermeshd", "peermesh-ca", "peermesh"):
            with self.subTest(program):
                read = subprocess.run(["readelf", "-hldW", harness.BIN / program], capture_output=True, text=True,
                                      timeout=60, check=True).stdout
                self.assertRegex(read, r"Type:\s+DYN")
                self.assertRegex(read, r"FLAGS_1\).*\bNOW\b.*\bPIE\b")
                self.assertIn("GNU_RELRO", read)
                self.assertNotRegex(read, r"GNU_STACK.*RWE")


if __name__ == "__main__":
    if ROOT and OWN_MOUNTS not in os.environ and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0:
        os.environ[OWN_MOUNTS] = "1"
        os.execvp("unshare", ["unshare", "-m", "/usr/bin/python3", "-B", *os.sys.argv])
    harness.main()
