"""The systems that are compared, each as a set of servers on this host that know each other.

All have the same shape: an application talks to its own server, servers talk to each other by mutual TLS (ECDSA P-256,
TLS 1.3) over loopback. `servers` is how many there are; `tls` puts TCP and mutual TLS on the applications' legs, too.
Everything else is as each system comes, but for PeerMesh's limit on subscribe operations a second.

    PeerMesh  peermeshd; without `tls` applications use its unix socket
    Nats      nats-server with full-mesh routes; without `tls` applications use plain TCP, since it has no unix socket
    Chain     two forwarders of bare gRPC (chain.cc): one publisher, one subscriber, nothing else
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

import harness
from harness import wait_for
from programs import Program, Void

# How NATS is set up: bytes that its publishers may have under way, and the buffers of its client library (0: as they
# come). It closes the connection of a consumer that is more than 64 MB behind (max_pending, framing included), so that no
# window can be larger than 32 MiB. Measured from 1 to 48 MiB: below 4 it is slower at every size; which of the others is
# best depends on size and machine. compare.py tries them all and takes the best at each size.
NATS_SETTINGS = [(16 << 20, 0), (32 << 20, 0), (16 << 20, 1 << 20), (32 << 20, 1 << 20)]


# 10,000 subscriptions run after run are more than the default lets one application make in that time.
CONFIG = {"limits": {"subscribes": {"per_second": 1_000_000}}}


def make_identity(directory):
    """A certificate authority and one certificate that every server and application of NATS and the chain uses."""
    directory.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    commands = [
        ["req", "-x509", *key, "-subj", "/CN=bench CA", "-keyout", "ca-key.pem", "-out", "ca.pem"],
        ["req", *key, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
         "-extfile", "names", "-out", "cert.pem"]]
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in commands:
        subprocess.run(["openssl", *command], cwd=directory, check=True, capture_output=True)
    return directory


class PeerMesh:
    name = "PeerMesh"
    program = "load_peermesh"

    def __init__(self, bench, servers=2, tls=False):
        self.bench, self.tls = bench, tls
        self.mesh = harness.Mesh()
        try:
            self.peers = [self.mesh.add(f"peer{i + 1}", config=CONFIG, log_level="info") for i in range(servers)]
            self.mesh.wait_linked(60)
            self.identity = self.mesh.client("bench") if tls else None
        except BaseException:
            self.mesh.close()
            raise

    @staticmethod
    def settings(size):
        """What may be tried to find its best at payloads of this many bytes."""
        return [None]  # there is nothing to choose

    def targets(self):
        return [peer.facts["listen" if self.tls else "app_socket"] for peer in self.peers]

    def processes(self):
        return {f"server{i + 1}": peer.pid for i, peer in enumerate(self.peers)}

    def begin(self):
        """Before a run."""

    def options(self):
        """Of every load program."""
        return ["--identity", self.identity] if self.tls else []

    def flow(self, setting, publishers, subscribers):
        """Of the publishers and subscribers of one run: what makes nothing be lost. `setting` is one of `settings`, or
        None."""
        return []  # back-pressure is its own

    def expect(self, subscriptions):
        """Waits until so many subscriptions are known to the first server. Here they are once they are made."""

    def check(self, laggards=0):
        """How many slow consumers the system has cut off; Void if more than `laggards`, which are slow by intent."""
        return 0

    def close(self):
        self.mesh.close()


class Nats:
    name = "NATS"
    program = "load_nats"

    def __init__(self, bench, servers=2, tls=False):
        self.bench, self.tls = bench, tls
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="peermesh-nats."))
        self.identity = make_identity(self.dir / "identity")
        self.running, self.ports, self.runs, self.cut = [], [], 0, 0
        try:
            for i in range(servers):
                self._start(i)
            wait_for(lambda: all(self._ask(i, "routez")["num_routes"] == servers - 1 for i in range(servers)), 30,
                     "the routes between the servers of NATS")
            self.idle = self._subscriptions()
        except BaseException:
            self.close()
            raise

    def _start(self, index):
        where = self.dir / f"server{index + 1}"
        where.mkdir()
        files = {name: str(self.identity / f"{name}.pem") for name in ("cert", "key", "ca")}
        tls = {"cert_file": files["cert"], "key_file": files["key"], "ca_file": files["ca"], "verify": True}
        cluster = {"name": "bench", "listen": "127.0.0.1:-1", "tls": tls}
        if self.ports:
            cluster["routes"] = ["nats-route://" + self.ports[0]["cluster"]]
        config = {"server_name": where.name, "listen": "127.0.0.1:-1", "http": "127.0.0.1:-1", "cluster": cluster,
                  "ports_file_dir": str(where), "log_file": str(where / "log")}
        if self.tls:
            config["tls"] = tls
        (where / "config").write_text(json.dumps(config))
        program = find_server()
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program, "-c", str(where / "config")],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.running.append(process)

        def read_ports():
            found = list(where.glob("*.ports"))
            return found and json.loads(found[0].read_text() or "null")

        ports = wait_for(read_ports, 15, "a server of NATS to say where it listens")
        self.ports.append({kind: urls[0].rpartition("//")[2] for kind, urls in ports.items()})

    def _ask(self, index, page):
        with urllib.request.urlopen(f"http://{self.ports[index]['monitoring']}/{page}", timeout=10) as response:
            return json.load(response)

    def _subscriptions(self):
        return self._ask(0, "subsz")["num_subscriptions"]

    @staticmethod
    def settings(size):
        return NATS_SETTINGS

    def targets(self):
        scheme = "tls" if self.tls else "nats"
        return [f"{scheme}://{ports['nats']}" for ports in self.ports]

    def processes(self):
        return {f"server{i + 1}": process.pid for i, process in enumerate(self.running)}

    def begin(self):
        wait_for(lambda: self._subscriptions() == self.idle, 30, "the subscriptions of the last run to go")

    def options(self):
        return ["--identity", self.identity] if self.tls else []

    def flow(self, setting, publishers, subscribers):
        self.runs += 1
        window, buffer = setting or NATS_SETTINGS[0]
        return ["--window", window // publishers, "--window-file", self.dir / f"window{self.runs}",
                "--slots", subscribers, "--io-buffer", buffer]

    def expect(self, subscriptions):
        """Until the publishers' server has heard of them: NATS answers a subscriber before it has told the others."""
        wait_for(lambda: self._subscriptions() >= self.idle + subscriptions, 30, "subscriptions to cross the route")

    def check(self, laggards=0):
        cut = sum(self._ask(i, "varz")["slow_consumers"] for i in range(len(self.running)))
        new, self.cut = cut - self.cut, cut
        if new > laggards:
            raise Void(f"NATS has cut {new} slow consumers")
        return new

    def close(self):
        for process in self.running:
            process.kill()
            process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)


class Chain:
    name = "chain"
    program = "chain"

    def __init__(self, bench, servers=2, tls=False):
        assert servers == 2 and not tls
        self.bench = bench
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="peermesh-chain."))
        identity = make_identity(self.dir / "identity")
        self.sockets = [self.dir / "first", self.dir / "last"]
        self.forwarders = []
        self._start("last", "--target", self.sockets[1], "--identity", identity)
        port = self.forwarders[0].greeting.split()[1]
        self._start("first", "--target", self.sockets[0], "--target", f"localhost:{port}", "--identity", identity)

    def _start(self, *words):
        self.forwarders.append(Program([self.bench / self.program, *words]))

    @staticmethod
    def settings(size):
        """Records in a frame: from 8 to 512 KiB; 64 KiB is a good guess."""
        counts = [1 << n for n in range(9) if 8 << 10 <= size << n <= 512 << 10] or [1]
        return sorted(counts, key=lambda count: abs(count * size - (64 << 10)))

    def targets(self):
        return self.sockets

    def processes(self):
        return {"server1": self.forwarders[1].pid, "server2": self.forwarders[0].pid}

    def begin(self):
        pass

    def options(self):
        return []

    def flow(self, setting, publishers, subscribers):
        return ["--batch", setting or 1]  # HTTP/2 holds the publisher back

    def expect(self, subscriptions):
        pass

    def check(self, laggards=0):
        return 0

    def close(self):
        for forwarder in self.forwarders:
            forwarder.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def find_server():
    """nats-server where a package puts it or deploy/install-deps unpacks it; None if it is nowhere."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    places = f"/usr/sbin:{cache}/peermesh/tools/nats-server/usr/sbin:{cache}/peermesh/tools/nats-server/usr/bin"
    return shutil.which("nats-server") or shutil.which("nats-server", path=places)
