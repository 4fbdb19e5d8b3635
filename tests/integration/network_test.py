"""Names, IPv6, and networks that lose packets without telling anybody."""

import socket
import time
import unittest

import harness
import namespaces
import proxy
from harness import ALIVE, DEAD, UNREACHABLE, figure

SEEN_SILENT_SECONDS = 6.0
# The longest pause between two dials (10 s), and the dial.
RELINKED_SECONDS = 15.0
TWO_SEED_TURNS = 8


class Names(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.port = cls.alpha.facts["listen"].rpartition(":")[2]

    def test_a_seed_may_be_a_dns_name(self):
        beta = self.mesh.peer("beta")
        beta.launch(join=self.mesh.token("beta", "--seed", f"localhost:{self.port}"))
        self.assertEqual((beta.dir / "identity" / "seeds").read_text(), f"localhost:{self.port}\n")
        self.mesh.wait_linked()

    def test_a_seed_that_does_not_resolve_does_not_hinder_the_others(self):
        gamma = self.mesh.peer("gamma")
        token = self.mesh.token("gamma", "--seed", "no-such-host.invalid:7443")
        gamma.launch(join=token, seed=["also-missing.invalid:7443", f"localhost:{self.port}"])
        self.mesh.wait_linked()
        harness.wait_for(lambda: gamma.metric("peermesh_dials_failed_total", reason="unreachable") > 0, 15,
                         "the names to be found missing")

    def test_two_seeds_that_lead_to_one_peer_make_one_link_on_which_messages_arrive_at_once(self):
        # Two dials reach alpha at the same moment. Both ends must keep the same one of the two links.
        epsilon = self.mesh.peer("epsilon")
        seeds = [f"127.0.0.1:{self.port}", f"localhost:{self.port}"]
        epsilon.launch(join=self.mesh.token("epsilon"), seed=seeds)
        for turn in range(TWO_SEED_TURNS):
            if turn > 0:
                epsilon.kill()
                epsilon.restart(seed=seeds)
            self.mesh.wait_linked()
            for sender, receiver in ((self.alpha, epsilon), (epsilon, self.alpha)):
                stream = receiver.subscribe("two.seeds")
                stream.wait_confirmed()
                sender.publish(("two.seeds", b"%d" % turn))
                self.assertEqual(stream.wait_messages(1, 3)[0].message.payload, b"%d" % turn)
                stream.cancel()


class Ipv6(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            raise unittest.SkipTest(f"there is no IPv6 loopback here: {error}") from None
        cls.alpha = cls.mesh.start("alpha", listen="[::1]:0", ca_listen="[::1]:0")
        cls.beta = cls.mesh.start("beta", listen="[::1]:0", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def test_peers_meet_and_talk_over_the_ipv6_loopback(self):
        self.assertTrue(self.alpha.facts["listen"].startswith("[::1]:"))
        addresses = harness.wait_for(lambda: self.beta.table()["alpha"].addresses, 5, "alpha's record")
        self.assertEqual(list(addresses), [self.alpha.facts["listen"]])
        stream = self.keep(self.beta.subscribe("six"))
        self.alpha.publish(("six", b"6"))
        self.assertEqual(stream.wait_messages(1)[0].message.payload, b"6")
        self.assertEqual(self.beta.metric("peermesh_links"), 1)


class StallingRelay(harness.MeshTest):
    """Two peers behind relays that stop relaying: no FIN, no reset, no answer."""

    @classmethod
    def set_up_mesh(cls):
        cls.relays = {name: proxy.Proxy() for name in ("alpha", "beta")}
        for relay in cls.relays.values():
            cls.addClassCleanup(relay.close)
        cls.alpha = cls.mesh.start("alpha", advertise=cls.relays["alpha"].address)
        cls.relays["alpha"].backend = cls.alpha.facts["listen"]
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"), advertise=cls.relays["beta"].address)
        cls.relays["beta"].backend = cls.beta.facts["listen"]
        cls.mesh.wait_linked()

    def test_a_stalled_peer_is_seen_dead_within_six_seconds_and_linked_again_when_it_is_back(self):
        pair = ((self.alpha, "beta"), (self.beta, "alpha"))
        watches = [(self.keep(peer.watch()).wait_synced(), name) for peer, name in pair]
        at = time.monotonic()
        for relay in self.relays.values():
            relay.stall()
        worst = max(watch.wait_state(name, DEAD, 15, at) - at for watch, name in watches)
        figure("stalled_peer_seen_dead", worst, "s", f"<= {SEEN_SILENT_SECONDS}")
        self.assertLessEqual(worst, SEEN_SILENT_SECONDS)
        for relay in self.relays.values():
            relay.heal()
        took = self.mesh.wait_linked(30)
        figure("stalled_peer_linked_again", took, "s", f"<= {RELINKED_SECONDS}")
        self.assertLessEqual(took, RELINKED_SECONDS)


class Namespaces(harness.MeshTest):
    """Three hosts on a bridge."""

    @classmethod
    def set_up_mesh(cls):
        if reason := namespaces.missing():
            raise unittest.SkipTest(reason)
        names = ("alpha", "beta", "gamma")
        cls.network = namespaces.Network(names).__enter__()
        cls.addClassCleanup(cls.network.close)
        for name in names:
            peer = cls.mesh.peer(name)
            peer.prefix = cls.network.prefix(name)
            address = f"{cls.network.address(name)}:0"
            if name == "alpha":
                cls.mesh.start(name, listen=address, ca_listen=address)
            else:
                cls.mesh.start(name, listen=address, join=cls.mesh.token(name))
        cls.alpha, cls.beta, cls.gamma = (cls.mesh[name] for name in names)
        cls.mesh.wait_linked()

    def test_a_peer_whose_packets_vanish_is_seen_dead_within_six_seconds_and_linked_again_when_they_come(self):
        watches = [(self.keep(peer.watch()).wait_synced(), name) for peer, name in (
            (self.alpha, "gamma"), (self.beta, "gamma"), (self.gamma, "alpha"), (self.gamma, "beta"))]
        at = time.monotonic()
        self.network.unplug("gamma")
        self.addCleanup(self.network.plug, "gamma")
        worst = max(watch.wait_state(name, DEAD, 15, at) - at for watch, name in watches)
        figure("vanished_peer_seen_dead", worst, "s", f"<= {SEEN_SILENT_SECONDS}")
        self.assertLessEqual(worst, SEEN_SILENT_SECONDS)
        self.assertTrue(self.mesh.linked([self.alpha, self.beta]), "the others do not suffer")
        self.network.plug("gamma")
        took = self.mesh.wait_linked(30)
        figure("vanished_peer_linked_again", took, "s", f"<= {RELINKED_SECONDS}")
        self.assertLessEqual(took, RELINKED_SECONDS)

    def test_two_peers_that_lose_each_other_alone_see_each_other_unreachable(self):
        pair = ((self.alpha, "beta"), (self.beta, "alpha"))
        watches = [(self.keep(peer.watch()).wait_synced(), name) for peer, name in pair]
        stream = self.keep(self.beta.subscribe("parted"))
        at = time.monotonic()
        self.network.part("alpha", "beta")
        self.addCleanup(self.network.join, "alpha", "beta")
        worst = max(watch.wait_state(name, UNREACHABLE, 15, at) - at for watch, name in watches)
        figure("parted_peer_seen_unreachable", worst, "s", f"<= {SEEN_SILENT_SECONDS}")
        self.assertLessEqual(worst, SEEN_SILENT_SECONDS)
        rows = self.gamma.table()
        self.assertEqual([rows[name].state for name in ("alpha", "beta")], [ALIVE, ALIVE])
        response = self.alpha.publish(("parted", b"lost"))
        self.assertEqual(list(response.unreachable_peers), [self.beta.id], "the publisher is told who may miss it")
        self.network.join("alpha", "beta")
        self.mesh.wait_linked(30)
        for watch, name in watches:
            watch.wait(lambda: watch.table[name].state == ALIVE, 5, f"{name} to be alive again")
        harness.wait_for(lambda: self.alpha.publish(("parted", b"found")).interested_peers, 5, "interest to be known")
        stream.wait_messages(1)


if __name__ == "__main__":
    harness.main()
