"""Applications in two languages that come to a peer and go in every way a process can.

    visitor = visitors.Visitor("session", peer, identity, directory)  # identity None: by the unix socket
    harness.wait_for(visitor.opened, ...)
    visitor.kill()                                                    # or terminate, close, stop and resume
    visitor.delivered()                                               # how many messages reached it

A Place always has one, and draws when it comes and how it goes.

Each is a process of its own, on the C++ library (history_load, the command line) or on plain stubs (visitor_stub.py).
"""

import pathlib
import signal
import subprocess
import time

import chronicle
import harness

LANGUAGES = {"session": "cpp", "sub": "cpp", "pub": "cpp", "subscribe": "python", "exchange": "python"}
RATE = 20  # messages a second that each publishes
PATTERN = "visit.>"
LOST = 9  # exit code of a stub that lost its peer
DELIVER = 30  # Event::kDeliver of tests/history/record.h
ENDINGS = ["kill", "kill", "terminate", "close", "stop"]
LONG_STOP_SECONDS = 33  # a peer cuts the connection: its keepalive asks after 20 s and waits 10 for the answer
LEAVE_SECONDS = 20
STUB = pathlib.Path(__file__).with_name("visitor_stub.py")
# Exit codes of those that are asked to leave. The command line ends with 128 + N, and `sub` with 0 after SIGTERM; `pub`,
# which never says that it is served, may still be starting, or have lost its connection while it was stopped.
ASKED = {"session": {0}, "sub": {0, 130, 143}, "subscribe": {0, -signal.SIGTERM}, "exchange": {0, -signal.SIGTERM},
         "pub": {0, 1, 3, 7, 130, 143, -signal.SIGINT, -signal.SIGTERM}}


class Visitor:
    """One process, from its start to its end."""

    numbers = iter(range(1, 1 << 30))

    def __init__(self, kind, peer, identity, directory):
        self.kind, self.peer, self.language = kind, peer, LANGUAGES[kind]
        self.name = f"{kind}{next(self.numbers)}"
        self.directory = directory
        self.output = directory / f"{self.name}.out"
        self.sent = set()  # signals that may have ended it
        self.asked = False
        self._life = peer.pid
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self._words(identity)],
                                            stdin=subprocess.PIPE, stdout=output, stderr=output)

    def _words(self, identity):
        where = (["--socket", self.peer.facts["app_socket"]] if identity is None else
                 ["--address", self.peer.facts["listen"], "--identity", str(identity)])
        subject = f"visit.{self.language}.{self.kind}"
        if self.kind == "session":
            number = int(self.name.removeprefix(self.kind))
            return [str(harness.BIN.parent / "bench" / "history_load"), *where, "--directory", str(self.directory),
                    "--writer", self.name, "--actor-base", str(number * 1000), "--rate", str(RATE), "--publish", subject,
                    "--subscribe", PATTERN, "--drain-seconds", "1"]
        peermesh = [str(harness.BIN / "peermesh"), *where]
        if self.kind == "sub":
            return [*peermesh, "--json", "sub", PATTERN]
        if self.kind == "pub":
            return [*peermesh, "pub", subject, "from the command line", "--count", "1000000", "--rate", str(RATE)]
        return ["/usr/bin/python3", "-B", str(STUB), self.kind, *where, "--publish", subject, "--pattern", PATTERN,
                "--rate", str(RATE)]

    @property
    def running(self):
        return self.process.poll() is None

    def opened(self):
        """Whether it is being served; of one that only publishes, whether it is not the launcher any more."""
        if self.kind == "pub":
            return self.running and self._state("comm") == "peermesh"
        return {"session": "open ", "sub": "Subscribed.\n"}.get(self.kind, "open\n") in self.text()

    def text(self):
        return self.output.read_text(errors="replace")

    def _state(self, file):
        return pathlib.Path(f"/proc/{self.process.pid}/{file}").read_text().strip()

    # Ways to go. SIGINT and SIGTERM make C++ programs leave in good order, SIGTERM ends Python at once.

    def _signal(self, number):
        self.sent.add(-number)
        self.process.send_signal(number)

    def kill(self):
        """Whether that is what ended it."""
        self._signal(signal.SIGKILL)
        return self.process.wait(10) == -signal.SIGKILL

    def terminate(self):
        self.asked = True
        self._signal(signal.SIGTERM)

    def close(self):
        self.asked = True
        if self.language == "python":
            self.process.stdin.close()
        else:
            self._signal(signal.SIGINT)

    def stop(self):
        """Whether it stands still."""
        self._signal(signal.SIGSTOP)

        def still():
            return not self.running or self._state("stat").rpartition(")")[2].split()[0] == "T"

        return harness.wait_for(still, 5, f"{self.name} to stop") and self.running

    def resume(self):
        self._signal(signal.SIGCONT)

    # What became of it.

    def life_ended(self):
        """Whether the process that it came to is no more."""
        return not self.peer.running or self.peer.pid != self._life

    def fault(self):
        """What was wrong with the way it ended; empty if nothing was."""
        code = self.process.returncode
        if code < 0 and code not in self.sent or self.language == "python" and code > 0 and code != LOST:
            return f"{self.name} failed, exit code {code}: {self.text()[-2000:]}"
        if "Sanitizer: " in (text := self.text()):
            return f"a sanitizer found something in {self.name}:\n{text[-3000:]}"
        # Who loses its peer meanwhile may say so.
        if self.asked and not self.life_ended() and code not in ASKED[self.kind]:
            return f"{self.name} was asked to leave and ended with {code}: {text[-500:]}"
        return ""

    def delivered(self):
        if self.kind == "session":
            file, size = self.directory / f"{self.name}.history", chronicle.RECORD.size
            data = file.read_bytes() if file.exists() else b""
            records = chronicle.RECORD.iter_unpack(data[:len(data) // size * size])
            return sum(record[3] == DELIVER for record in records)
        lines = self.text().splitlines()
        if self.kind == "sub":
            return sum(line.startswith("{") for line in lines)
        return max((int(line) for line in lines if line.isdigit()), default=0)

    def remove(self):
        """Ends it, if it is not, and forgets its files."""
        if self.running:
            self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        for place in (self.output, self.directory / f"{self.name}.history"):
            place.unlink(missing_ok=True)


class Place:
    """One application at one peer; another comes when it is gone."""

    def __init__(self, soak, peer, kind):
        self.soak, self.random, self.peer, self.kind = soak, soak.random, peer, kind
        self.visitor, self.phase, self.at, self.ending = None, "away", 0.0, ""

    def step(self, now):
        """What is due now."""
        if self.visitor is None:
            if now >= self.at and self.peer.running:
                self._come(now)
        elif not self.visitor.running:
            self._gone()
        elif self.phase == "opening" and self.visitor.opened():
            self.phase, self.at = "living", now + self.random.uniform(0.3, 6)
        elif self.phase == "leaving" and now > self.at:
            self.soak.violations.append(f"{self.visitor.name} does not leave: {self.visitor.text()[-500:]}")
            self._end_now("refuse_to_leave")
        elif self.phase in ("living", "early") and now >= self.at:
            self._depart(now)
        elif self.phase == "stopped" and now >= self.at:
            if self.random.random() < 0.5:
                self._end_now("kill")
            else:
                self.visitor.resume()
                self.count("resume")
                self.phase, self.at = "living", now + self.random.uniform(0.3, 3)

    def _come(self, now):
        kind = "pub" if self.kind == "sub" and self.random.random() < 0.4 else self.kind
        identity = self.soak.identity if self.random.random() < 0.6 else None
        self.visitor = Visitor(kind, self.peer, identity, self.soak.dir)
        self.soak.count("by_unix_socket" if identity is None else "by_tls")
        self.phase, self.at = "opening", 0.0
        if self.random.random() < 0.15:  # it goes before it has come
            self.phase, self.at = "early", now + self.random.uniform(0, 0.6)

    def _depart(self, now):
        ending = "kill" if self.phase == "early" else self.random.choice(ENDINGS)
        if ending == "kill":
            self._end_now("kill")
        elif ending == "stop":
            if self.visitor.stop():
                self.count("stop")
                long = self.random.random() < 0.2
                self.phase, self.at = "stopped", now + (LONG_STOP_SECONDS if long else self.random.uniform(0.3, 6))
        else:
            (self.visitor.terminate if ending == "terminate" else self.visitor.close)()
            self.phase, self.at, self.ending = "leaving", now + LEAVE_SECONDS, ending

    def _end_now(self, how):
        if self.visitor.kill():
            self.count("early_" + how if self.phase == "early" else how)
        self.phase = "ended"
        self._gone()

    def count(self, what, more=1):
        self.soak.count(f"{self.visitor.language}_{what}", more)

    def _gone(self):
        if self.phase == "leaving":
            self.count(self.ending)
            self.soak.left(self.visitor)
        elif self.phase != "ended":
            self._left_by_itself()
        if fault := self.visitor.fault():
            self.soak.violations.append(fault)
        self.count("delivered", self.visitor.delivered())
        self.visitor.remove()
        self.visitor, self.phase, self.at = None, "away", time.monotonic() + self.random.uniform(0, 0.5)

    def _left_by_itself(self):
        if self.visitor.life_ended():
            self.count("lost_its_peer")
        elif -signal.SIGSTOP in self.visitor.sent:
            self.count("cut_while_it_was_stopped")
        else:
            self.count("left_by_itself")
            self.soak.say(f"{self.visitor.name} at {self.peer.name} left by itself, {self.phase}: "
                          f"{self.visitor.text()[-300:]!r}")

    def send_away(self, now):
        """At the end: half of those that are served are closed, and all others killed."""
        if self.visitor is None or self.phase == "leaving":
            return
        if self.phase != "living" or self.random.random() < 0.5:
            self._end_now("kill")
        else:
            self.visitor.close()
            self.phase, self.at, self.ending = "leaving", now + LEAVE_SECONDS, "close"
