"""A mesh of real peers under load and trouble, and the proof that nothing was lost in silence.

    soak.py [--minutes N] [--seed N] [--faults KIND[,KIND]...] [--program NAME=PATH] [--hasty]

Three peers, and a fourth that comes and goes. Programs outside the mesh publish and subscribe at each of them, some
2,000 messages a second in all. Meanwhile peers are killed and started again, stopped and continued, and lose each
other: all drawn from the seed, which is printed first. Each fault must show that it bit. At the end all is healed,
what is under way gets its time, and history_check gives the verdict and the exit code: 0 it holds, 1 it does not, 3
the run proves nothing. See trial.py for what stays after a failure.

For tests of the soak itself: --faults draws from these kinds only, of which `nothing` never bites; --program runs
another program as one of the peers; --hasty waits less in the end.
"""

import argparse
import pathlib
import sys
import time

import harness
import namespaces
import proxy
import trial

SUBJECTS = ["orders.eu.new", "orders.us.new", "orders.eu.old", "stock.a", "stock.b", "news", "telemetry.rack.cpu"]
# Of the two programs at each peer: one publishes and listens, one only listens.
BUSY_PATTERNS = ["orders.>", "stock.*"]
IDLE_PATTERNS = {"alpha": ["*.eu.new", "news"], "beta": ["telemetry.*.cpu", "orders.*.new", "orders.eu.>"],
                 "gamma": [">"], "delta": ["stock.a", "news"]}
# More than 2,000 a second in all, because who is killed, stopped or away publishes nothing.
RATES = {"alpha": 800, "beta": 800, "gamma": 800, "delta": 100}
DIRECT_EVERY = 50
PEERS = ["alpha", "beta", "gamma"]

KINDS = ["join", "kill", "stop", "part", "leave", "isolate"]  # each at least once, in this order
LATER = ["delta", "kill", "stop", "part", "isolate", "kill"]  # then drawn from these
NOTICED_SECONDS = 12  # a silent peer is dead after 5.5 s
AROUND_SECONDS = 20   # of a soak are before and after the faults
HASTY = {"calm": 2, "quiet": 5}


class Links:
    """Ways to part peers: real hosts in namespaces as root, relays otherwise."""

    def __init__(self, names):
        self.why_relays = namespaces.missing()
        self._network = None if self.why_relays else namespaces.Network(names).__enter__()
        self._relays = {} if self._network else {name: proxy.Proxy() for name in names}

    def flags(self, peer):
        """Flags for the first start of a peer."""
        if self._network:
            peer.prefix = self._network.prefix(peer.name)
            return {"listen": f"{self._network.address(peer.name)}:0"}
        return {"advertise": self._relays[peer.name].address}

    def started(self, peer):
        if self._relays:
            self._relays[peer.name].backend = peer.facts["listen"]

    def part(self, *names):
        """These peers lose each other, or one of them everybody. Relays part all."""
        if not self._network:
            for relay in self._relays.values():
                relay.stall()
        elif len(names) == 1:
            self._network.unplug(names[0])
        else:
            self._network.part(*names)

    def join(self, *names):
        if not self._network:
            for relay in self._relays.values():
                relay.heal()
        elif len(names) == 1:
            self._network.plug(names[0])
        else:
            self._network.join(*names)

    def close(self):
        if self._network:
            self._network.close()
        for relay in self._relays.values():
            relay.close()


class Soak(trial.Trial):
    """Three peers and their load, and all that can happen to them."""

    def __init__(self, seed, programs=None, **ends):
        super().__init__("soak", seed, **ends)
        self.links = Links([*PEERS, "delta"])
        for name in PEERS:
            peer = self.mesh.peer(name)
            peer.program = (programs or {}).get(name, peer.program)

    def first_flags(self, peer):
        flags = self.links.flags(peer)
        if peer.name == "alpha" and "listen" in flags:
            flags["ca_listen"] = flags["listen"]
        return flags

    def launch(self, name):
        first = self.mesh.peer(name).process is None
        peer = super().launch(name)
        if first:
            self.links.started(peer)
        return peer

    def load_both(self, name):
        """The two programs of a peer."""
        programs = [self.load(name, "busy", subscribe=BUSY_PATTERNS, publish=SUBJECTS, rate=RATES[name],
                              target="beta" if name == "alpha" else "alpha", direct_every=DIRECT_EVERY),
                    self.load(name, "idle", subscribe=IDLE_PATTERNS[name])]
        for program in programs:
            program.wait_open()

    def start(self):
        for name in PEERS:
            self.launch(name)
        self.mesh.wait_linked(trial.LINKED_SECONDS)
        for name in PEERS:
            self.load_both(name)

    # --- Faults ---

    def nothing(self):
        """A fault that does not bite: it proves nothing."""
        self.bit(self.fault("nothing", "happens"), False)

    def kill_and_start(self, name):
        fault = self.fault("kill", name)
        self.bit(fault, self.kill(name))
        self.pause(0, 2)
        self.launch(name)

    def stop(self, name):
        peer = self.mesh[name]
        fault = self.fault("stop", name)
        peer.stop()
        state = pathlib.Path(f"/proc/{peer.pid}/stat")
        stopped = harness.wait_for(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", 5, "it to stop")
        if self.random.random() < 0.5:
            self.pause(0.1, 2)
        else:
            self.pause(5.6, 8)  # long enough to be taken for dead
        peer.cont()
        peer.close_channels()  # it may take our silence during its own for ours
        self.bit(fault, stopped)

    def linked_pair(self, one, other):
        row = self.mesh[one].table().get(other)
        return row is not None and row.connection == harness.CONNECTED

    def part(self, *names):
        """Two lose each other, or one loses everybody."""
        others = [peer.name for peer in self.mesh.running() if peer.name != names[0]]
        watched = names[1] if len(names) == 2 else self.random.choice(others)
        harness.wait_for(lambda: self.linked_pair(names[0], watched), trial.LINKED_SECONDS, "a link that can be cut")
        fault = self.fault("part", " and ".join(names) if len(names) == 2 else f"{names[0]} and all")
        self.links.part(*names)
        try:
            harness.wait_for(lambda: not self.linked_pair(names[0], watched), NOTICED_SECONDS, "a link to be down")
            seen_down = True
        except AssertionError:
            seen_down = False
        if self.random.random() < 0.3:
            self.kill_and_start(self.random.choice(names))
        self.pause(0, 3)
        self.links.join(*names)
        self.bit(fault, seen_down)

    def come_and_go(self):
        """Delta joins, or leaves in good order."""
        delta = self.mesh.all.get("delta")
        if delta is None or not delta.running:
            fault = self.fault("join", "delta")
            first = delta is None
            self.launch("delta")
            self.bit(fault, harness.wait_for(lambda: self.linked_pair("alpha", "delta"), trial.LINKED_SECONDS,
                                             "delta to be linked"))
            if first:
                self.load_both("delta")
            return
        fault = self.fault("leave", "delta")
        # What it still owes can be flushed only to whom it has a link.
        self.mesh.wait_linked(trial.LINKED_SECONDS)
        self.bit(fault, self.end("delta"))

    def trouble(self, seconds, kinds=()):
        """Faults drawn at random, each kind at least once, for so long."""
        end = time.monotonic() + seconds
        coming = list(kinds or KINDS)
        while time.monotonic() < end:
            kind = coming.pop(0) if coming else self.random.choice(kinds or LATER)
            names = self.random.sample(PEERS, 2)
            if kind in ("join", "leave", "delta"):
                self.come_and_go()
            elif kind == "kill":
                self.kill_and_start(names[0])
            elif kind == "stop":
                self.stop(names[0])
            elif kind == "part":
                self.part(*names)
            elif kind == "isolate":
                self.part(names[0])
            else:
                self.nothing()
            self.pause(0.1, 2)

    def finish(self):
        delta = self.mesh.all.get("delta")
        if delta is not None and not delta.running:
            self.launch("delta")
        return super().finish()

    def __exit__(self, kind, value, trace):
        super().__exit__(kind, value, trace)
        self.links.close()


def run(minutes, seed, kinds=(), programs=None, **ends):
    """A whole soak: history_check's report."""
    with Soak(seed, programs, **ends) as soak:
        soak.start()
        soak.trouble(minutes * 60 - AROUND_SECONDS, kinds)
        return soak.finish()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--faults", default="")
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("--hasty", action="store_true")
    options = parser.parse_args()
    kinds = options.faults.split(",") if options.faults else []
    if unknown := set(kinds) - {*KINDS, *LATER, "nothing"}:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    print("CTEST_FULL_OUTPUT")
    report = run(options.minutes, time.time_ns() % 1_000_000 if options.seed is None else options.seed, kinds,
                 dict(one.split("=", 1) for one in options.program), **(HASTY if options.hasty else {}))
    sys.exit(trial.EXIT_CODES[report["verdict"]])


if __name__ == "__main__":
    main()
