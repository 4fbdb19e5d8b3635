"""Forty daemons: beyond the full mesh. They join, broadcast, lose ten by kill -9, heal, and hold what they should.

Links are few and shared: a neighbour is a peer over whose link broadcasts go. Every message is either received once,
in order, or announced as lost; what is published when nobody joins or dies is received by everybody.
"""

import time
import unittest

import harness

PEERS = 40
KILLED = 10
FULL_MESH = 32            # peers up to which everybody links to everybody
MOST_NEIGHBORS = 12
JOIN_SECONDS = 60         # for all tables to show everybody, on two cores
DEAD_SECONDS = 15         # kill -9 resets connections: a second on idle cores, and 30 daemons share two
HEAL_SECONDS = 30
SETTLE_SECONDS = 60       # surplus links go 10 to 20 s after the mesh outgrew the full mesh
ROUNDS = 20


def names(first, count):
    return [f"peer-{i:02}" for i in range(first, first + count)]


@unittest.skipIf(harness.SANITIZED, "forty sanitized daemons do not fit two cores")
class FortyTest(harness.MeshTest):

    @classmethod
    def set_up_mesh(cls):
        first = cls.mesh.add("peer-00", log_level="info")
        rest = names(1, PEERS - 1)
        words = ["token", "create", "--quiet"]
        tokens = {name: cls.mesh.cli(*words, "--name", name, peer=first).stdout.strip() for name in rest}
        begin = time.monotonic()
        for name in rest:  # not on threads: a daemon ends with the thread that started it (harness)
            cls.join(name, tokens[name])
        harness.figure("forty_started", time.monotonic() - begin, "s")

    @classmethod
    def join(cls, name, token):
        """Joins, as an operator would: the CA takes only so many handshakes a second from one host."""

        def joined():
            try:
                return cls.mesh.start(name, join=token, log_level="info")
            except harness.Ended as ended:
                if ended.code != 5:
                    raise
                harness.let_pass(1)
                return None

        return harness.wait_for(joined, 60, f"{name} to join")

    def alive_everywhere(self, peers):
        wanted = {peer.name for peer in peers}
        for peer in peers:
            alive = {row.name for row in peer.table().values() if row.state == harness.ALIVE}
            if alive != wanted:
                return False
        return True

    def neighbors(self, peer):
        return peer.metric("peermesh_overlay_neighbors")

    def broadcast(self, peers, rounds):
        """Each round is published by another peer; everybody gets all of them, each once and in order."""
        streams = {peer.name: peer.subscribe("forty.>") for peer in peers}
        try:
            for number in range(rounds):
                peers[number * 7 % len(peers)].publish(("forty.round", b"%d" % number))
            for name, stream in streams.items():
                stream.wait_messages(rounds, 30)
                self.assertEqual([], stream.lost, name)
                self.assertCountEqual([b"%d" % number for number in range(rounds)], stream.payloads(), name)
        finally:
            for stream in streams.values():
                stream.cancel()

    def settled(self, peers):
        """Nobody keeps links that nobody needs."""
        return all(peer.metric("peermesh_links") <= MOST_NEIGHBORS + 2 for peer in peers)

    def test_join_broadcast_lose_ten_and_heal(self):
        peers = list(self.mesh.all.values())
        begin = time.monotonic()
        harness.wait_for(lambda: self.alive_everywhere(peers), JOIN_SECONDS, "everybody to know everybody")
        harness.figure("forty_know_each_other", time.monotonic() - begin, "s")
        harness.wait_for(lambda: self.settled(peers), SETTLE_SECONDS, "surplus links to go")
        for peer in peers:
            self.assertGreaterEqual(self.neighbors(peer), 2, peer.name)
            self.assertLessEqual(self.neighbors(peer), MOST_NEIGHBORS, peer.name)
        self.broadcast(peers, ROUNDS)
        files = {peer.name: peer.open_files() for peer in peers}

        victims = peers[5:5 + KILLED]
        survivors = [peer for peer in peers if peer not in victims]
        at = time.monotonic()
        for victim in victims:
            victim.kill()

        def noticed():
            gone = {victim.name for victim in victims}
            return all(all(row.state == harness.DEAD for name, row in peer.table().items() if name in gone)
                       for peer in survivors)

        harness.wait_for(noticed, DEAD_SECONDS, "everybody to see ten dead")
        harness.figure("forty_ten_seen_dead", time.monotonic() - at, "s")
        self.assertTrue(self.alive_everywhere(survivors), "nobody else is taken for dead")
        shown = self.mesh.cli("peers", "show", victims[0].name, peer=survivors[0]).stdout
        self.assertIn("accuse", shown.lower())
        self.broadcast(survivors, ROUNDS)

        begin = time.monotonic()
        for victim in victims:
            victim.launch()
        harness.wait_for(lambda: self.alive_everywhere(peers), HEAL_SECONDS, "everybody to know everybody again")
        harness.figure("forty_healed", time.monotonic() - begin, "s")
        self.broadcast(peers, ROUNDS)
        harness.wait_for(lambda: self.settled(peers), SETTLE_SECONDS, "surplus links to go")
        for peer in peers:
            # Its neighbours may be others than before, and a few more or fewer: two connections a link.
            if peer not in victims:
                self.assertLessEqual(abs(peer.open_files() - files[peer.name]), 2 * MOST_NEIGHBORS, peer.name)
            self.assertEqual(0, peer.metric("peermesh_resource_leaks_confirmed_total"), peer.name)


if __name__ == "__main__":
    harness.main()
