"""A mesh of real peers under load, the chronicle of what was done to it, and the verdict on its history.

    with trial.Trial("soak", seed=42) as run:
        run.launch("alpha"); run.launch("beta")
        run.load("alpha", "busy", publish=["a.b"], subscribe=["a.*"], rate=200)
        run.kill("beta"); run.launch("beta")
        report = run.finish()                        # history_check's, in full
    sys.exit(trial.EXIT_CODES[report["verdict"]])

Programs outside the mesh (history_load) publish and subscribe, and write down what they did and saw. The metrics of a
process are written down, too: before it is ended, and in the end, so that the checker can hold one against the other.
Should the verdict not be that all holds, histories, logs and data directories are kept, and their place is printed.
"""

import contextlib
import json
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import chronicle
import harness

EXIT_CODES = {"holds": 0, "violated": 1, "inconclusive": 3}
SESSIONS_PER_PROGRAM = 100_000  # ids of actors
LINKED_SECONDS = 40
CALM_SECONDS = 4   # of load after the last fault: everybody hears of everybody again
QUIET_SECONDS = 7  # after the load: marks and heartbeats come every 2 s


class Program:
    """One history_load."""

    def __init__(self, name, number, directory, history, *arguments):
        self.output = directory / f"{name}.out"
        words = [str(harness.BIN.parent / "bench" / "history_load"), "--directory", str(history), "--writer", name,
                 "--actor-base", str((number + 1) * SESSIONS_PER_PROGRAM), *map(str, arguments)]
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

    def end(self):
        """Whatever it does: it writes down what it has, or is killed."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Trial:
    """The mesh, the load, the faults and their chronicle."""

    def __init__(self, label, seed, *, calm=CALM_SECONDS, quiet=QUIET_SECONDS):
        print(f"seed {seed}", flush=True)
        self.label = label  # of figures
        self.random = random.Random(seed)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"peermesh-{label}."))
        self.history = self.dir / "history"
        self.history.mkdir()
        self.chronicle = chronicle.Chronicle(self.history, "trial")
        self.mesh = harness.Mesh(self.dir / "peers")
        self.programs = {}
        self.faults = 0
        self.bites = {}  # kind -> how many
        self.begin = time.monotonic()
        self.load_seconds = 0.0
        self.good = False
        self._calm, self._quiet = calm, quiet

    # --- Peers ---

    def first_flags(self, peer):
        """For subclasses: flags for the first start of a peer."""
        return {}

    def launch(self, name):
        """Starts a peer, for the first time or again."""
        peer = self.mesh.peer(name)
        if peer.process is not None:
            peer.launch()
        else:
            self.mesh.add(name, log_level="info", **self.first_flags(peer))
        self.chronicle.started(peer.id, self.epoch(peer))
        return peer

    @staticmethod
    def epoch(peer):
        """Of the process that runs: it is in no answer, but stored before its first link."""
        with contextlib.closing(sqlite3.connect(f"file:{peer.dir}/state.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT last FROM epoch").fetchone()[0]

    def books(self, peer):
        """Writes down what the metrics of a peer say."""
        at = time.monotonic_ns()
        self.chronicle.books(peer.id, self.epoch(peer), at, peer.metrics())

    def kill(self, name):
        """SIGKILL. Whether that is what ended it."""
        peer = self.mesh[name]
        self.books(peer)
        running = peer.running
        peer.kill()
        self.chronicle.ended(peer.id, self.epoch(peer), killed=True)
        return running and peer.process.returncode == -signal.SIGKILL

    def end(self, name):
        """In good order, as an upgrade does. Whether it was."""
        peer = self.mesh[name]
        self.books(peer)
        code = peer.end()
        self.chronicle.ended(peer.id, self.epoch(peer), killed=False)
        return code == 0

    # --- Load ---

    def load(self, name, kind, *, subscribe, publish=(), rate=0, target="", direct_every=0):
        """A program of a peer; wait_open() it."""
        words = ["--socket", self.mesh[name].facts["app_socket"], "--drain-seconds", 60]
        words += [word for pattern in subscribe for word in ("--subscribe", pattern)]
        words += [word for subject in publish for word in ("--publish", subject)]
        words += ["--rate", rate] if rate else []
        words += ["--target", self.mesh[target].id, "--direct-every", direct_every] if target else []
        program = Program(f"{name}-{kind}", len(self.programs), self.dir, self.history, *words)
        self.programs[f"{name}-{kind}"] = program
        return program

    # --- Faults ---

    def say(self, text):
        print(f"{time.monotonic() - self.begin:7.2f} s  {text}", flush=True)

    def pause(self, least, most):
        harness.let_pass(self.random.uniform(least, most))

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

    # --- The end ---

    def finish(self):
        """Lets everything arrive and gives history_check's report."""
        for peer in self.mesh.all.values():
            assert peer.running, f"{peer.name} ended by itself ({peer.process.returncode}):\n{peer.tail()}"
        took = self.mesh.wait_linked(LINKED_SECONDS)
        self.say(f"whole again after {took:.2f} s")
        harness.let_pass(self._calm)
        for program in self.programs.values():
            program.signal()
        self.load_seconds = time.monotonic() - self.begin
        harness.let_pass(self._quiet)
        assert self.mesh.linked(list(self.mesh.all.values())), "the mesh did not stay whole"
        self.chronicle.quiet()
        alive = {(peer.name, self.epoch(peer)) for peer in self.mesh.running()}
        for peer in self.mesh.running():
            self.books(peer)
        self.chronicle.close()
        for program in self.programs.values():
            program.signal()
        for program in self.programs.values():
            program.wait()
        return self._judge(alive)

    def _judge(self, alive):
        """What history_check says, as it prints it and taken apart."""
        begin = time.monotonic()
        words = [str(harness.BIN.parent / "bench" / "history_check"), str(self.history)]
        done = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=300)
        self.figure("check_seconds", time.monotonic() - begin, "s")
        assert done.returncode in EXIT_CODES.values(), done.stderr
        (self.dir / "report.json").write_text(done.stdout)
        report = json.loads(done.stdout)
        assert done.returncode == EXIT_CODES[report["verdict"]]
        # A peer whose applications left no trace was not checked at all.
        seen = {(row["peer"], row["epoch"]) for row in report["processes"] if row["books"]}
        assert report["verdict"] != "holds" or len(seen) >= len(alive), f"{alive} and {seen}"
        self.good = report["verdict"] == "holds"
        print(subprocess.run(words, capture_output=True, text=True, timeout=300).stdout, flush=True)
        self.print_figures(report)
        return report

    def figure(self, name, value, unit, required=""):
        harness.figure(f"{self.label}_{name}", value, unit, required)

    def print_figures(self, report):
        self.figure("messages", report["messages"], "count")
        self.figure("messages_per_second", report["messages"] / self.load_seconds, "1/s")
        self.figure("records", report["records"], "count")
        self.figure("gaps_announced", report["gaps"], "count")
        self.figure("gap_numbers", report["gapNumbers"], "count")
        self.figure("unlinked", report["total"]["unlinked"], "count")
        self.figure("unlinked_longest", report["unlinkedLongestSeconds"], "s")
        self.figure("counters_compared", sum(row["books"] for row in report["processes"]), "count")
        self.figure("unexplained", report["total"]["unexplained"], "count", "0")
        for kind, count in sorted(self.bites.items()):
            self.figure(f"{kind}_bit", count, "count")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for _ in range(2):  # no more messages; no more waiting for any
            for program in self.programs.values():
                program.signal()
            harness.let_pass(0.1)
        for program in self.programs.values():
            program.end()
        self.chronicle.close()
        self.mesh.kept = not self.good
        self.mesh.close()
        if self.good:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"history, logs and data directories are kept in {self.dir}", flush=True)
