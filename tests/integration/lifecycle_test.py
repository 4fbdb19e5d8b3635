"""How peers come, go, die and return, with the times the users of a mesh may rely on."""

import contextlib
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

from google.protobuf import duration_pb2

import harness
from harness import ALIVE, DEAD, LEFT, admin_pb2, figure

SEEN_DEAD_SECONDS = 1.0      # after kill -9
SEEN_SILENT_SECONDS = 6.0    # after SIGSTOP
RELINKED_SECONDS = 3.0       # after a restart
READY_SECONDS = 1.0
IDLE_RSS_KB = 22_000
IDLE_CPU_PERCENT = 1.0


def health(channel, service):
    """What grpc.health.v1 answers, as bytes: its Python package is none of ours."""
    request = b"\x0a" + bytes([len(service)]) + service.encode()
    return channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=5)


class ThreePeers(harness.MeshTest):
    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def watches(self, *peers):
        return [self.keep(peer.watch()).wait_synced() for peer in peers]

    def test_a_killed_peer_is_seen_dead_within_a_second_and_linked_again_three_seconds_after_its_restart(self):
        watches = self.watches(self.alpha, self.gamma)
        at = self.beta.kill()
        worst = max(watch.wait_state("beta", DEAD, 10, at) - at for watch in watches)
        figure("killed_peer_seen_dead", worst, "s", f"<= {SEEN_DEAD_SECONDS}")
        self.assertLessEqual(worst, SEEN_DEAD_SECONDS)

        begin = time.monotonic()
        self.beta.launch()
        figure("restarted_peer_ready", self.beta.start_seconds, "s", f"< {READY_SECONDS}")
        self.assertLess(self.beta.start_seconds, READY_SECONDS)
        self.mesh.wait_linked(20)
        took = time.monotonic() - begin
        figure("restarted_peer_has_all_links", took, "s", f"<= {RELINKED_SECONDS}")
        self.assertLessEqual(took, RELINKED_SECONDS)
        for watch in watches:
            watch.wait_state("beta", ALIVE, 5, begin)

    def test_a_stopped_peer_is_seen_dead_within_six_seconds_and_comes_back_when_it_continues(self):
        watches = self.watches(self.alpha, self.beta)
        at = self.gamma.stop()
        self.addCleanup(self.gamma.cont)
        worst = max(watch.wait_state("gamma", DEAD, 15, at) - at for watch in watches)
        figure("stopped_peer_seen_dead", worst, "s", f"<= {SEEN_SILENT_SECONDS}")
        self.assertLessEqual(worst, SEEN_SILENT_SECONDS)
        self.gamma.cont()
        figure("continued_peer_has_all_links", self.mesh.wait_linked(25), "s")

    def test_peers_that_all_restart_find_each_other_without_a_seed(self):
        peers = (self.alpha, self.beta, self.gamma)
        for peer in peers:
            peer.kill()
        begin = time.monotonic()
        for peer in peers:
            self.assertNotIn("seed", peer.flags)
            peer.launch()
            (peer.dir / "identity" / "seeds").unlink(missing_ok=True)
        self.mesh.wait_linked(20)
        took = time.monotonic() - begin
        figure("mesh_restarted_has_all_links", took, "s")
        self.assertLessEqual(took, 2 * RELINKED_SECONDS, "three starts one after the other, then the links")

    def test_a_drained_peer_leaves_at_once_and_ends_with_code_0(self):
        for peer, leave in ((self.gamma, self.gamma.drain), (self.beta, self.beta.end)):
            with self.subTest(leave.__name__):
                watch, = self.watches(self.alpha)
                at = time.monotonic()
                self.assertEqual(leave(), 0)
                took = time.monotonic() - at
                seen = watch.wait_state(peer.name, LEFT, 5, at) - at
                figure(f"{leave.__name__}ed_peer_seen_left", seen, "s", "<= 1")
                figure(f"{leave.__name__}ed_peer_gone", took, "s")
                self.assertLessEqual(seen, 1.0)
                self.assertIn("clean=true", peer.tail())
                # It stays "left": no link of its last moments makes it anything else.
                self.assertEqual(self.alpha.table()[peer.name].state, LEFT)
                self.mesh.mend()

    def test_the_command_line_drains_a_peer_and_tells_its_health(self):
        self.mesh.cli("health", peer=self.gamma)
        for service in ("MessagingService", "PeersService"):
            self.mesh.cli("health", "--service", f"peermesh.v1.{service}", peer=self.gamma)
        admin = self.mesh.cli("health", "--service", "peermesh.v1.AdminService", peer=self.gamma, check=False)
        self.assertEqual(admin.returncode, 5, "it is not on the socket of applications")
        self.mesh.cli("drain", peer=self.gamma)
        self.assertEqual(self.gamma.process.wait(15), 0)
        self.assertEqual(self.mesh.cli("health", peer=self.gamma, check=False).returncode, 3, "nobody to ask")

    def test_what_was_published_before_a_drain_arrives(self):
        stream = self.keep(self.beta.subscribe("drain.last"))
        harness.wait_for(lambda: self.gamma.publish(("drain.last", b"first")).interested_peers, 5,
                         "interest to be known")
        for _ in range(5):
            self.gamma.publish(*[("drain.last", b"x" * 2000)] * 1000)
        self.assertEqual(self.gamma.drain(), 0)
        stream.wait(lambda: [got.message.payload[:1] for got in stream.arrived].count(b"x") == 5000, 10, "all messages")
        self.assertEqual(stream.lost, [])

    def test_a_second_signal_ends_a_drain_at_once(self):
        channel = self.gamma.channel("app")
        self.addCleanup(channel.close)
        serving, not_serving = b"\x08\x01", b"\x08\x02"  # status = 1, 2
        self.assertEqual(health(channel, "peermesh.v1.MessagingService"), serving)
        stream = self.keep(self.gamma.subscribe("drain.slow"))
        stream.stop_reading()
        for _ in range(24):
            self.gamma.publish(*[("drain.slow", b"x" * (16 << 10))] * 64)
        self.gamma.process.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopping" in self.gamma.tail(5), 5, "the drain to begin")
        self.assertTrue(self.gamma.running, "what is queued for the subscriber keeps the drain waiting")
        for service in ("", "peermesh.v1.MessagingService"):
            self.assertEqual(health(channel, service), not_serving)
        at = time.monotonic()
        self.gamma.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.gamma.process.wait(5), -signal.SIGTERM)
        self.assertLess(time.monotonic() - at, 1)

    def test_an_interrupted_peer_ends_in_good_order_too(self):
        self.assertEqual(self.gamma.end(signal.SIGINT), 0)


@unittest.skipIf(harness.SANITIZED, "built with sanitizers: its size and speed are not its own")
class Idle(harness.MeshTest):
    """Three peers that nobody talks to."""

    def test_an_idle_peer_is_small_and_quiet(self):
        peers = (self.alpha, self.beta, self.gamma)
        for peer in peers:
            peer.close_channels()
        # What start-up needed is given back once a peer has settled.
        with contextlib.suppress(AssertionError):
            harness.wait_for(lambda: max(peer.resident_kb() for peer in peers) <= IDLE_RSS_KB, 10, "peers to settle")
        before = {peer: peer.cpu_seconds() for peer in peers}
        begin = time.monotonic()
        harness.let_pass(5)
        took = time.monotonic() - begin
        cpu = max(peer.cpu_seconds() - before[peer] for peer in peers) / took * 100
        resident = max(peer.resident_kb() for peer in peers)
        figure("idle_resident", resident / 1000, "MB", f"<= {IDLE_RSS_KB / 1000:g}")
        figure("idle_cpu", cpu, "% of a core", f"<= {IDLE_CPU_PERCENT:g}")
        self.assertLessEqual(resident, IDLE_RSS_KB)
        self.assertLessEqual(cpu, IDLE_CPU_PERCENT)


def ca_beside(peer):
    """The process of the CA that a peer has started."""
    process, = pathlib.Path(f"/proc/{peer.pid}/task/{peer.pid}/children").read_text().split()
    return process


def listening(process):
    """The TCP addresses a process listens on, IPv6 ones as they are in /proc."""
    sockets = {os.readlink(path) for path in pathlib.Path(f"/proc/{process}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in pathlib.Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = row.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                text = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if table == "tcp" else f"[{host}]"
                found.add(f"{text}:{int(port, 16)}")
    return found


class Starting(harness.MeshTest):
    """What a start may be refused for, and the exit codes that the manual promises."""

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")

    def refused(self, peer, **options):
        with self.assertRaises(harness.Ended) as caught:
            peer.launch(**options)
        return caught.exception

    def test_a_first_start_is_quick_too(self):
        figure("first_start_with_ca_ready", self.alpha.start_seconds, "s")
        self.assertLess(self.alpha.start_seconds, 2 * READY_SECONDS)

    def test_a_second_daemon_on_a_data_directory_is_refused_with_code_4(self):
        twin = harness.Peer(self.mesh, "alpha")
        twin.log = self.mesh.dir / "twin.log"
        ended = self.refused(twin)
        self.assertEqual(ended.code, 4)
        self.assertIn(f"pid {self.alpha.pid}", ended.log)
        self.assertTrue(self.alpha.running)

    def test_a_port_in_use_is_refused_with_code_3(self):
        late = self.mesh.peer("late")
        token = self.mesh.token("late")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flag in ("listen", "metrics"):
                ended = self.refused(late, join=token, **{flag: address})
                self.assertEqual(ended.code, 3)
                self.assertIn(f"--{flag}: ", ended.log.splitlines()[-1])
                self.assertIn(address, ended.log.splitlines()[-1])
                late.flags[flag] = "127.0.0.1:0"
            late.launch(join=token)  # which is not spent
            # One that is in the mesh is told the same.
            late.end()
            for flag in ("listen", "metrics"):
                ended = self.refused(late, **{flag: address})
                self.assertEqual(ended.code, 3)
                self.assertIn(f"--{flag}: ", ended.log.splitlines()[-1])
                late.flags[flag] = "127.0.0.1:0"

    def test_no_mesh_is_made_by_a_start_that_cannot_listen(self):
        hasty = self.mesh.peer("hasty")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flag, wrong in (("listen", address), ("metrics", address), ("ca_listen", address),
                                ("metrics", "[::1]:0"), ("run_dir", "/proc")):
                with self.subTest(flag, wrong=wrong):
                    hasty.flags = {"ca_listen": "127.0.0.1:0"}
                    ended = self.refused(hasty, create=True, **{flag: wrong})
                    self.assertEqual(ended.code, 3)
                    self.assertIn(f"--{flag.replace('_', '-')}: ", ended.log.splitlines()[-1])
                    self.assertIn(wrong, ended.log.splitlines()[-1])
                    self.assertFalse((hasty.dir / "ca").exists())
                    self.assertFalse((hasty.dir / "identity").exists())
        hasty.flags = {}
        hasty.launch(join=self.mesh.token("hasty"))  # the second thought is as good as the first
        self.assertEqual(hasty.facts["mesh_id"], self.alpha.facts["mesh_id"])

    def test_two_addresses_that_are_the_same_are_refused_with_code_3(self):
        peer = self.mesh.peer("twice")
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        ended = self.refused(peer, create=True, listen=address, ca_listen=address)
        self.assertEqual(ended.code, 3)
        self.assertIn("--ca-listen: ", ended.log)
        self.assertFalse((peer.dir / "ca").exists())

    def test_a_ca_is_reached_where_the_peer_listens(self):
        with harness.Mesh() as other:
            # An address that nothing else on this host uses: the port is the one that is promised.
            founder = other.peer("founder").launch(create=True, listen="127.9.7.5:0")
            self.assertEqual(listening(ca_beside(founder)), {"127.9.7.5:7444"})
            self.assertEqual(founder.status().ca_address, "127.9.7.5:7444")
            # The peer beside it follows a CA that moves.
            founder.restart(listen="127.9.7.6:0")
            self.assertEqual(listening(ca_beside(founder)), {"127.9.7.6:7444"})
            self.assertEqual(founder.status().ca_address, "127.9.7.6:7444")

    def test_closed_standard_files_stay_closed(self):
        with harness.Mesh() as other:
            founder = other.peer("founder")
            founder.prefix = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"]
            founder.launch(create=True, ca_listen="127.0.0.1:0")
            for process in (founder.pid, ca_beside(founder)):
                for fd in range(3):
                    self.assertEqual(os.readlink(f"/proc/{process}/fd/{fd}"), "/dev/null")
            other.peer("member").launch(join=other.cli("token", "create", "--quiet", peer=founder).stdout.strip())
            self.assertEqual(founder.end(), 0)
        # The CA by itself, without one to start it.
        with tempfile.TemporaryDirectory() as directory, harness.Mesh.pipe(None) as (read_end, write_end):
            ca = subprocess.Popen(["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", harness.BIN / "peermesh-ca",
                                   "--init", "--data-dir", directory + "/ca", "--listen", "127.0.0.1:0",
                                   "--ready-fd", str(write_end)], pass_fds=[write_end])
            self.addCleanup(ca.wait)
            self.addCleanup(ca.kill)
            os.close(write_end)
            self.assertIn(b"mesh_id", os.read(read_end, 4096))
            for fd in range(3):
                self.assertEqual(os.readlink(f"/proc/{ca.pid}/fd/{fd}"), "/dev/null")

    def test_an_address_that_is_not_ours_is_refused_with_code_3(self):
        self.assertEqual(self.refused(self.mesh.peer("nowhere"), create=True, ca_listen="127.0.0.1:0",
                                      listen="no.such.host.invalid:0").code, 3)
        for run_dir in ("/proc/peermesh", "/proc"):
            ended = self.refused(self.mesh.peer("socketless"), create=True, ca_listen="127.0.0.1:0", run_dir=run_dir)
            self.assertEqual(ended.code, 3)
            self.assertIn(run_dir, ended.log)

    def test_a_privileged_port_is_refused_with_code_3(self):
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
            self.skipTest("any user may listen on any port of this host")
        peer = self.mesh.peer("privileged")
        if os.geteuid() == 0:
            peer.prefix = ["setpriv", "--bounding-set=-net_bind_service"]
        ended = self.refused(peer, create=True, ca_listen="127.0.0.1:0", listen="127.0.0.1:1")
        self.assertEqual(ended.code, 3)
        self.assertIn("port above 1023", ended.log)

    def test_a_port_of_the_ca_in_use_is_refused_with_code_3(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            ended = self.refused(self.mesh.peer("caless"), create=True, ca_listen=address)
        self.assertEqual(ended.code, 3)
        self.assertIn(address, ended.log)

    def test_a_damaged_state_is_refused_with_code_4(self):
        peer = self.mesh.start("damaged", join=self.mesh.token("damaged"))
        peer.end()
        for state in peer.dir.glob("state.db*"):
            state.write_bytes(b"x" * 8192)
        ended = self.refused(peer)
        self.assertEqual(ended.code, 4)
        self.assertIn("state.db", ended.log)

    def test_a_remembered_record_that_does_not_verify_is_forgotten(self):
        peer = self.mesh.start("forgetful", join=self.mesh.token("forgetful"))
        harness.wait_for(lambda: self.remembered(peer), 5, "alpha to be remembered")
        peer.end()
        good = self.remembered(peer)
        with contextlib.closing(sqlite3.connect(peer.dir / "state.db")) as database, database:
            database.execute("INSERT INTO peers VALUES (?, 'nonsense', ?)", (b"x" * 32, time.time_ns() // 10**9))
        peer.launch()
        harness.wait_for(lambda: self.remembered(peer) == good, 5, "the nonsense to be forgotten")

    @staticmethod
    def remembered(peer):
        """Ids of the peers in its store."""
        with contextlib.closing(sqlite3.connect(peer.dir / "state.db")) as database:
            return {row[0] for row in database.execute("SELECT id FROM peers")}

    def test_create_and_a_token_are_refused_together_with_code_2(self):
        for way in ("file", "environment"):
            ended = self.refused(self.mesh.peer("both"), create=True, join=self.mesh.token("both"), join_by=way)
            self.assertEqual(ended.code, 2)
            self.assertIn("--create", ended.log)

    def test_an_enrolled_peer_is_not_taken_to_another_mesh(self):
        peer = self.mesh.start("loyal", join=self.mesh.token("loyal"))
        peer.end()
        with harness.Mesh() as other:
            founder = other.start("founder")
            ended = self.refused(peer, join=other.token("loyal"))
            self.assertEqual(ended.code, 5)
            self.assertIn("another mesh", ended.log)
            # Nor does the CA of a mesh run beside a peer of another.
            founder.end()
            (founder.dir / "identity" / "cert.pem").unlink()
            ended = self.refused(founder, join=self.mesh.token("founder"))
            self.assertEqual(ended.code, 5)
            self.assertIn(str(founder.dir / "ca"), ended.log)
            founder.launch()  # by its own CA
        peer.launch(join=self.mesh.token("loyal"))
        peer.flags["join"] = peer.dir / "thrown-away"
        peer.restart()

    def test_a_name_that_is_not_the_certificates_is_told(self):
        peer = self.mesh.start("faithful", join=self.mesh.token("faithful"))
        self.assertNotIn("configured=", peer.tail(100))
        self.addCleanup(setattr, peer, "name", "faithful")
        peer.name = "another"
        peer.restart()
        self.assertEqual(peer.facts["name"], "faithful")
        self.assertIn("name=faithful configured=another", peer.tail(100))

    def test_a_grace_beyond_counting_is_refused(self):
        refusal = harness.refusal_of(lambda: self.alpha.admin.Drain(
            admin_pb2.DrainRequest(grace=duration_pb2.Duration(seconds=1 << 58)), timeout=5))
        self.assertEqual(refusal.reason, "BAD_GRACE")  # as microseconds it is 0 in 64 bits

    def test_a_peer_in_no_mesh_is_refused_with_code_5(self):
        ended = self.refused(self.mesh.peer("stranger"))
        self.assertEqual(ended.code, 5)
        self.assertIn("--join", ended.log)

    def test_a_wrong_flag_or_setting_is_refused_with_code_2(self):
        peer = self.mesh.peer("misspelt")
        self.assertEqual(self.refused(peer, lisen="127.0.0.1:0").code, 2)
        del peer.flags["lisen"]
        ended = self.refused(peer, config={"metrics": {"lissten": "off"}})
        self.assertEqual(ended.code, 2)
        self.assertRegex(ended.log, r"misspelt\.yaml:1\b")
        self.assertIn("lissten", ended.log)

    def test_a_data_directory_that_others_can_write_is_refused_with_code_4(self):
        peer = self.mesh.peer("open")
        peer.dir.mkdir()
        peer.dir.chmod(0o777)
        ended = self.refused(peer)
        self.assertEqual(ended.code, 4)
        self.assertIn("chmod", ended.log)

    def test_the_program_says_its_version_and_exit_codes(self):
        for flag, word in (("--version", "peermeshd "), ("--help", "Exit codes")):
            done = subprocess.run([harness.BIN / "peermeshd", flag], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 0)
            self.assertIn(word, done.stdout)

    def test_sockets_and_keys_are_for_their_owners_only(self):
        for path, mode in ((self.alpha.facts["app_socket"], 0o660), (self.alpha.facts["admin_socket"], 0o600),
                           (self.alpha.dir / "ca" / "ca.sock", 0o600), (self.alpha.dir, 0o700),
                           (self.alpha.dir / "identity", 0o700), (self.alpha.dir / "identity" / "key.pem", 0o600),
                           (self.alpha.dir / "ca" / "root-key.pem", 0o600)):
            self.assertEqual(pathlib.Path(path).stat().st_mode & 0o777, mode, path)


if __name__ == "__main__":
    harness.main()
