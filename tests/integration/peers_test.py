"""The peer list: what its rows say, and how a watch follows it."""

import subprocess
import time

import harness
from harness import ALIVE, CONNECTED, DEAD, LEFT
from peermesh.v1 import peers_pb2

Request, Filter = peers_pb2.WatchPeersRequest, peers_pb2.PeerFilter
UPSERTED, REMOVED = peers_pb2.PEER_EVENT_TYPE_UPSERTED, peers_pb2.PEER_EVENT_TYPE_REMOVED


def complete(table):
    return all(row.addresses and (row.self or row.HasField("round_trip_time")) for row in table.values())


class Peers(harness.MeshTest):
    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def watch(self, *args):
        return self.keep(self.alpha.watch(*args)).wait_synced()

    def test_every_row_is_complete(self):
        harness.wait_for(lambda: complete(self.alpha.table()), 10, "records and round trips to be known")
        rows = self.alpha.peers.ListPeers(peers_pb2.ListPeersRequest(), timeout=5).peers
        self.assertEqual([row.name for row in rows], ["alpha", "beta", "gamma"], "itself first, then by name")
        for row in rows:
            peer = self.mesh[row.name]
            self.assertEqual(row.self, peer is self.alpha)
            self.assertEqual(row.id, peer.id)
            self.assertEqual(list(row.addresses), [peer.facts["listen"]])
            self.assertEqual(row.state, ALIVE)
            self.assertEqual(row.version, self.alpha.status().version)
            self.assertEqual(row.certificate_expiry.seconds, peer.status().certificate_expiry.seconds)
            self.assertEqual(row.metrics_address, peer.facts["metrics"])
            self.assertLess(abs(row.since.seconds - time.time()), 300)
            if row.self:
                continue
            self.assertEqual(row.connection, CONNECTED)
            self.assertIn(row.link_direction, (peers_pb2.LINK_DIRECTION_INBOUND, peers_pb2.LINK_DIRECTION_OUTBOUND))
            other_side = peer.table()["alpha"].link_direction
            self.assertEqual({row.link_direction, other_side},
                             {peers_pb2.LINK_DIRECTION_INBOUND, peers_pb2.LINK_DIRECTION_OUTBOUND})
            self.assertGreater(row.round_trip_time.ToMicroseconds(), 0)
            self.assertLess(row.round_trip_time.ToMicroseconds(), 1_000_000)
            self.assertGreater(row.incarnation, 0)

    def test_a_list_shows_what_its_filter_asks_for(self):
        def names(**fields):
            request = peers_pb2.ListPeersRequest(filter=Filter(**fields))
            return [row.name for row in self.alpha.peers.ListPeers(request, timeout=5).peers]

        self.assertEqual(names(peer="beta"), ["beta"])
        self.assertEqual(names(peer=self.beta.id), ["beta"])
        self.assertEqual(names(peer=self.beta.id[:10]), ["beta"])
        self.assertEqual(names(peer="nobody"), [])
        self.assertEqual(names(states=[ALIVE]), ["alpha", "beta", "gamma"])
        self.assertEqual(names(states=[DEAD, LEFT]), [])

    def test_a_watch_sends_the_table_and_then_every_change(self):
        watch = self.watch()
        self.assertEqual(sorted(watch.table), ["alpha", "beta", "gamma"])
        self.assertEqual(watch.resets, 0)
        at = self.gamma.kill()
        watch.wait_state("gamma", DEAD, 10, at)
        row = watch.table["gamma"]
        # A refused dial settles it; after a link that did not last, the time a broken one is given.
        self.assertIn(row.reason, ("CONNECTION_REFUSED", "LINK_BROKEN"))
        self.assertIn(row.connection_reason, ("CONNECTION_REFUSED", "LINK_BROKEN"))
        self.assertNotEqual(row.connection, CONNECTED)
        self.assertFalse(row.HasField("round_trip_time"))
        self.gamma.launch()
        watch.wait_state("gamma", ALIVE, 10, at)
        self.assertEqual(watch.synced, 1, "deltas are no snapshots")

    def test_a_new_filter_brings_a_new_snapshot_and_what_it_hides_is_removed(self):
        watch = self.watch(Request(filter=Filter(states=[ALIVE])))
        at = self.gamma.kill()
        watch.wait(lambda: "gamma" not in watch.table, 10, "gamma to leave the filtered table")
        self.assertEqual(watch.events[-1][1].type, REMOVED)
        self.watch().wait_state("gamma", DEAD, 10)
        watch.send(Request(filter=Filter(peer="beta")))
        watch.wait_synced(2)
        self.assertEqual(watch.resets, 1)
        self.assertEqual(sorted(watch.table), ["beta"])
        watch.send(Request(filter=Filter(peer="gamma")))
        watch.wait_synced(3)
        self.assertEqual({name: row.state for name, row in watch.table.items()}, {"gamma": DEAD})
        self.gamma.launch()
        watch.wait_state("gamma", ALIVE, 10, at)
        self.assertEqual(sorted(watch.table), ["gamma"])

    def test_a_resumed_watch_sends_only_what_changed(self):
        watch = self.watch()
        harness.wait_for(lambda: complete(watch.table), 10, "records and round trips to be known")
        token = watch.token
        watch.cancel()
        at = self.gamma.kill()
        self.watch().wait_state("gamma", DEAD, 10, at)
        resumed = self.watch(Request(resume_token=token))
        self.assertEqual(resumed.resets, 0)
        first = resumed.frames[0][1]
        self.assertIn("gamma", {event.peer.name for event in first.events})
        self.assertNotIn("alpha", {event.peer.name for event in first.events}, "nothing happened to alpha")
        self.assertEqual(resumed.table["gamma"].state, DEAD)

    def test_a_token_of_another_life_of_the_peer_resets_the_watch(self):
        token = self.watch().token
        self.alpha.restart()
        self.mesh.wait_linked()
        for old in (token, b"nonsense"):
            watch = self.watch(Request(resume_token=old))
            self.assertEqual(watch.resets, 1)
            self.assertEqual(sorted(watch.table), ["alpha", "beta", "gamma"])

    def test_a_half_closed_watch_goes_on(self):
        watch = self.watch()
        watch.half_close()
        at = self.gamma.kill()
        watch.wait_state("gamma", DEAD, 10, at)
        self.assertFalse(watch.ended)

    def test_the_command_line_shows_the_same_table(self):
        lines = self.mesh.cli("peers").stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertTrue(lines[0].startswith("NAME"), lines[0])
        for line, peer in zip(lines[1:], (self.alpha, self.beta, self.gamma)):
            self.assertIn(peer.name, line)
            self.assertIn(peer.id[:8], line)
            self.assertIn("alive", line)

    def test_promtool_finds_nothing_wrong_with_the_metrics(self):
        promtool = harness.find_tool("promtool", "prometheus/usr/bin")
        if promtool is None:
            self.skipTest("promtool is not installed (deploy/install-deps test)")
        done = subprocess.run([promtool, "check", "metrics"], input=self.alpha.page("metrics"), text=True,
                              capture_output=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_a_peer_that_serves_is_live_and_ready(self):
        for page in ("livez", "readyz"):
            self.assertTrue(self.alpha.page(page), page)

    def test_metrics_agree_with_the_table(self):
        self.assertEqual(self.alpha.metric("peermesh_peers", state="alive"), 2)
        # Dials that crossed make a third one, for a moment.
        harness.wait_for(lambda: self.alpha.metric("peermesh_links") == 2, 5, "one link to each peer")
        self.assertGreater(self.alpha.metric("peermesh_certificate_expiry_timestamp_seconds"), time.time())
        self.assertEqual(self.alpha.metric("peermesh_build_info"), 1)


if __name__ == "__main__":
    harness.main()
