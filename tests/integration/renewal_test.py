"""Certificates that live 20 seconds: a stream that outlasts one loses nothing."""

import os
import signal
import time

import harness
import traffic
from harness import figure

LIFETIME_SECONDS = 20


class Renewal(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha", certificate_lifetime=f"{LIFETIME_SECONDS}s")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def test_a_stream_outlasts_the_certificates_it_began_with(self):
        stream = self.keep(self.beta.subscribe("renewal.news"))
        before = {peer: peer.status().certificate_expiry.seconds for peer in (self.alpha, self.beta)}
        keys = {peer: (peer.dir / "identity" / "key.pem").read_bytes() for peer in before}
        watch = self.keep(self.alpha.watch()).wait_synced()
        begin = time.monotonic()
        publisher = traffic.Publisher(self.alpha, "renewal.news", pause=0.01)
        # Until the certificates of the beginning have run out, and a sweep for such connections has passed.
        harness.wait_for(lambda: time.time() > max(before.values()) + 6, LIFETIME_SECONDS + 20,
                         "the first certificates to run out")
        count = publisher.stop()
        stream.wait_messages(count)
        self.assertEqual(traffic.numbers(stream), list(range(count)))
        self.assertEqual(stream.lost, [])
        figure("messages_through_renewals", count, f"in {time.monotonic() - begin:.0f} s, none lost")
        for peer, expiry in before.items():
            self.assertGreater(peer.status().certificate_expiry.seconds, expiry)
            self.assertEqual((peer.dir / "identity" / "key.pem").read_bytes(), keys[peer], "renewed with the same key")
            renewals = peer.log.read_text().count("certificate renewed")
            self.assertLess(renewals, 8, "renewed now and then, not all the time")
        replaced = sum(peer.metric("peermesh_links_replaced_total") for peer in before)
        self.assertGreaterEqual(replaced, 1)
        states = {event.peer.state for _, event in watch.events if event.peer.name == "beta"}
        self.assertEqual(states, {harness.ALIVE}, "replacing a link is no reason to suspect anybody")
        harness.wait_for(lambda: watch.table["beta"].certificate_expiry.seconds ==
                         self.beta.status().certificate_expiry.seconds, 5, "the table to show the last certificate")

    def test_leaving_does_not_wait_for_a_ca_that_does_not_answer(self):
        ca = int((self.alpha.dir / "ca" / "lock").read_text().removeprefix("pid "))
        os.kill(ca, signal.SIGSTOP)
        self.addCleanup(os.kill, ca, signal.SIGCONT)
        # At 80 % of a certificate's life its renewal is under way; the call is given ten seconds.
        due = self.beta.status().certificate_expiry.seconds - LIFETIME_SECONDS * 0.2
        harness.wait_for(lambda: time.time() > due + 0.5, LIFETIME_SECONDS, "a renewal to be under way")
        begin = time.monotonic()
        self.beta.process.send_signal(signal.SIGTERM)
        harness.wait_for(lambda: "stopped clean=" in self.beta.tail(), 15, "the peer to have left")
        took = time.monotonic() - begin
        figure("left_while_the_ca_is_silent", took, "s", "< 2")
        self.assertLess(took, 2)
        self.assertEqual(self.beta.process.wait(15), 0)


if __name__ == "__main__":
    harness.main()
