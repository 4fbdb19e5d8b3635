"""peermesh peers show and ping against real daemons: what is known of a peer, and how long it takes to answer."""

import json
import re
import signal
import subprocess
import time

import harness


class PeersShow(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha, cls.beta, cls.gamma = cls.mesh.start_three()

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def show(self, name, peer=None):
        return json.loads(self.mesh.cli("peers", "show", name, "--json", peer=peer or self.alpha).stdout)

    def test_a_peer_is_shown_with_everything_that_is_known_of_it(self):
        self.keep(self.beta.subscribe("show.one", "show.two"))
        known = harness.wait_for(lambda: (row := self.show("beta"))["patterns"] == 2 and row, 10, "the interest of beta")
        self.assertEqual(known["schema"], "peermesh.peers.show.v1")
        row = self.alpha.table()["beta"]
        self.assertEqual((known["peer"]["id"], known["peer"]["state"]), (row.id, "PEER_STATE_ALIVE"))
        self.assertEqual(known["peer"]["addresses"], [self.beta.facts["listen"]])
        self.assertEqual(known["peer"]["metricsAddress"], self.beta.facts["metrics"])
        self.assertGreater(int(known["epoch"]), 1_700_000_000_000, "milliseconds since 1970")
        self.assertTrue(known["interestKnown"] and known["interestConfirmed"])
        self.assertEqual(known["linkedTo"], [{"id": self.gamma.id, "name": "gamma"}])
        link, = known["links"]
        self.assertTrue(link["carriesData"])
        self.assertGreaterEqual(int(link["heartbeats"]), 1)
        self.assertLess(link["since"], link["lastHeard"])
        text = self.mesh.cli("peers", "show", row.id[:8], peer=self.alpha).stdout
        for line in (rf"peer +beta \({row.id}\)", r"state +alive for \d+s", r"connection +connected (in|out), round trip [\d.]+ m?s",
                     r"link +(in|out), up .*, heard .* ago, \d+ heartbeats, certificates hold 6d 23h, carries messages",
                     r"interest +2 patterns; ours is confirmed", r"linked to +gamma \(they say\)", r"certificate +expires in 6d 23h"):
            self.assertRegex(text, rf"(?m)^{line}$")

    def test_a_dead_peer_is_shown_with_the_reason_and_without_a_link(self):
        self.gamma.kill()
        harness.wait_for(lambda: self.alpha.table()["gamma"].state == harness.DEAD, 15, "gamma to be dead")
        text = self.mesh.cli("peers", "show", "gamma", peer=self.alpha).stdout
        self.assertRegex(text, r"(?m)^state +dead \((connection_refused|link_broken)\) for \d+s$")
        self.assertNotRegex(text, r"(?m)^(link|interest) ")
        self.assertEqual(self.show("gamma")["links"], [])

    def test_an_unknown_peer_has_its_exit_code_and_nothing_on_stdout(self):
        for command in ("show", "ping"):
            done = self.mesh.cli("peers", command, "nobody", peer=self.alpha, check=False)
            self.assertEqual((done.returncode, done.stdout), (5, ""))
            self.assertIn("[UNKNOWN_PEER]", done.stderr)
        self.assertEqual(self.mesh.cli("peers", "show", "beta", "gamma", check=False).returncode, 2)
        self.assertEqual(self.mesh.cli("peers", "--quiet").stdout.split(), ["alpha", "beta", "gamma"])

    def test_a_ping_measures_the_way_to_the_peer_and_back(self):
        done = self.mesh.cli("peers", "ping", "beta", "--count", "20", "--interval", "10ms", "--json", peer=self.alpha)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({line["schema"] for line in lines}, {"peermesh.peers.ping.v1"})
        times = [float(line["roundTripTime"].rstrip("s")) for line in lines[:-1]]
        self.assertEqual((len(times), lines[-1]["summary"]["answered"]), (20, 20))
        harness.figure("ping_median", sorted(times)[10] * 1e3, "ms")
        self.assertTrue(all(0 < seconds < 1 for seconds in times), times)
        text = self.mesh.cli("peers", "ping", self.beta.id[:6], "--count", "2", "--interval", "10ms", peer=self.alpha)
        self.assertRegex(text.stdout, rf"^beta \({self.beta.id[:8]}\) answered 1 in [\d.]+ ")
        self.assertIn("2 asked, 2 answered: ", text.stderr)
        self.assertEqual(self.mesh.cli("peers", "ping", "alpha", "--count", "1", peer=self.alpha).returncode, 0)

    def test_a_peer_that_is_held_up_shows_in_the_round_trip(self):
        self.beta.stop()
        try:
            words = [harness.BIN / "peermesh", "--data-dir", self.alpha.dir, "peers", "ping", "beta", "--count", "1"]
            held = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.addCleanup(held.communicate)
            harness.let_pass(0.5)
        finally:
            self.beta.cont()
        said = held.stdout.read()
        self.assertEqual(held.wait(10), 0)
        took = re.search(r"answered 1 in ([\d.]+) ms", said)
        self.assertIsNotNone(took, said)
        self.assertGreater(float(took[1]), 200)

    def test_nobody_who_answers_is_no_success(self):
        self.beta.stop()
        self.addCleanup(self.beta.cont)
        begin = time.monotonic()
        done = self.mesh.cli("peers", "ping", "beta", "--count", "2", "--interval", "10ms", "--timeout", "300ms", peer=self.alpha, check=False)
        self.assertEqual((done.returncode, done.stdout), (6, ""))
        self.assertIn("beta did not answer in 300.0 ms", done.stderr)
        self.assertIn("[NO_ANSWER]", done.stderr)
        self.assertIn("2 asked, 0 answered.", done.stderr)
        self.assertLess(time.monotonic() - begin, 5)
        self.beta.kill()
        harness.wait_for(lambda: self.alpha.table()["beta"].connection != harness.CONNECTED, 10, "the link to be gone")
        gone = self.mesh.cli("peers", "ping", "beta", "--count", "1", peer=self.alpha, check=False)
        self.assertEqual(gone.returncode, 7)
        self.assertIn("[PEER_UNREACHABLE]", gone.stderr)

    def test_an_interrupt_ends_a_ping_with_what_it_has(self):
        pinging = subprocess.Popen([harness.BIN / "peermesh", "--data-dir", self.alpha.dir, "peers", "ping", "beta", "--count", "1000",
                                    "--interval", "60s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(pinging.kill)
        self.assertIn("answered 1 in", pinging.stdout.readline())
        pinging.send_signal(signal.SIGINT)
        said = pinging.communicate(timeout=10)[1]
        self.assertEqual(pinging.returncode, 130)
        self.assertIn("1 asked, 1 answered", said)


if __name__ == "__main__":
    harness.main()
