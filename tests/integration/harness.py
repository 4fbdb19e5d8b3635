"""Real daemons in real processes: what the integration tests share.

    with harness.Mesh() as mesh:
        alpha = mesh.start("alpha")                       # makes the mesh and its CA
        beta = mesh.start("beta", join=mesh.token("beta"))
        mesh.wait_linked()

A Mesh lives in a temporary directory, binds every port at 0, keeps every log and ends what it started and only
that. Nothing waits for a fixed time: wait_for() polls a condition and says what it waited for. When a test fails,
the last lines of every log are printed, and all logs and data directories are kept: the place is printed, too.

A test file ends with harness.main(); see there for what it prints.
"""

import collections
import contextlib
import json
import os
import pathlib
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

try:
    import grpc
except ImportError:
    print("SKIP: python3-grpcio is not installed (deploy/install-deps test)")
    sys.exit(77)

from google.rpc import error_details_pb2, status_pb2
from peermesh.ca.v1 import ca_pb2_grpc
from peermesh.v1 import admin_pb2, admin_pb2_grpc, messaging_pb2, messaging_pb2_grpc, peers_pb2, peers_pb2_grpc

BIN = pathlib.Path(os.environ["PEERMESH_BIN"])
SANITIZED = os.environ.get("PEERMESH_SANITIZE", "OFF").upper() in ("ON", "1", "TRUE")  # memory and speed mean nothing
START_SECONDS = 15  # a start takes a fraction of one; a loaded machine may need more
LOG_LINES = 25
MAX_MESSAGE_BYTES = 8 << 20

ALIVE, SUSPECT, DEAD, LEFT, UNREACHABLE = (
    peers_pb2.PEER_STATE_ALIVE, peers_pb2.PEER_STATE_SUSPECT, peers_pb2.PEER_STATE_DEAD, peers_pb2.PEER_STATE_LEFT,
    peers_pb2.PEER_STATE_UNREACHABLE)
CONNECTED = peers_pb2.CONNECTION_STATE_CONNECTED


def figure(name, value, unit, required=""):
    """Prints a measured figure in the one form that notes quote."""
    print(f"FIGURE {name} {value:.4g} {unit}" + (f" (required {required})" if required else ""), flush=True)


def wait_for(condition, seconds, what):
    """Polls until `condition` is true and returns what it returned; raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up after {seconds} s waiting for {what}")
        pause.wait(0.01)


def bare_environment():
    """Where programs are and what sanitizers are told: all that a program of ours is to find in its environment."""
    return {name: value for name, value in os.environ.items() if name == "PATH" or name.endswith("SAN_OPTIONS")}


def let_pass(seconds):
    """For measurements over a span of time, never for synchronisation."""
    begin = time.monotonic()
    wait_for(lambda: time.monotonic() - begin >= seconds, seconds + 5, "time to pass")


def find_tool(name, unpacked):
    """A program on PATH, or in a package that deploy/install-deps has unpacked; None if there is none."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return shutil.which(name) or shutil.which(name, path=f"{cache}/peermesh/tools/{unpacked}")


# --- Errors -----------------------------------------------------------------------------------------------------


class Refusal:
    """What a failed call says, taken apart."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        self.metadata = dict(error.trailing_metadata() or ())
        status = status_pb2.Status()
        status.ParseFromString(self.metadata.get("grpc-status-details-bin", b""))
        self._read(status)

    def _read(self, status):
        self.reason, self.info, self.field, self.quota, self.retry_after = "", {}, "", "", None
        for detail in status.details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            bad, quota = error_details_pb2.BadRequest(), error_details_pb2.QuotaFailure()
            if detail.Unpack(info):
                self.reason, self.info = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
            elif detail.Unpack(bad):
                self.field = bad.field_violations[0].field
            elif detail.Unpack(quota):
                self.quota = quota.violations[0].subject

    @classmethod
    def of_status(cls, status):
        """From a google.rpc.Status inside a frame."""
        refusal = cls.__new__(cls)
        refusal.code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        refusal.message, refusal.metadata = status.message, {}
        refusal._read(status)
        return refusal

    def __repr__(self):
        return f"{self.code.name} {self.reason}: {self.message}"


def refusal_of(call):
    """Runs `call`, which must fail, and returns its Refusal."""
    try:
        result = call()
    except grpc.RpcError as error:
        return Refusal(error)
    raise AssertionError(f"expected a refusal, got {str(result)[:200]}")


# --- Streams ----------------------------------------------------------------------------------------------------

Arrived = collections.namedtuple("Arrived", "at origin epoch channel sequence matched message")
Lost = collections.namedtuple("Lost", "at origin epoch channel first last reason")


def unpack(frame, at):
    """The messages and gaps of a SubscribeResponse or ExchangeResponse, in their order."""
    events, index = [], 0
    gaps = sorted(frame.gaps, key=lambda gap: gap.before_message)

    def add_gaps():
        while gaps and gaps[0].before_message <= index:
            gap = gaps.pop(0)
            events.append(Lost(at, gap.origin, gap.epoch, gap.channel, getattr(gap, "from"), gap.to, gap.reason))

    for run in frame.deliveries:
        sequence, used = run.first_sequence, 0
        for i in range(run.count):
            add_gaps()
            if i > 0:
                sequence += 1 + (run.skips[i] if run.skips else 0)
            ids = run.matched if not run.matched_counts else run.matched[used:used + run.matched_counts[i]]
            used += len(ids) if run.matched_counts else 0
            events.append(Arrived(at, run.origin, run.epoch, run.channel, sequence, list(ids), frame.messages[index]))
            index += 1
    add_gaps()
    assert index == len(frame.messages) and not gaps, f"a frame contradicts itself: {str(frame)[:300]}"
    return events


class Stream:
    """A stream read on a thread of its own: frames with the time they came, and how it ended."""

    def __init__(self, method, first=None, request=None, metadata=None):
        self._requests = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._may_read = threading.Event()
        self._may_read.set()
        self.frames = []  # (monotonic seconds, frame)
        self.ended = False
        self.error = None  # a Refusal; None after an end in good order
        if request is not None:
            self._call = method(request, metadata=metadata)
        else:
            if first is not None:
                self._requests.put(first)
            self._call = method(iter(self._requests.get, None), metadata=metadata)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for frame in self._call:
                now = time.monotonic()
                with self._changed:
                    self.frames.append((now, frame))
                    self.took(now, frame)
                    self._changed.notify_all()
                self._may_read.wait()
        except grpc.RpcError as error:
            self.error = Refusal(error)
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def took(self, now, frame):
        """For subclasses; called under the lock."""

    def send(self, request):
        self._requests.put(request)

    def half_close(self):
        self._requests.put(None)

    def cancel(self):
        self._requests.put(None)
        self._call.cancel()
        self.read_on()
        self._thread.join(10)

    def stop_reading(self):
        self._may_read.clear()

    def read_on(self):
        self._may_read.set()

    def wait(self, condition, seconds, what):
        """Until `condition()` is true; it sees the stream as it is at one moment."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                end = f"it ended: {self.error!r}" if self.ended else "it goes on"
                raise AssertionError(f"gave up after {seconds} s waiting for {what}; "
                                     f"{len(self.frames)} frames came, {end}")
            return condition()

    def wait_end(self, seconds=10):
        self.wait(lambda: self.ended, seconds, "the end of the stream")
        return self.error


class Messages(Stream):
    """A Subscribe or Exchange stream taken apart."""

    def __init__(self, *args, **kwargs):
        self.arrived, self.lost, self.confirmed, self.published = [], [], [], []
        self.welcome = self.go_away = None
        self.pongs = []
        super().__init__(*args, **kwargs)

    def took(self, now, frame):
        for event in unpack(frame, now):
            (self.lost if isinstance(event, Lost) else self.arrived).append(event)
        if frame.HasField("go_away"):
            self.go_away = frame.go_away
        if isinstance(frame, messaging_pb2.SubscribeResponse):
            if frame.HasField("subscribed"):
                self.confirmed.append(frame.subscribed)
            return
        if frame.HasField("welcome"):
            self.welcome = frame.welcome
        self.confirmed.extend(frame.subscribed)
        self.published.extend(frame.published)
        if frame.pong:
            self.pongs.append(frame.pong)

    def wait_confirmed(self, count=1):
        self.wait(lambda: len(self.confirmed) >= count, 10, "the confirmation of a subscription")
        return self.confirmed[-1]

    def wait_messages(self, count, seconds=15):
        self.wait(lambda: len(self.arrived) >= count, seconds, f"{count} messages")
        return self.arrived

    def payloads(self):
        return [arrived.message.payload for arrived in self.arrived]


class Watch(Stream):
    """WatchPeers: the table as events build it, and every event with its time."""

    def __init__(self, method, request=None):
        self.table, self.events, self.synced, self.resets = {}, [], 0, 0
        self.token = b""
        super().__init__(method, first=request or peers_pb2.WatchPeersRequest())

    def took(self, now, response):
        if response.reset:
            self.table.clear()
            self.resets += 1
        for event in response.events:
            self.events.append((now, event))
            if event.type == peers_pb2.PEER_EVENT_TYPE_REMOVED:
                self.table.pop(event.peer.name, None)
            else:
                self.table[event.peer.name] = event.peer
        self.synced += response.synced
        self.token = response.resume_token

    def wait_synced(self, count=1):
        self.wait(lambda: self.synced >= count, 10, "the snapshot of a watch")
        return self

    def wait_state(self, name, state, seconds, since=0.0):
        """The time at which the peer was first seen in `state` after `since`."""

        def seen():
            return next((at for at, event in self.events
                         if at >= since and event.peer.name == name and event.peer.state == state), None)

        what = f"{name} to be {peers_pb2.PeerState.Name(state)}"
        return self.wait(seen, seconds, what)


# --- Peers ------------------------------------------------------------------------------------------------------


class Ended(AssertionError):
    """A daemon that ended instead of becoming ready."""

    def __init__(self, code, log):
        super().__init__(f"peermeshd ended with exit code {code} before it was ready:\n{log}")
        self.code, self.log = code, log


class Peer:
    """One peermeshd, through all its lives."""

    def __init__(self, mesh, name):
        self.mesh, self.name = mesh, name
        self.dir = mesh.dir / name
        self.log = mesh.dir / f"{name}.log"
        self.program = BIN / "peermeshd"
        self.process = None
        self.facts = {}
        self.flags = {}
        self.prefix = []  # words before the program: a network namespace
        self.start_seconds = 0.0
        self._channels = {}

    @property
    def id(self):
        return self.facts["peer_id"]

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def launch(self, *, create=False, join=None, join_by="file", config=None, environment=None, **flags):
        """Starts the process and waits until it is ready. Flags are remembered for the next start."""
        assert not self.running, f"{self.name} runs already"
        self.close_channels()  # those of its last life
        defaults = {"listen": "127.0.0.1:0", "metrics": "127.0.0.1:0", "log_level": "debug", "log_format": "text"}
        self.flags = {**defaults, **self.flags, **flags}
        # Should ctest kill this test, its daemons go with it.
        words = [*self.prefix, "setpriv", "--pdeathsig", "KILL", str(self.program),
                 "--name", self.name, "--data-dir", str(self.dir)]
        for flag, value in self.flags.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                words += ["--" + flag.replace("_", "-"), str(one)]
        environment = {**bare_environment(), "HOME": str(self.mesh.dir), **(environment or {})}
        if create:
            words.append("--create")
        if config is not None:
            path = self.mesh.dir / f"{self.name}.yaml"
            path.write_text(json.dumps(config))  # JSON is YAML
            words += ["--config", str(path)]
            self.flags["config"] = path
        source = subprocess.DEVNULL
        if join is not None and join_by == "environment":
            environment["PEERMESH_JOIN"] = join
        elif join is not None and join_by == "stdin":
            words += ["--join", "-"]
            source = subprocess.PIPE
        elif join is not None:
            path = self.mesh.dir / f"{self.name}.token"
            path.write_text(join + "\n")
            path.chmod(0o600)
            words += ["--join", str(path)]
        with self.mesh.pipe() as (read_end, write_end), open(self.log, "ab") as log:
            words += ["--ready-fd", str(write_end)]
            begin = time.monotonic()
            self.process = subprocess.Popen(words, stdin=source, stdout=log, stderr=log, env=environment,
                                            pass_fds=[write_end], start_new_session=True)
            os.close(write_end)
            if source == subprocess.PIPE:
                self.process.stdin.write((join + "\n").encode())
                self.process.stdin.close()
            line = self._read_line(read_end, begin + START_SECONDS)
        self.start_seconds = time.monotonic() - begin
        if not line:
            try:
                code = self.process.wait(5)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{self.name} is not ready after {START_SECONDS} s:\n{self.tail()}") from None
            raise Ended(code, self.tail())
        self.facts = json.loads(line)
        # The next life listens where this one did, as with configured ports.
        self.flags["listen"] = self.facts["listen"]
        if "ca_listen" in self.flags:
            self.flags["ca_listen"] = (self.dir / "identity" / "ca-address").read_text().strip()
        return self

    @staticmethod
    def _read_line(fd, deadline):
        text = b""
        while not text.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                return b""
            chunk = os.read(fd, 4096)
            if not chunk:
                return b""
            text += chunk
        return text

    def restart(self, **flags):
        if self.running:
            self.end()
        return self.launch(**flags)

    # Ways to end or pause it.

    def kill(self):
        """SIGKILL. Returns the moment before it."""
        at = time.monotonic()
        self.process.kill()
        self.process.wait(10)
        return at

    def stop(self):
        """SIGSTOP. Returns the moment before it."""
        at = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)
        return at

    def cont(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self, number=signal.SIGTERM, seconds=15):
        """A signal that ends it in good order. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def drain(self, seconds=15):
        """By the admin service. Returns the exit code."""
        self.admin.Drain(admin_pb2.DrainRequest(), timeout=10)
        return self.process.wait(seconds)

    # Ways to talk to it.

    def channel(self, socket, options=()):
        """A channel of its own to one of the sockets: "app" or "admin"."""
        return open_channel("unix:" + self.facts[socket + "_socket"], options=options)

    def _kept(self, socket):
        if socket not in self._channels:
            self._channels[socket] = self.channel(socket)
        return self._channels[socket]

    def close_channels(self):
        for channel in self._channels.values():
            channel.close()
        self._channels = {}

    @property
    def messaging(self):
        return messaging_pb2_grpc.MessagingServiceStub(self._kept("app"))

    @property
    def peers(self):
        return peers_pb2_grpc.PeersServiceStub(self._kept("app"))

    @property
    def admin(self):
        return admin_pb2_grpc.AdminServiceStub(self._kept("admin"))

    def status(self):
        return self.admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=5)

    def table(self):
        """Rows of the peer table by name."""
        return {row.name: row for row in self.peers.ListPeers(peers_pb2.ListPeersRequest(), timeout=5).peers}

    def watch(self, request=None):
        return Watch(self.peers.WatchPeers, request)

    def subscribe(self, *subjects, stub=None, **fields):
        """A Subscribe stream whose subscriptions are in force."""
        request = messaging_pb2.SubscribeRequest(subjects=subjects, **fields)
        stream = Messages((stub or self.messaging).Subscribe, request=request)
        stream.wait_confirmed()
        return stream

    def exchange(self, *subjects, stub=None, **fields):
        """An Exchange stream after its welcome, with subscriptions 1, 2, ... in force."""
        hello = messaging_pb2.ExchangeRequest(hello=messaging_pb2.ExchangeHello(client="python-test"))
        stream = Messages((stub or self.messaging).Exchange, first=hello)
        stream.wait(lambda: stream.welcome, 10, "the welcome of an exchange")
        if subjects:
            stream.send(messaging_pb2.ExchangeRequest(subscribe=[
                messaging_pb2.Subscription(id=i, subject=subject, **fields) for i, subject in enumerate(subjects, 1)]))
            stream.wait_confirmed()
        return stream

    def publish(self, *messages, target="", stub=None, timeout=30):
        """Publishes (subject, payload) pairs or Messages as one batch."""
        return (stub or self.messaging).Publish(batch(*messages, target=target), timeout=timeout)

    # What the operating system and Prometheus say of it.

    def page(self, path):
        """What the HTTP port says; an HTTP error raises."""
        if self.prefix:  # asked for where the peer lives
            read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
            words = [*self.prefix, "/usr/bin/python3", "-c", read, f"http://{self.facts['metrics']}/{path}"]
            return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
        with urllib.request.urlopen(f"http://{self.facts['metrics']}/{path}", timeout=10) as response:
            return response.read().decode()

    def metrics(self):
        """Series as text, such as `peermesh_peers{state="dead"}`, and their values."""
        text = self.page("metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {series: float(value) for series, _, value in lines}

    def metric(self, name, **labels):
        """The sum of the series of this name that have these labels; 0 if there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.partition("{")[0] == name and all(label in series for label in wanted))

    def resident_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{self.pid}/status").read_text())[1])

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def tail(self, lines=LOG_LINES):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def sanitizer_findings(self):
        """One line for each, also of lives that were killed before they could exit with a code of their own."""
        if not SANITIZED or not self.log.exists():
            return []
        found = re.findall(r"^(?:SUMMARY: \w+Sanitizer: .*|.*: runtime error: .*)$",
                           self.log.read_text(errors="replace"), re.MULTILINE)
        return [f"{self.name}: {line}" for line in found]


def batch(*messages, target=""):
    """A PublishRequest of (subject, payload) pairs or Messages."""
    request = messaging_pb2.PublishRequest(target=target)
    for message in messages:
        if isinstance(message, tuple):
            request.messages.add(subject=message[0], payload=message[1])
        else:
            request.messages.append(message)
    return request


def open_channel(target, credentials=None, options=()):
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
               ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0), *options]
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def tls_channel(peer, identity):
    """Mutual TLS with a directory that `peermesh client add` made, as any gRPC user would open it."""
    files = [(pathlib.Path(identity) / f"{name}.pem").read_bytes() for name in ("ca", "key", "cert")]
    return open_channel(peer.facts["listen"], grpc.ssl_channel_credentials(*files))


# --- The mesh ---------------------------------------------------------------------------------------------------


class Mesh:
    """Peers by name, their directory, and the end of them all."""

    def __init__(self, directory=None):
        self.dir = directory or pathlib.Path(tempfile.mkdtemp(prefix="peermesh-test."))
        self.dir.mkdir(exist_ok=True)
        self.kept = False
        self.all = {}
        self._ca = None
        self._channels = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, unittest.SkipTest):
            self.kept = True
        self.close()

    def __getitem__(self, name):
        return self.all[name]

    def close(self):
        for channel in self._channels:
            channel.close()
        for peer in self.all.values():
            peer.close_channels()
            if peer.running:
                peer.process.kill()  # ends a stopped process, too
                peer.process.wait(10)
        findings = [found for peer in self.all.values() for found in peer.sanitizer_findings()]
        self.kept |= bool(findings)
        if self.kept:
            print(f"logs and data directories are kept in {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        if findings:
            raise AssertionError("a sanitizer found something:\n" + "\n".join(findings))

    @contextlib.contextmanager
    def pipe(self):
        """Both ends of a pipe; the caller closes the one for writing."""
        ends = os.pipe()
        try:
            yield ends
        finally:
            os.close(ends[0])

    def peer(self, name):
        """A peer that is not started yet."""
        return self.all.setdefault(name, Peer(self, name))

    def start(self, name, **options):
        """The first peer makes the mesh; the others need `join`."""
        peer = self.peer(name)
        if self._ca is None:
            self._ca = peer
            options = {"create": True, "ca_listen": "127.0.0.1:0", **options}
        return peer.launch(**options)

    def add(self, name, **options):
        """Starts a peer: the first one makes the mesh, the others get a token."""
        return self.start(name, join=self.token(name) if self._ca else None, **options)

    def start_three(self, **options):
        """alpha, beta and gamma in a full mesh."""
        self.start("alpha", **options)
        for name, way in (("beta", "environment"), ("gamma", "stdin")):
            self.start(name, join=self.token(name), join_by=way)
        self.wait_linked()
        return self["alpha"], self["beta"], self["gamma"]

    def token(self, name="", *arguments):
        words = ["token", "create", "--quiet", *(["--name", name] if name else []), *arguments]
        return self.cli(*words, peer=self._ca).stdout.strip()

    def cli(self, *arguments, peer=None, check=True, **options):
        """Runs the command line against a peer (default: the one with the CA)."""
        words = [str(BIN / "peermesh"), "--data-dir", str((peer or self._ca).dir), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return done

    def client(self, name, *arguments):
        """The directory of a new client identity."""
        out = self.dir / f"{name}.identity"
        if not out.exists():
            self.cli("client", "add", name, "--out", out, *arguments)
        return out

    def ca_tokens(self):
        """A stub for the CA's own socket."""
        channel = open_channel(f"unix:{self._ca.dir}/ca/ca.sock")
        self._channels.append(channel)
        return ca_pb2_grpc.TokenServiceStub(channel)

    def running(self):
        return [peer for peer in self.all.values() if peer.running]

    def linked(self, peers=None):
        """Whether each of `peers` shows a link to every other one."""
        peers = peers or self.running()
        for peer in peers:
            rows = peer.table()
            for other in peers:
                row = rows.get(other.name)
                if other is not peer and (row is None or row.state != ALIVE or row.connection != CONNECTED):
                    return False
        return True

    def wait_linked(self, seconds=15, peers=None):
        """Until everybody has a link to everybody. Returns how long that took."""
        begin = time.monotonic()
        wait_for(lambda: self.linked(peers), seconds, "every peer to have a link to every other")
        return time.monotonic() - begin

    def mend(self):
        """Everybody runs and is linked again, whatever the last test did."""
        for peer in self.all.values():
            if peer.process is not None:
                if peer.running:
                    peer.cont()
                else:
                    peer.launch()
        self.wait_linked(30)

    def print_logs(self):
        for peer in self.all.values():
            ended = "" if peer.process is None or peer.running else f" (ended: {peer.process.returncode})"
            print(f"--- last lines of {peer.name}{ended}\n{peer.tail()}", flush=True)


class MeshTest(unittest.TestCase):
    """Tests that share one mesh: override `set_up_mesh`. Logs are printed when one fails."""

    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.close)
        try:
            cls.set_up_mesh()
        except unittest.SkipTest:
            raise
        except BaseException:
            cls.mesh.kept = True
            cls.mesh.print_logs()
            raise

    @classmethod
    def set_up_mesh(cls):
        cls.alpha, cls.beta, cls.gamma = cls.mesh.start_three()

    def setUp(self):
        self._streams = []
        self.addCleanup(self._after)

    def _after(self):
        # unittest has noted the failure of the test body by now.
        outcome = self._outcome.result
        if any(test is self for test, _ in [*outcome.failures, *outcome.errors]) or not self._outcome.success:
            self.mesh.kept = True
            self.mesh.print_logs()
        for stream in self._streams:
            stream.cancel()

    def keep(self, stream):
        """Ends the stream with the test."""
        self._streams.append(stream)
        return stream


def main():
    """Runs the tests of a file. Prints a line for each and `SKIP: reason` for each that cannot run here; the exit code
    is 77 if none can."""
    print("CTEST_FULL_OUTPUT")  # keeps ctest from cutting off figures and reasons
    program = unittest.main(module="__main__", exit=False, verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
    result = program.result
    sys.stderr.flush()
    for test, reason in result.skipped:
        name, _, where = str(test).partition(" ")  # of a whole class: "setUpClass (__main__.Class)"
        print(f"SKIP: {where.strip('()').rpartition('.')[2] if name == 'setUpClass' else name}: {reason}")
    sys.stdout.flush()
    if not result.wasSuccessful() or result.testsRun == 0:
        code = 1
    else:
        code = 77 if len(result.skipped) == result.testsRun else 0
    # Threads of gRPC may still be ending their streams; nothing of theirs matters any more.
    os._exit(code)
