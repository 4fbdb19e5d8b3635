"""The command line against real daemons: what a scripted peer cannot show."""

import pathlib
import signal
import subprocess
import time

import harness

SECONDS = 20
ENDS_SECONDS = 2


class CommandLine(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def idle_pub(self, peer):
        """`pub --lines` that has published one line and waits for the next."""
        before = peer.metric("peermesh_messages_total", event="published")
        publishing = subprocess.Popen([harness.BIN / "peermesh", "--data-dir", peer.dir, "pub", "cli.lines", "--lines"],
                                      stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(publishing.communicate)
        self.addCleanup(publishing.kill)
        publishing.stdin.write("one\n")
        publishing.stdin.flush()
        harness.wait_for(lambda: peer.metric("peermesh_messages_total", event="published") > before, 10, "the first line")
        return publishing

    def test_after_a_drain_the_peer_can_be_started_at_once(self):
        for _ in range(3):
            self.mesh.cli("drain", peer=self.beta)
            state = pathlib.Path(f"/proc/{self.beta.pid}/stat").read_text().rpartition(")")[2].split()[0]
            self.assertEqual(state, "Z", "the process has ended, and we have not asked for its exit code")
            self.assertEqual(self.beta.process.wait(1), 0)
            self.beta.launch()

    def test_a_drain_without_waiting_returns_while_the_peer_drains(self):
        stream = self.keep(self.beta.subscribe("cli.slow"))
        stream.stop_reading()
        for _ in range(24):
            self.beta.publish(*[("cli.slow", b"x" * (16 << 10))] * 64)
        done = self.mesh.cli("drain", "--no-wait", "--grace", "30s", peer=self.beta)
        self.assertIn("drains", done.stderr)
        self.assertTrue(self.beta.running, "what is queued for the subscriber keeps the drain waiting")
        self.beta.kill()

    def test_a_publisher_that_waits_for_lines_ends_with_its_peer(self):
        for end, code, reason in ((lambda: self.beta.process.send_signal(signal.SIGTERM), 7, "DRAINING"),
                                  (self.beta.kill, 3, "CONNECTION_LOST")):
            with self.subTest(reason):
                self.mesh.mend()
                publishing = self.idle_pub(self.beta)
                at = time.monotonic()
                end()
                said = publishing.stderr.read()
                took = time.monotonic() - at
                harness.figure(f"pub_ends_after_{reason.lower()}", took, "s", f"<= {ENDS_SECONDS}")
                self.assertEqual(publishing.wait(SECONDS), code, said)
                self.assertLessEqual(took, ENDS_SECONDS)
                self.assertIn(f"[{reason}]", said)
                self.assertIn("Published 1 messages", said)
                self.beta.process.wait(SECONDS)

    def test_a_limit_on_the_rate_is_waited_out_without_a_hole(self):
        self.beta.restart(config={"limits": {"application_messages": {"per_second": 2000, "burst": 100}}})
        self.mesh.wait_linked()
        stream = self.keep(self.beta.subscribe("cli.limited"))
        lines = [str(number) for number in range(1500)]
        done = self.mesh.cli("pub", "cli.limited", "--lines", peer=self.beta, input="\n".join(lines) + "\n")
        self.assertEqual(done.stderr.count("limits how fast"), 1, done.stderr)
        stream.wait_messages(len(lines))
        self.assertEqual([payload.decode() for payload in stream.payloads()], lines)

    def test_a_stopped_peer_is_not_advised_to_ask_itself(self):
        self.beta.stop()
        self.addCleanup(self.beta.cont)
        done = self.mesh.cli("health", peer=self.beta, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("does not answer", done.stderr)
        self.assertNotIn("peermesh health", done.stderr)


if __name__ == "__main__":
    harness.main()
