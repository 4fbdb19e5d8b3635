"""What applications and peers leave behind when they are killed: nothing.

    leaks_test.py                    # 200 applications, 10 peers
    leaks_test.py --full             # 1,000 applications, 800 peers: about six minutes

Counted from outside (descriptors, threads, resident memory), by the daemon's own metrics, and from within, by a library
that is loaded into it (probe.py): bytes in use on the heap, and the objects that gRPC itself keeps (channelz). With the
sanitizers, which must come first, nothing is loaded.
"""

import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import harness
import probe
from harness import figure

FULL = "--full" in sys.argv
AT_ONCE = 10
BATCHES = 100 if FULL else 20
PEER_CYCLES = 512 if FULL else 10
PEER_WARM_UP = 300 if FULL else 3
WARM_UP = 3           # batches: queues and tables reach their usual size
RATE = 100            # messages a second that each application publishes, and receives
PEER_MESSAGES = 100   # that each killed peer was sent
# Gauges of what somebody holds; all must return to where they were.
HOLDINGS = {"peermesh_sessions", "peermesh_sessions_slow", "peermesh_subscriptions", "peermesh_patterns",
            "peermesh_streams", "peermesh_connections", "peermesh_links", "peermesh_queue_bytes", "process_open_fds"}
# gRPC starts and ends a few threads of its own as it sees fit; one for each client would be a leak.
THREADS_MORE = 4
# A session, a stream or a connection takes kilobytes. The last 4,096 connections that ended with a call under way are
# remembered, some 130 bytes each.
APPLICATION_BYTES = 512
# Of peers the last 256 records are known, some 2 kB each, and the last 1,024 changes to the table, some 500 bytes each, two
# or three a life. The full form fills both before it measures, and measures over two turns of the former.
PEER_BYTES = 512 if FULL else 8192


def slope(values):
    """Growth from one value to the next: from the median of the first half to that of the second. Not the mean: a block of
    256 KiB that gRPC holds at the moment of a look, and frees, is no growth."""
    half = len(values) // 2
    return (statistics.median(values[half:]) - statistics.median(values[:half])) / half


class Leaks(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.probe = None if harness.SANITIZED else probe.Probe(cls.mesh.dir)
        cls.alpha = cls.mesh.start("alpha", environment=cls.probe.environment() if cls.probe else None)
        cls.beta = cls.mesh.add("beta")
        cls.mesh.wait_linked()
        cls.identity = cls.mesh.client("app")
        cls.programs = 0

    # --- What is held ---

    def holdings(self):
        """What alpha holds, by name."""
        held = {series: value for series, value in self.alpha.metrics().items()
                if series.partition("{")[0] in HOLDINGS}
        if self.probe:
            held |= self.probe.channelz()
        kinds = collections.Counter()
        for fd in pathlib.Path(f"/proc/{self.alpha.pid}/fd").iterdir():
            try:
                kinds[re.sub(r"\d+", "N", os.readlink(fd))] += 1
            except FileNotFoundError:
                pass  # the one that listed them, or closed meanwhile
        return held | {f"fd {kind}": count for kind, count in kinds.items() if not kind.startswith("/")}

    def baseline(self):
        """What alpha holds once that has held still for a second: the last of the warm-up may be on its way out."""
        held, since = self.holdings(), time.monotonic()

        def still():
            nonlocal held, since
            now = self.holdings()
            if now != held:
                held, since = now, time.monotonic()
            return time.monotonic() - since > 1

        harness.wait_for(still, 15, "what alpha holds to hold still")
        return held

    def threads(self):
        return len(os.listdir(f"/proc/{self.alpha.pid}/task"))

    def wait_baseline(self, before):
        last = {}

        def restored():
            last.clear()
            last.update(self.holdings())
            return last == before

        try:
            harness.wait_for(restored, 15, "the baseline")
        except AssertionError:
            self.assertEqual(last, before)

    def measure(self, what, run, *, warm_up, cycles, each, most):
        """Runs `run` so often and holds alpha against what it was; `each` is how many were killed in one, `most` the
        bytes that one may cost."""
        for _ in range(warm_up):
            run()
        resident, threads = self.alpha.resident_kb(), self.threads()
        before = self.baseline()
        heap = []
        for _ in range(cycles):
            run()
            heap.append(self.probe.heap() if self.probe else 0)
        # At the same moment as before: memory goes back to the kernel while nothing happens.
        resident_more = self.alpha.resident_kb() - resident
        self.wait_baseline(before)
        self.assertLessEqual(self.threads(), threads + THREADS_MORE)
        figure(f"{what}_cycles", cycles * each, "count")
        figure(f"{what}_threads_more", self.threads() - threads, "count", f"at most {THREADS_MORE}")
        figure(f"{what}_descriptors", before["process_open_fds"], "count, before and after")
        if not self.probe:
            return  # freed memory is kept in quarantine there
        figure(f"{what}_channelz_objects", sum(before[kind] for kind in ("channels", "servers", "sockets")),
               "count, before and after")
        growth = 1024 * resident_more / (cycles * each)
        figure(f"{what}_resident_growth", growth, "B/cycle")
        figure(f"{what}_heap_slope", slope(heap) / each, "B/cycle", f"below {most}")
        figure(f"{what}_heap_from_first_to_last", heap[-1] - heap[0], "B")
        self.assertLess(slope(heap) / each, most, heap)
        self.assertLess(resident_more, 4000, "kB in all")

    # --- Applications ---

    def application(self, secure):
        """One that publishes to itself on an Exchange stream, over TLS or the unix socket."""
        Leaks.programs += 1
        subject = f"leak.own{Leaks.programs % AT_ONCE}"
        directory = self.mesh.dir / "histories"
        directory.mkdir(exist_ok=True)
        where = (["--address", self.alpha.facts["listen"], "--identity", str(self.identity)] if secure else
                 ["--socket", self.alpha.facts["app_socket"]])
        words = [str(harness.BIN.parent / "bench" / "history_load"), *where, "--directory", str(directory),
                 "--writer", f"app{Leaks.programs}", "--actor-base", str(Leaks.programs * 1000), "--rate", str(RATE),
                 "--publish", subject, "--subscribe", subject]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def batch(self):
        """AT_ONCE applications connect, stream, and are killed."""
        delivered = self.alpha.metric("peermesh_messages_total", event="delivered")
        programs = [self.application(secure=number % 2 == 0) for number in range(AT_ONCE)]
        try:
            harness.wait_for(lambda: self.alpha.metric("peermesh_sessions") == AT_ONCE, 20, "all sessions to be open")
            # More than the message to itself with which each begins.
            wanted = delivered + 4 * AT_ONCE
            harness.wait_for(lambda: self.alpha.metric("peermesh_messages_total", event="delivered") >= wanted, 20,
                             "messages to flow")
        finally:
            for program in programs:
                program.kill()
            for program in programs:
                program.wait()
        harness.wait_for(lambda: self.alpha.metric("peermesh_sessions") == 0, 10, "the sessions of the killed to go")
        harness.wait_for(lambda: self.alpha.metric("peermesh_connections", listener="app") == 0, 10, "their connections")

    def test_applications_that_stream_and_are_killed_leave_nothing_behind(self):
        self.alpha.close_channels()
        calls = self.alpha.metric("peermesh_calls_total", server="app")
        self.measure("killed_applications", self.batch, warm_up=WARM_UP, cycles=BATCHES, each=AT_ONCE,
                     most=APPLICATION_BYTES)
        unix = (WARM_UP + BATCHES) * AT_ONCE // 2
        self.assertEqual(self.alpha.metric("peermesh_calls_total", server="app") - calls, unix)

    # --- Peers ---

    def peer_cycle(self):
        """Beta connects, is sent messages, sends some, and is killed."""
        if not self.beta.running:
            self.beta.launch()
        self.mesh.wait_linked()
        stream = self.beta.subscribe("leak.peer.*")
        messages = [("leak.peer.a", b"x" * 100)] * PEER_MESSAGES
        self.alpha.publish(*messages)
        self.beta.publish(*messages)
        stream.wait_messages(2 * PEER_MESSAGES)
        self.beta.kill()
        stream.wait_end()
        self.alpha.close_channels()
        harness.wait_for(lambda: self.alpha.metric("peermesh_links") == 0, 10, "the link to go")
        harness.wait_for(lambda: self.alpha.metric("peermesh_connections", listener="app") == 0, 10, "an idle peer")

    def test_peers_that_link_and_are_killed_leave_nothing_behind(self):
        self.measure("killed_peers", self.peer_cycle, warm_up=PEER_WARM_UP, cycles=PEER_CYCLES, each=1, most=PEER_BYTES)
        self.beta.launch()
        self.mesh.wait_linked()


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--full"]
    harness.main()
