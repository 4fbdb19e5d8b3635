"""Ten minutes of applications and peers that are killed, and the proof that nothing of them stayed behind.

    leak_soak.py [--minutes N] [--seed N]

Three peers. Applications on the C++ library and on plain Python stubs, over mutual TLS and over the unix socket, come to
them, publish and subscribe, and are killed, terminated, closed or stopped for a while, some before they are served. The
peers are killed with SIGKILL and started again from their data directories; some are ended in good order under load. All is
drawn from the seed, which is printed first. Then everybody goes, and all of this must hold:

* the ledger of no peer has, or ever had, a verdict of any tier. A verdict is what two sweeps saw (design: "needs two
  sweeps"): confirmed, or cleared later. What one sweep suspected is printed as a figure. Every life is judged before it is
  ended, by report, metrics and log. The rules of hours (kernel_excess, cohort, littles_law) cannot speak so early; that is
  why descriptors and threads are counted from outside;
* descriptors by what they are and live resources by kind are exactly what they were before. Sums over the mesh, because who
  dialled whom is decided anew by every restart. Threads of each peer are the same by name, but for a few of gRPC's own;
* each peer ends with exit code 0 and leaves no residue. Built with AddressSanitizer, LeakSanitizer says so, too, and has
  to show that it looked.

The exit code is 0 if all holds, 1 if not, 3 if too little happened to prove anything. Unless it is 0, logs are kept.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import signal
import sys
import time

import harness
import holdings
import leak_books
import trial
import visitors

PEERS = ["alpha", "beta", "gamma"]
# Who is at each peer at any time; how it comes, by TLS or by the socket, is drawn.
KINDS = ["session", "sub", "subscribe", "exchange"]
WARM_SECONDS = 3
SPARED_SECONDS = 180    # of a long run; the longest contract is 145 s, of calls
LIFE_SECONDS = 8        # a peer is not killed before: its ledger has swept three times
BASELINE_SECONDS = 40
LAST_SWEEPS = 6         # 12 s: an orphan is one after 5, and needs two more
CHECKED = "Processing thread {}."  # what LeakSanitizer logs with log_threads=1
SWEEPS = "peermesh_ledger_sweeps_total"
# At least so many a minute, or the run proves nothing.
AT_LEAST = {"cpp_kill": 8, "cpp_early_kill": 1, "cpp_terminate": 2, "cpp_close": 2, "cpp_stop": 2, "cpp_delivered": 2000,
            "python_kill": 8, "python_early_kill": 1, "python_terminate": 2, "python_close": 2, "python_stop": 2,
            "python_delivered": 2000, "by_tls": 12, "by_unix_socket": 12, "peer_kill": 3, "peer_restart": 3}
SUPPRESSIONS = pathlib.Path(__file__).parents[1] / "lsan.supp"


def built_with_address_sanitizer(program):
    return b"__asan_init" in pathlib.Path(program).read_bytes()


class LeakSoak:
    """The mesh, its visitors, what is done to them, and the judgement."""

    def __init__(self, seed, programs=None, baseline_seconds=BASELINE_SECONDS):
        print(f"seed {seed}", flush=True)
        self.random = random.Random(seed)
        self.mesh = harness.Mesh()
        self.dir = self.mesh.dir / "visitors"
        self.dir.mkdir()
        self.books, self.memory = leak_books.Books(), leak_books.Memory()
        self.counts = collections.Counter()
        self.violations, self.doubts = [], []
        # Of peers, ends in good order and those that LeakSanitizer checked; of applications, the latter.
        self.exits = {"asked": 0, "looked": 0, "applications": 0}
        self.begin = time.monotonic()
        self.minutes, self.long = 0.0, False  # of trouble
        self._baseline_seconds = baseline_seconds
        for name in PEERS:
            peer = self.mesh.peer(name)
            peer.program = pathlib.Path((programs or {}).get(name, peer.program))
        self.asan = built_with_address_sanitizer(self.mesh["beta"].program)
        if self.asan:  # it tells of every thread that it looks at
            options = os.environ.get("LSAN_OPTIONS") or f"suppressions={SUPPRESSIONS}:print_suppressions=0"
            os.environ["LSAN_OPTIONS"] = options + ":log_threads=1"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for place in getattr(self, "places", []):
            if place.visitor is not None:
                place.visitor.remove()
        self.mesh.kept |= kind is not None or bool(self.violations or self.doubts)
        if kind is not None:
            self.mesh.print_logs()
        self.mesh.close()

    def say(self, text):
        print(f"{time.monotonic() - self.begin:7.2f} s  {text}", flush=True)

    def count(self, what, more=1):
        self.counts[what] += more

    # --- Peers ---

    def launch(self, name):
        peer = self.mesh.peer(name)
        if peer.process is None:
            self.mesh.add(name, log_level="info")
        else:
            peer.launch()
        peer.born = time.monotonic()

    def kill(self, name):
        """SIGKILL, when its ledger was read."""
        peer = self.mesh[name]
        self.books.last_look(peer)
        peer.kill()
        self.books.read_log(peer)
        return peer.process.returncode == -signal.SIGKILL

    def end(self, name):
        """SIGTERM. LeakSanitizer looks, if it is there."""
        peer = self.mesh[name]
        self.books.last_look(peer)
        size = peer.log.stat().st_size
        peer.close_channels()
        code = peer.end(seconds=60)
        self.exits["asked"] += 1
        self.books.read_log(peer)
        rest = peer.log.read_bytes()[size:].decode(errors="replace")
        self.exits["looked"] += CHECKED.format(peer.pid) in rest
        if code != 0:
            self.violations.append(f"{name} ended with {code}:\n{peer.tail()}")

    def check_running(self):
        for peer in self.mesh.all.values():
            assert peer.running, f"{peer.name} ended by itself ({peer.process.returncode}):\n{peer.tail()}"

    def left(self, visitor):
        """An application that was asked to leave has left."""
        self.exits["applications"] += CHECKED.format(visitor.process.pid) in visitor.text()

    # --- What is held ---

    def quiet(self):
        """Whether nobody is being served and nothing is under way, as far as the peers say."""
        return self.mesh.linked() and all(
            peer.metric("peermesh_sessions") == 0 and peer.metric("peermesh_resource_live", kind="subscription") == 0
            for peer in self.mesh.all.values())

    def close_channels(self):
        for peer in self.mesh.all.values():
            peer.close_channels()

    def take_baseline(self):
        """When it is the same for three looks in a row, a second apart."""
        self.mesh.wait_linked(trial.LINKED_SECONDS)
        harness.wait_for(self.quiet, BASELINE_SECONDS, "the first visitors to be gone")
        self.close_channels()
        looks = []

        def settled():
            harness.let_pass(1)
            looks.append(holdings.Holdings(self.mesh))
            return len(looks) >= 3 and looks[-1].held == looks[-2].held == looks[-3].held

        harness.wait_for(settled, BASELINE_SECONDS, "what is held to settle")
        self.baseline = looks[-1]

    def check_baseline(self):
        self.close_channels()

        def restored():
            self.after = holdings.Holdings(self.mesh)
            return not self.after.differences(self.baseline)

        with contextlib.suppress(AssertionError):
            harness.wait_for(restored, self._baseline_seconds, "the baseline")
        self.violations += [f"not at the baseline: {text}" for text in self.after.differences(self.baseline)]

    # --- Phases ---

    def start(self):
        """The mesh, warm: every peer has been killed once, every kind of visitor has been there."""
        for name in PEERS:
            self.launch(name)
        self.mesh.wait_linked(trial.LINKED_SECONDS)
        self.identity = self.mesh.client("visitor")
        for name in PEERS:
            self.mesh[name].kill()
            self.launch(name)
        self.mesh.wait_linked(trial.LINKED_SECONDS)
        self.places = [visitors.Place(self, self.mesh[name], kind) for name in PEERS for kind in KINDS]
        self.serve(WARM_SECONDS)
        self.send_away()
        self.take_baseline()
        self.counts.clear()
        for peer in self.mesh.all.values():
            self.memory.note(peer)
        self.say(f"baseline: {self.baseline.descriptors()} descriptors, {self.baseline.thread_count()} threads")

    def serve(self, seconds):
        """Visitors come and go for so long."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for place in self.places:
                place.step(now)
            harness.let_pass(0.02)

    def send_away(self):
        """Everybody goes, and nobody comes."""
        for place in self.places:
            place.send_away(time.monotonic())

        def empty():
            for place in self.places:
                if place.visitor is not None:
                    place.step(time.monotonic())
            return all(place.visitor is None for place in self.places)

        harness.wait_for(empty, visitors.LEAVE_SECONDS + 10, "visitors to leave")

    def trouble(self, seconds):
        """Visitors come and go, peers are killed: every one of them, and in an order that is drawn. In a long run each is
        spared for a while, so that contracts of minutes are judged, too."""
        begin = time.monotonic()
        end = begin + seconds
        coming = []
        self.long = seconds >= len(PEERS) * SPARED_SECONDS
        while time.monotonic() < end:
            self.serve(min(self.random.uniform(2, 8), end - time.monotonic()))
            spared = int((time.monotonic() - begin) // SPARED_SECONDS) % len(PEERS) if self.long else None
            coming = [name for name in coming if spared is None or name != PEERS[spared]]
            coming = coming or [name for name in self.random.sample(PEERS, len(PEERS))
                                if spared is None or name != PEERS[spared]]
            self.check_running()
            for peer in self.mesh.all.values():
                self.books.look(peer)
                self.memory.note(peer)
            peer = self.mesh[coming[0]]
            if time.monotonic() + 4 > end or time.monotonic() - peer.born < LIFE_SECONDS:
                continue
            coming.pop(0)
            if self.counts["peer_kill"] >= 3 and self.random.random() < 0.25:
                self.say(f"end {peer.name}")
                self.end(peer.name)
                self.count("peer_end")
            else:
                self.say(f"kill {peer.name}")
                self.count("peer_kill", self.kill(peer.name))
            self.serve(self.random.uniform(0, 3))
            self.launch(peer.name)
            self.count("peer_restart")
        self.minutes += seconds / 60

    def finish(self):
        """Everybody goes; the judgement."""
        self.send_away()
        self.check_running()
        took = self.mesh.wait_linked(trial.LINKED_SECONDS)
        self.say(f"everybody is gone, and the mesh whole after {took:.2f} s")
        harness.wait_for(self.quiet, BASELINE_SECONDS, "the last sessions to go")
        self.check_baseline()
        goals = {peer: peer.metric(SWEEPS) + LAST_SWEEPS for peer in self.mesh.all.values()}
        harness.wait_for(lambda: all(peer.metric(SWEEPS) >= goal for peer, goal in goals.items()), 60, "the last sweeps")
        for peer in self.mesh.all.values():
            self.memory.note(peer)
        for name in reversed(PEERS):
            self.end(name)
        return self.judge()

    # --- The judgement ---

    def judge(self):
        self.violations += [f"verdict: {text}" for text in self.books.verdicts]
        share = 0.3 if harness.SANITIZED else 1  # of what a machine can do
        for what, least in AT_LEAST.items():
            if self.counts[what] < least * self.minutes * share:
                self.doubts.append(f"only {self.counts[what]} of {what}, {least * self.minutes * share:.0f} wanted")
        if self.books.judged < self.books.lives:
            self.doubts.append(f"only {self.books.judged} of {self.books.lives} lives had two sweeps")
        if self.long and min(self.books.longest.values()) < 0.85 * SPARED_SECONDS:
            self.doubts.append(f"no life of some was long enough: {self.books.longest}")
        self.judge_memory_checker()
        self.print_figures()
        for text in self.violations:
            print(f"VIOLATION {text}", flush=True)
        for text in self.doubts:
            print(f"INCONCLUSIVE: {text}", flush=True)
        verdict = "violated" if self.violations else "inconclusive" if self.doubts else "holds"
        print(f"leak soak {verdict}", flush=True)
        return {"verdict": verdict, "violations": self.violations, "doubts": self.doubts, "counts": dict(self.counts)}

    def judge_memory_checker(self):
        """What LeakSanitizer says; leaks themselves make the exit code, and the harness reads the logs."""
        if not self.asan:
            print("LeakSanitizer: not in this build (tests/run --asan runs it)", flush=True)
            return
        found = [line for peer in self.mesh.all.values() for line in peer.sanitizer_findings()]
        self.violations += found
        asked, looked, applications = self.exits.values()
        if looked < asked or applications == 0:
            self.doubts.append(f"LeakSanitizer checked {looked} of {asked} exits of peers, {applications} of applications")
        print(f"LeakSanitizer: checked {looked + applications} exits, {len(found)} leaks; {looked} of peers", flush=True)

    def print_figures(self):
        def figure(name, value, unit, required=""):
            harness.figure(f"leak_soak_{name}", value, unit, required)

        figure("minutes", self.minutes, "min")
        for what, count in sorted(self.counts.items()):
            figure(what, count, "count", f"at least {AT_LEAST[what]} a minute" if what in AT_LEAST else "")
        figure("peer_lives", self.books.lives, "count")
        figure("sweeps", self.books.sweeps, "count")
        figure("verdicts", len(self.books.verdicts), "count", "0")
        figure("suspicions", len(self.books.suspicions), "count")
        figure("descriptors_before", self.baseline.descriptors(), "count")
        figure("descriptors_after", self.after.descriptors(), "count", "the same")
        for name, before in self.baseline.threads.items():
            after = self.after.threads[name]
            figure(f"threads_{name}_before", before.ours.total(), "count")
            figure(f"threads_{name}_after", after.ours.total(), "count", "the same")
            figure(f"grpc_threads_{name}_before", before.grpc, "count")
            figure(f"grpc_threads_{name}_after", after.grpc, "count", f"at most {before.grpc + holdings.THREADS_MORE}")
        for name, longest in self.books.longest.items():
            figure(f"longest_life_{name}", longest, "s", f"at least {0.85 * SPARED_SECONDS:g}" if self.long else "")
        seconds, resident, heap = self.memory.longest()
        figure("watched_life", seconds, "s")
        figure("watched_life_resident_slope", resident, "kB/min")
        figure("watched_life_heap_slope", heap, "kB/min")


def run(minutes, seed):
    """A whole soak: its report."""
    with LeakSoak(seed) as soak:
        soak.start()
        soak.trouble(minutes * 60)
        return soak.finish()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    print("CTEST_FULL_OUTPUT")
    seed = time.time_ns() % 1_000_000 if options.seed is None else options.seed
    sys.exit(trial.EXIT_CODES[run(options.minutes, seed)["verdict"]])


if __name__ == "__main__":
    main()
