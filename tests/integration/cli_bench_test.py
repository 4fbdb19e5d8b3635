"""peermesh bench: what it says is what the peers counted."""

import json
import signal
import subprocess
import unittest

import harness


class Bench(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha, cls.beta = cls.mesh.add("alpha"), cls.mesh.add("beta")
        cls.mesh.wait_linked()

    def start(self, peer, *words):
        process = subprocess.Popen([harness.BIN / "peermesh", "--data-dir", peer.dir, "bench", *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def answering(self):
        answerer = self.start(self.beta, "--answer")
        self.assertIn("until ^C", answerer.stderr.readline())
        return answerer

    def bench(self, *words, **options):
        return self.mesh.cli("bench", "--duration", "500ms", *words, peer=self.alpha, **options)

    def test_through_this_peer_alone_nothing_crosses_the_link(self):
        before = self.alpha.metric("peermesh_messages_total", event="sent")
        done = self.bench()
        self.assertRegex(done.stdout, r"^Round trip  p50 \d.*one at a time\)\nOne way     \d+ messages/s, .*none lost\)\n$")
        self.assertEqual(done.stderr, "", "no progress bar: this is no terminal")
        self.assertEqual(self.alpha.metric("peermesh_messages_total", event="sent"), before)

    def test_to_another_peer_it_counts_what_arrived_there(self):
        answerer = self.answering()
        before = self.alpha.metric("peermesh_messages_total", event="sent")
        found = json.loads(self.bench("beta", "--size", "1000", "--json").stdout)
        sent = self.alpha.metric("peermesh_messages_total", event="sent") - before
        self.assertEqual((found["schema"], found["peer"], found["bytes"], found["lost"]),
                         ("peermesh.bench.v1", "beta", 1000, 0))
        self.assertEqual(sent, found["messages"] + found["roundTrips"]["count"] + 1, "and the question at the end")
        times = found["roundTrips"]
        self.assertTrue(0 < times["p50"] <= times["p90"] <= times["p99"] <= times["most"], times)
        self.assertAlmostEqual(found["messagesPerSecond"], found["messages"] / found["seconds"], delta=1)
        answerer.send_signal(signal.SIGINT)
        self.assertEqual(answerer.wait(10), 130)

    def test_a_rate_is_kept(self):
        self.answering()
        found = json.loads(self.bench("beta", "--rate", "2000", "--json").stdout)
        self.assertLessEqual(found["messages"], 1001)
        self.assertGreater(found["messages"], 500)

    def test_without_anybody_who_answers_it_says_what_to_do(self):
        done = self.bench("beta", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('Run "peermesh bench --answer" there first. [NO_SUBSCRIBERS]', done.stderr)
        self.assertEqual(self.bench("nobody", check=False).returncode, 5)
        self.assertEqual(self.bench("beta", "--answer", check=False).returncode, 2)
        self.assertEqual(self.bench("--size", "31", check=False).returncode, 2)

    def test_an_interrupt_ends_it_at_once(self):
        running = self.start(self.alpha, "--duration", "1h")
        harness.wait_for(lambda: self.alpha.metric("peermesh_messages_total", event="delivered") > 10_000, 20, "the load")
        running.send_signal(signal.SIGINT)
        self.assertEqual(running.wait(10), 130)

    def test_on_a_terminal_a_bar_shows_how_far_it_is(self):
        words = f"{harness.BIN}/peermesh --data-dir {self.alpha.dir} bench --duration 500ms"
        done = subprocess.run(["script", "-qec", words, "/dev/null"], capture_output=True, text=True, timeout=30)
        self.assertRegex(done.stdout, r"\[=+ *\] \d\.\d s, \d+ messages/s")
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    harness.main()
