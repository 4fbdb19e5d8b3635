"""A mesh of real peers under load and trouble, and the proof that nothing was lost in silence.

    soak.py [--minutes N] [--seed N]

Three peers, and a fourth that comes and goes. Programs outside the mesh (history_load) publish and subscribe at each
of them, some 2,000 messages a second in all, and write down what they did and saw. Meanwhile peers are killed and
started again, stopped and continued, and lose each other: all drawn from the seed, which is printed first. Each fault
must show that it bit. At the end all is healed, what is under way gets its time, and history_check gives the verdict;
should it not hold, history and logs are kept, and their place is printed.
"""

import argparse
import contextlib
import json
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import chronicle
import harness
import namespaces
import proxy

SUBJECTS = ["orders.eu.new", "orders.us.new", "orders.eu.old", "stock.a", "stock.b", "news", "telemetry.rack.cpu"]
# Of the two programs at each peer: one publishes and listens, one only listens.
BUSY_PATTERNS = ["orders.>", "stock.*"]
IDLE_PATTERNS = {"alpha": ["*.eu.new", "news"], "beta": ["telemetry.*.cpu", "orders.*.new", "orders.eu.>"],
                 "gamma": [">"], "delta": ["stock.a", "news"]}
# More than 2,000 a second in all, because who is killed, stopped or away publishes nothing.
RATES = {"alpha": 800, "beta": 800, "gamma": 800, "delta": 100}
DIRECT_EVERY = 50
SESSIONS_PER_PROGRAM = 100_000  # ids of actors

LINKED_SECONDS = 40
NOTICED_SECONDS = 12  # a silent peer is dead after 5.5 s
CALM_SECONDS = 4      # of load after the last fault: everybody hears of everybody again
AROUND_SECONDS = 20   # of a soak are before and after the faults
QUIET_SECONDS = 7     # after the load: marks and heartbeats come every 2 s


class Program:
    """One history_load."""

    count = 0

    def __init__(self, soak, peer, name, *arguments):
        Program.count += 1
        self.output = soak.dir / f"{name}.out"
        words = [str(harness.BIN.parent / "bench" / "history_load"), "--socket", peer.facts["app_socket"],
                 "--directory", str(soak.history), "--writer", name, "--drain-seconds", "60",
                 "--actor-base", str(Program.count * SESSIONS_PER_PROGRAM), *map(str, arguments)]
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdout=output, stderr=output)

    def sessions(self):
        return self.output.read_text().count("open ")

    def wait_open(self):
        harness.wait_for(self.sessions, 20, f"{self.output.stem} to open a session")

    def signal(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        code = self.process.wait(30)
        assert code == 0, f"{self.output.stem} ended with {code}: {self.output.read_text()[-500:]}"


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


class Soak:
    """The mesh, the load, the faults and their chronicle."""

    def __init__(self, seed):
        print(f"seed {seed}", flush=True)
        self.random = random.Random(seed)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="peermesh-soak."))
        self.history = self.dir / "history"
        self.history.mkdir()
        self.chronicle = chronicle.Chronicle(self.history, "soak")
        self.mesh = harness.Mesh()
        self.links = Links(["alpha", "beta", "gamma", "delta"])
        self.programs = {}
        self.faults = 0
        self.bites = {}  # kind -> how many
        self.begin = time.monotonic()
        self.load_seconds = 0.0
        self.good = False

    # --- Peers and load ---

    def launch(self, name):
        """Starts a peer, for the first time or again."""
        peer = self.mesh.peer(name)
        if peer.process is None:
            flags = self.links.flags(peer)
            if name == "alpha":
                if "listen" in flags:
                    flags["ca_listen"] = flags["listen"]
                self.mesh.start(name, log_level="info", **flags)
            else:
                self.mesh.start(name, join=self.mesh.token(name), log_level="info", **flags)
            self.links.started(peer)
        else:
            peer.launch()
        self.chronicle.started(peer.id, self.epoch(peer))
        return peer

    @staticmethod
    def epoch(peer):
        """Of the process that runs: it is in no answer, but stored before its first link."""
        with contextlib.closing(sqlite3.connect(f"file:{peer.dir}/state.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT last FROM epoch").fetchone()[0]

    def ended(self, peer, killed):
        self.chronicle.ended(peer.id, self.epoch(peer), killed)

    def load(self, name):
        """The two programs of a peer."""
        peer = self.mesh[name]
        target = self.mesh["beta" if name == "alpha" else "alpha"].id
        busy = [word for pattern in BUSY_PATTERNS for word in ("--subscribe", pattern)]
        busy += [word for subject in SUBJECTS for word in ("--publish", subject)]
        busy += ["--rate", RATES[name], "--target", target, "--direct-every", DIRECT_EVERY]
        idle = [word for pattern in IDLE_PATTERNS[name] for word in ("--subscribe", pattern)]
        for kind, arguments in (("busy", busy), ("idle", idle)):
            self.programs[f"{name}-{kind}"] = Program(self, peer, f"{name}-{kind}", *arguments)
        for kind in ("busy", "idle"):
            self.programs[f"{name}-{kind}"].wait_open()

    def start(self):
        for name in ("alpha", "beta", "gamma"):
            self.launch(name)
        self.mesh.wait_linked(LINKED_SECONDS)
        for name in ("alpha", "beta", "gamma"):
            self.load(name)

    def say(self, text):
        print(f"{time.monotonic() - self.begin:7.2f} s  {text}", flush=True)

    def pause(self, least, most):
        harness.let_pass(self.random.uniform(least, most))

    # --- Faults ---

    def fault(self, kind, what):
        """A name for this fault alone, written down as begun."""
        self.faults += 1
        name = f"fault {self.faults}: {kind} {what}"
        self.say(name)
        self.chronicle.fault_on(name)
        return name

    def bit(self, name, bit):
        kind = name.split()[2]
        self.bites[kind] = self.bites.get(kind, 0) + bool(bit)
        self.chronicle.fault_off(name, bit)
        if not bit:
            self.say(f"{name} did not bite")

    def kill(self, name):
        peer = self.mesh[name]
        fault = self.fault("kill", name)
        running = peer.running
        peer.kill()
        self.ended(peer, killed=True)
        self.bit(fault, running and peer.process.returncode == -signal.SIGKILL)
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
        self.bit(fault, stopped)

    def linked_pair(self, one, other):
        row = self.mesh[one].table().get(other)
        return row is not None and row.connection == harness.CONNECTED

    def part(self, *names):
        """Two lose each other, or one loses everybody."""
        others = [peer.name for peer in self.mesh.running() if peer.name != names[0]]
        watched = names[1] if len(names) == 2 else self.random.choice(others)
        harness.wait_for(lambda: self.linked_pair(names[0], watched), LINKED_SECONDS, "a link that can be cut")
        fault = self.fault("part", " and ".join(names) if len(names) == 2 else f"{names[0]} and all")
        self.links.part(*names)
        try:
            harness.wait_for(lambda: not self.linked_pair(names[0], watched), NOTICED_SECONDS, "a link to be down")
            seen_down = True
        except AssertionError:
            seen_down = False
        if self.random.random() < 0.3:
            self.kill(self.random.choice(names))
        self.pause(0, 3)
        self.links.join(*names)
        self.bit(fault, seen_down)

    def come_and_go(self):
        """Delta joins, or leaves in good order; now and then it is killed instead."""
        delta = self.mesh.all.get("delta")
        if delta is None or not delta.running:
            fault = self.fault("join", "delta")
            first = delta is None
            delta = self.launch("delta")
            self.bit(fault, harness.wait_for(lambda: self.linked_pair("alpha", "delta"), LINKED_SECONDS,
                                             "delta to be linked"))
            if first:
                self.load("delta")
            return
        fault = self.fault("leave", "delta")
        # What it still owes can be flushed only to whom it has a link.
        self.mesh.wait_linked(LINKED_SECONDS)
        code = delta.end()
        self.ended(delta, killed=False)
        self.bit(fault, code == 0)

    def restart(self, name):
        """In good order, as an upgrade does."""
        peer = self.mesh[name]
        fault = self.fault("restart", name)
        code = peer.end()
        self.ended(peer, killed=False)
        self.launch(name)
        self.bit(fault, code == 0)

    def trouble(self, seconds):
        """Faults drawn at random, each kind at least once, for so long."""
        end = time.monotonic() + seconds
        kinds = ["join", "kill", "stop", "part", "leave", "isolate"]
        coming = list(kinds)
        while time.monotonic() < end:
            kind = coming.pop(0) if coming else self.random.choice(["delta", "kill", "stop", "part", "isolate", "kill"])
            names = self.random.sample(["alpha", "beta", "gamma"], 2)
            if kind in ("join", "leave", "delta"):
                self.come_and_go()
            elif kind == "kill":
                self.kill(names[0])
            elif kind == "stop":
                self.stop(names[0])
            elif kind == "part":
                self.part(*names)
            else:
                self.part(names[0])
            self.pause(0.1, 2)

    # --- The end ---

    def finish(self):
        """Lets everything arrive and gives history_check's report."""
        delta = self.mesh.all.get("delta")
        if delta is not None and not delta.running:
            self.launch("delta")
        took = self.mesh.wait_linked(LINKED_SECONDS)
        self.say(f"whole again after {took:.2f} s")
        harness.let_pass(CALM_SECONDS)
        for program in self.programs.values():
            program.signal()
        self.load_seconds = time.monotonic() - self.begin
        harness.let_pass(QUIET_SECONDS)
        assert self.mesh.linked(), "the mesh did not stay whole"
        self.chronicle.quiet()
        self.chronicle.close()
        books = {(peer.name, self.epoch(peer)): self.books(peer) for peer in self.mesh.running()}
        for program in self.programs.values():
            program.signal()
        for program in self.programs.values():
            program.wait()
        return self.judge(books)

    @staticmethod
    def books(peer):
        """What a peer says it was given and handed on: (published, delivered). Asked for where the peer lives."""
        read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
        words = [*peer.prefix, "/usr/bin/python3", "-c", read, f"http://{peer.facts['metrics']}/metrics"]
        page = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
        return [float(re.search(rf'^peermesh_messages_total{{event="{event}"}} (\S+)$', page, re.MULTILINE)[1])
                for event in ("published", "delivered")]

    def judge(self, books):
        """What history_check says, as it prints it and taken apart. The books of the peers must agree with it."""
        begin = time.monotonic()
        words = [str(harness.BIN.parent / "bench" / "history_check"), str(self.history)]
        done = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=300)
        harness.figure("soak_check_seconds", time.monotonic() - begin, "s")
        assert done.returncode in (0, 1, 3), done.stderr
        report = json.loads(done.stdout)
        wrong = self.disagreements(report, books)
        self.good = done.returncode == 0 and not wrong
        print(subprocess.run(words, capture_output=True, text=True, timeout=300).stdout, flush=True)
        harness.figure("soak_messages", report["messages"], "count")
        harness.figure("soak_messages_per_second", report["messages"] / self.load_seconds, "1/s")
        harness.figure("soak_records", report["records"], "count")
        harness.figure("soak_unlinked", report["total"]["unlinked"], "count")
        harness.figure("soak_unlinked_longest", report["unlinkedLongestSeconds"], "s")
        harness.figure("soak_unexplained", report["total"]["unexplained"], "count", "0")
        for kind, count in sorted(self.bites.items()):
            harness.figure(f"soak_{kind}_bit", count, "count")
        assert not wrong, f"metrics and history disagree: {wrong}"
        return report

    @staticmethod
    def disagreements(report, books):
        """Between the metrics of the processes that still run and the history: nobody but our programs talked to them."""
        wrong = []
        for row in report["processes"]:
            if (row["peer"], row["epoch"]) not in books:
                continue
            published, delivered = books.pop((row["peer"], row["epoch"]))
            if not row["accepted"] <= published <= row["accepted"] + row["unanswered"]:
                wrong.append((row, "published", published))
            if delivered != row["delivered"]:
                wrong.append((row, "delivered", delivered))
        return wrong + [(key, "not in the history") for key in books]

    def keep(self):
        """After a failure: all that can explain it stays."""
        for log in self.mesh.dir.glob("*.log"):
            shutil.copy(log, self.dir)
        print(f"history and logs are kept in {self.dir}", flush=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        keep = not self.good
        if keep:
            self.keep()
        for program in self.programs.values():
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait(10)
        self.mesh.close()
        self.links.close()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def run(minutes, seed):
    """A whole soak: history_check's report."""
    with Soak(seed) as soak:
        soak.start()
        soak.trouble(minutes * 60 - AROUND_SECONDS)
        return soak.finish()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    print("CTEST_FULL_OUTPUT")
    report = run(options.minutes, time.time_ns() % 1_000_000 if options.seed is None else options.seed)
    sys.exit({"holds": 0, "violated": 1}.get(report["verdict"], 3))


if __name__ == "__main__":
    main()
