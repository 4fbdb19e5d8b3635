"""Every leak is found. Of each kind of resource one is forgotten at its real place in a real daemon, and what bypasses the
ledger is leaked as well; what finds it, after how long, and whose it is said to be is held against the table below, which
is also in docs/leaks.md (PEERMESH_REWRITE=1 writes it there).

The daemons are peermeshd_faults (faults.h): all of peermeshd, and switches. Contracts and graces are the real ones. Only
what the kernel shows in excess, which takes 25 minutes, is judged sixty times as fast (PEERMESH_FAULT_HASTE);
tests/metrics/ledger proves the real windows in virtual time.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import grpc

import harness
from peermesh.v1 import resources_pb2

try:
    from peermesh.test.v1 import fault_pb2, fault_pb2_grpc
except ImportError:
    fault_pb2 = None

FAULTY = os.environ.get("PEERMESH_FAULTY")
ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "leaks.md"
BEGIN, END = "<!-- faults_test.py -->\n", "<!-- end of faults_test.py -->\n"
HASTE = 60
STUCK = 70  # exit code of a daemon that had to be ended by its watchdog
CONFIRMED = 11  # exit code of `peermesh leaks check`
SWEEPS, LOOK = 2 * 2, 1  # seconds: two sweeps; what our own looking adds
ORPHAN_SECONDS = 10
BEYOND_SLACK, RISE = 12, 4  # unclaimed descriptors or threads: kSlack is 8
HUNG = 60
SLOWER = 3 if harness.SANITIZED else 1

Owner = collections.namedtuple("Owner", "text pattern")  # as people read it, and as a path has to be


def owner(text):
    """`NAME`, `ID` and the like stand for what varies."""
    pattern = re.escape(text)
    for word, stands_for in (("NAME", r"[\w-]+"), ("ID", r"\w{8}"), ("ADDRESS", r"\S+"), ("NUMBER", r"\d+"),
                             ("METHOD", r"[\w./]+"), ("LIBRARY", r"[\w./-]+")):
        pattern = re.sub(rf"\b{word}\b", lambda _, new=stands_for: new, pattern)
    return Owner(text, f"^{pattern}$")


PROCESS = owner("process")
CONNECTION = owner("client NAME (ID) > connection mesh ADDRESS")
STREAM = owner("client NAME (ID) > connection mesh ADDRESS > stream METHOD, orders/1.2 by LIBRARY")
LINK = owner("peer NAME (ID) > connection link NUMBER, dialled")
ACCEPTED = owner("peer NAME (ID) > connection link NUMBER, accepted")
LINK_STREAM = owner("peer NAME (ID) > connection link NUMBER, dialled > stream METHOD")
SESSION = owner("stream NAME")

# What finds one of a kind that was forgotten, and within how many seconds: of an orphan since it was forgotten, of what is
# overdue or idle since it was made or used. Where: alpha, the CA beside it, an application on the C++ library.
Row = collections.namedtuple("Row", "kind contract rule seconds site owner where", defaults=["alpha"])


def orphan(kind, contract, site, whose, where="alpha"):
    return Row(kind, contract, "orphan", ORPHAN_SECONDS, site, whose, where)


def overdue(kind, limit, site, whose=PROCESS, where="alpha"):
    return Row(kind, f"short_lived, {limit} s", "overdue", limit + SWEEPS, site, whose, where)


ROWS = [
    orphan("connection", "owned", "server/net/connections.cc", CONNECTION),
    orphan("fd_connection", "owned", "server/net/connections.cc", CONNECTION),
    orphan("fd_handed_over", "owned", "server/net/acceptor.cc", CONNECTION),
    orphan("rpc_server_call", "short_lived, 145 s", "server/link/server_stream.h", STREAM),
    orphan("rpc_server_stream", "owned", "server/link/server_stream.h", STREAM),
    orphan("session", "leased", "server/api/session.cc", STREAM),
    orphan("subscription", "owned", "server/api/messaging.cc", STREAM),
    orphan("peer_watch", "owned", "server/api/peers_service.cc", STREAM),
    orphan("link", "active, 11.5 s", "server/link/peer_handshake.cc", LINK),
    orphan("channel", "owned", "server/link/peer_handshake.cc", LINK),
    orphan("rpc_client_stream", "owned", "server/link/client_stream.cc", LINK_STREAM),
    orphan("rpc_cancelled", "short_lived, 60 s", "server/link/stream.cc", LINK_STREAM),
    overdue("dial", 10, "server/link/peer_link.cc", LINK),
    overdue("handshake", 10, "server/link/peer_link.cc", ACCEPTED),
    overdue("http_request", 25, "metrics/export/exporter.cc"),
    overdue("transaction", 30, "server/store/sqlite.cc"),
    overdue("fd_brief", 30, "server/peer/child_ca.cc"),
    # Of a write: due after 10 s, and a deadline has 5 s of grace.
    Row("timer", "leased", "overdue", 10 + 5 + SWEEPS, "server/link/stream.cc", PROCESS),
    overdue("ca_call", 30, "server/ca/token_service.cc", where="the CA"),
    orphan("client_stream", "owned", "client/stream.h", SESSION, "an application"),
    orphan("client_thread", "owned", "client/stream.h", SESSION, "an application"),
    Row("client_channel", "owned", "exit_residue", 0, "client/channel.cc", PROCESS, "an application"),
]
UNUSED = Row("link", "active, 11.5 s", "idle", 11.5 + SWEEPS, "server/link/peer_handshake.cc",
             owner("peer NAME (ID) > connection link NUMBER, METHOD"))
# A few that live as long as the process. One too many of them has no owner that could end; it shows as a trend, and the
# kernel does not count it as excess, because it is booked.
EXEMPT = {
    "thread": "threads of the daemon, joined by whoever made them; one that is booked nowhere is found below",
    "fd_process": "epoll sets, eventfds, signalfds: made once, at the start",
    "fd_listener": "listening sockets: made once, at the start",
    "database": "one for each program, closed last",
}
# What bypasses the ledger, or breaks its rules: the class that is named, the rule, and what the evidence says.
Outside = collections.namedtuple("Outside", "what kind rule evidence")
OUTSIDE = [
    Outside("raw sockets, never closed", "fd_socket", "kernel_excess", r"descriptor \d+, socket:\[\d+\], to nobody"),
    Outside("detached threads that never end", "thread", "kernel_excess", r"thread \d+, \S+"),
    Outside("server calls without an end", "rpc_server", "rpc_skew", r"^gRPC counts \d+ of them, the ledger \d+"),
    Outside("a gRPC channel for every call", "channel", "rpc_skew", r"^gRPC counts \d+ of them, the ledger \d+"),
    Outside("a release too many", "subscription", "violation", r"double_release: entry \d+"),
    Outside("a descriptor closed behind its owner's back", "fd_connection", "violation", r"foreign_close: descriptor \d+"),
]


def seconds(duration):
    return duration.seconds + duration.nanos / 1e9


def table():
    """For docs/leaks.md."""
    lines = ["| kind | contract | found as | within | born in | whose |", "|---|---|---|---|---|---|"]
    for row in [*ROWS, UNUSED]:
        within = f"{row.seconds:g} s" if row.seconds else "at its exit"
        found = row.rule + (f", in {row.where}" if row.where != "alpha" else "")
        lines.append(f"| `{row.kind}` | {row.contract} | {found} | {within} | `{row.site}` | {row.owner.text} |")
    lines += ["", "| outside the ledger | found as | rule |", "|---|---|---|"]
    lines += [f"| {one.what} | `{one.kind}` | `{one.rule}` |" for one in OUTSIDE]
    lines += ["", "Not among them, because they live as long as the process: "
              + "; ".join(f"`{kind}` ({why})" for kind, why in EXEMPT.items()) + "."]
    return "\n".join(lines) + "\n"


class Complete(harness.unittest.TestCase):
    def test_every_kind_in_the_sources_has_its_fault_or_a_reason(self):
        kinds = set()
        for folder in ("server", "client", "metrics"):
            for path in [*ROOT.glob(f"{folder}/**/*.h"), *ROOT.glob(f"{folder}/**/*.cc")]:
                if "example" not in path.parts and "Register(" in (text := path.read_text()):
                    kinds.update(re.findall(r'(?:ShortLived|Active|Leased|Owned|ForProcess)\("(\w+)"', text))
        self.assertGreater(len(kinds), 20)
        self.assertEqual(kinds, {row.kind for row in ROWS} | EXEMPT.keys())

    def test_the_table_in_the_documentation_is_this_one(self):
        text = PAGE.read_text()
        before, _, rest = text.partition(BEGIN)
        _, mark, after = rest.partition(END)
        self.assertTrue(mark, f"{PAGE} has no place for the table")
        fresh = before + BEGIN + table() + END + after
        if os.environ.get("PEERMESH_REWRITE"):
            PAGE.write_text(fresh)
        self.assertEqual(text, fresh, "PEERMESH_REWRITE=1 writes it")


class Faulty:
    """A daemon that leaks, and what its auditor has confirmed so far."""

    def __init__(self, peer):
        self.peer = peer
        self.channel = peer.channel("admin")
        self.service = fault_pb2_grpc.FaultServiceStub(self.channel)
        self.admin = harness.admin_pb2_grpc.AdminServiceStub(self.channel)
        self.first = {}  # (kind, rule) -> the verdict when it was first seen confirmed, and when
        self.found_after = {}  # kind -> seconds from its fault to that
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def watch(self):
        self._thread.start()

    def close(self):
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self.channel.close()

    def arm(self, *kinds, fault="FORGET"):
        for kind in kinds:
            self.service.Arm(fault_pb2.ArmRequest(fault=f"FAULT_{fault}", kind=kind), timeout=5)

    def leak(self, outside, count, target=""):
        request = fault_pb2.LeakRequest(outside=f"OUTSIDE_{outside}", count=count, target=target)
        self.service.Leak(request, timeout=60)

    def struck(self):
        """Seconds since each fault struck, by kind."""
        armed = self.service.List(fault_pb2.ListRequest(), timeout=5).armed
        return {one.kind: seconds(one.struck) for one in armed if one.HasField("struck")}

    def wait_struck(self, *kinds):
        harness.wait_for(lambda: set(kinds) <= set(self.struck()), 20 * SLOWER, f"faults of {kinds} to strike")

    def _watch(self):
        while not self._stop.wait(0.3):
            report = self.admin.GetLeakReport(resources_pb2.GetLeakReportRequest(), timeout=10)
            new = [one for one in report.verdicts if one.state == resources_pb2.VERDICT_STATE_CONFIRMED
                   and (one.kind, one.rule) not in self.first]
            struck = self.struck() if new else {}
            for one in new:
                self.found_after[one.kind, one.rule] = struck.get(one.kind, 0)
                self.first[one.kind, one.rule] = one

    def wait_found(self, kind, rule, patience):
        harness.wait_for(lambda: (kind, rule) in self.first, patience, f"{rule} of {kind}; there are {list(self.first)}")
        return self.first[kind, rule]


@harness.unittest.skipIf(FAULTY is None or fault_pb2 is None, "no peermeshd_faults (cmake -DPEERMESH_FAULTS=ON)")
@harness.unittest.skipIf(harness.SANITIZED, "built with sanitizers: they report what is leaked on purpose")
class Faults(harness.MeshTest):
    """Alpha forgets one of each kind; gamma leaks outside the ledger; beta is a peer to be lost. All of it is provoked
    before the first test, and the waiting is shared."""

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.add("beta")
        cls.mesh.wait_linked()
        cls.identity = cls.mesh.client("edge-app")
        cls.alpha.end()
        cls.alpha.program = pathlib.Path(FAULTY)
        cls.alpha.launch(environment={"PEERMESH_FAULT": "fd_brief,dial,ca_call"})
        cls.leaky = cls.watched(cls.alpha)
        cls.mesh.wait_linked()
        cls.leaky.wait_struck("dial")  # alpha's: nobody else knows its new port yet
        cls.alpha.admin.SetLedgerLevel(resources_pb2.SetLedgerLevelRequest(level="stacks"), timeout=5)
        cls.start_gamma(cls.mesh.token("gamma"))
        cls.mesh.wait_linked()
        cls.application = cls.start_application()
        cls.provoke_clients()
        cls.leaky.arm("timer", "http_request", "transaction", "handshake")
        cls.alpha.page("metrics")
        cls.mesh.add("delta")  # asks the CA, links to alpha, and is remembered
        cls.leaky.wait_struck("timer", "http_request", "transaction", "handshake")
        cls.leak_first()

    @classmethod
    def watched(cls, peer):
        faulty = Faulty(peer)
        cls.addClassCleanup(faulty.close)
        faulty.watch()
        return faulty

    @classmethod
    def start_gamma(cls, token):
        gamma = cls.mesh.peer("gamma")
        gamma.program = pathlib.Path(FAULTY)
        cls.gamma = cls.mesh.start("gamma", join=token, environment={"PEERMESH_FAULT_HASTE": str(HASTE)})
        cls.gamma_started = time.monotonic()
        cls.outside = cls.watched(cls.gamma)
        # gRPC's own count has nothing to learn. More calls than we make between two sweeps: those have the benefit of doubt.
        cls.outside.leak("CHANNEL", BEYOND_SLACK, "unix:" + cls.beta.facts["app_socket"])
        # Their callers wait: gRPC takes a call for ended when its caller gives up, whatever the server still does.
        cls.hung = [cls.outside.service.Hang.future(fault_pb2.HangRequest()) for _ in range(HUNG)]

    @classmethod
    def start_application(cls):
        words = [str(pathlib.Path(FAULTY).parent / "fault_client"), cls.beta.facts["app_socket"]]
        environment = {**os.environ, "PEERMESH_FAULT": "client_channel,client_thread,client_stream"}
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
        cls.addClassCleanup(process.kill)
        return process

    @classmethod
    def provoke_clients(cls):
        """An application over TLS publishes, subscribes, watches, and goes; each time something of it stays."""
        channel = harness.tls_channel(cls.alpha, cls.identity)
        stub = harness.messaging_pb2_grpc.MessagingServiceStub(channel)
        peers = harness.peers_pb2_grpc.PeersServiceStub(channel)
        label = [("peermesh-client", "orders/1.2")]
        stub.Publish(harness.batch(("leak.fault", b"1")), timeout=10, metadata=label)
        cls.leaky.arm("rpc_server_call")
        stub.Publish(harness.batch(("leak.fault", b"1")), timeout=10, metadata=label)
        cls.leaky.arm("rpc_server_stream", "session", "subscription")
        request = harness.messaging_pb2.SubscribeRequest(subjects=["leak.fault"])
        stream = harness.Messages(stub.Subscribe, request=request, metadata=label)
        stream.wait_confirmed()
        stream.cancel()
        cls.leaky.wait_struck("rpc_server_stream", "session", "subscription")
        cls.leaky.arm("peer_watch")
        watch = harness.Stream(peers.WatchPeers, first=harness.peers_pb2.WatchPeersRequest(), metadata=label)
        watch.wait(lambda: watch.frames, 10, "a watch to begin")
        watch.cancel()
        cls.leaky.wait_struck("peer_watch")
        cls.leaky.arm("connection", "fd_connection", "fd_handed_over")
        channel.close()
        cls.leaky.wait_struck("connection", "fd_connection", "fd_handed_over")

    @classmethod
    def leak_first(cls):
        """Outside gamma's ledger, when it has learnt what is usual there."""
        harness.wait_for(lambda: time.monotonic() - cls.gamma_started > 600 / HASTE + 3, 60, "gamma to have learnt")
        cls.outside.arm("subscription", fault="TWICE")
        cls.outside.arm("fd_connection", fault="FOREIGN_CLOSE")
        cls.gamma.subscribe("leak.outside").cancel()
        cls.gamma.close_channels()
        for outside in ("SOCKET", "THREAD"):
            cls.outside.leak(outside, BEYOND_SLACK)

    # --- Of each kind ---

    def check(self, faulty, row):
        """Right kind, rule, place and owner, in time; prints how long it took."""
        verdict = faulty.wait_found(row.kind, row.rule, (row.seconds + 20) * SLOWER)
        self.assertRegex(verdict.site, rf"^{re.escape(row.site)}:\d+$")
        self.assertRegex(verdict.function, r"\w")
        path = verdict.examples[0].scope
        self.assertRegex(path, row.owner.pattern)
        self.assertEqual(verdict.owner, path.partition(" > ")[0])
        self.assertTrue(verdict.alerts)
        if row.rule == "orphan":
            took = faulty.found_after[row.kind, row.rule]
        elif row.rule == "idle":
            took = seconds(verdict.examples[0].idle)
        else:
            took = seconds(verdict.oldest)
        most = row.seconds + (0 if row.rule == "orphan" else LOOK)
        harness.figure(f"leak_of_{row.kind}_{row.rule}_found_after", took, "s", f"<= {most:g}")
        self.assertLessEqual(took, most * SLOWER)
        return verdict

    def test_1_what_lives_too_long(self):
        for row in ROWS:
            if row.where == "alpha" and row.rule == "overdue":
                with self.subTest(row.kind):
                    self.check(self.leaky, row)

    def test_2_what_outlives_its_owner(self):
        for row in ROWS:
            if row.where == "alpha" and row.rule == "orphan" and row.owner not in (LINK, LINK_STREAM):
                with self.subTest(row.kind):
                    self.assertEqual(self.check(self.leaky, row).count, 1)

    def test_3_what_a_lost_peer_leaves(self):
        kinds = [row for row in ROWS if row.rule == "orphan" and row.owner in (LINK, LINK_STREAM)]
        self.leaky.arm(*[row.kind for row in kinds])
        self.beta.stop()
        self.addCleanup(self.beta.cont)
        self.leaky.wait_struck(*[row.kind for row in kinds])
        for row in kinds:
            with self.subTest(row.kind):
                self.check(self.leaky, row)

    def test_4_what_nobody_uses(self):
        """Gamma's link gets its heartbeats, and its ledger is not told."""
        self.outside.admin.SetLedgerLevel(resources_pb2.SetLedgerLevelRequest(level="stacks"), timeout=5)
        self.outside.arm("link", fault="UNUSED")
        self.check(self.outside, UNUSED)

    def test_5_what_the_ca_forgets(self):
        row = next(row for row in ROWS if row.where == "the CA")

        def lines():
            found = re.findall(r'^\{.*"logger":"ledger".*"msg":"leak found".*$', self.alpha.log.read_text(), re.M)
            return [one for one in map(json.loads, found) if one["kind"] == row.kind]

        verdict = harness.wait_for(lines, row.seconds + 30, "the CA to find its call")[0]
        self.assertEqual((verdict["rule"], verdict["owner"], verdict["count"]), (row.rule, "process", 1))
        self.assertRegex(verdict["site"], rf"^{re.escape(row.site)}:\d+$")
        oldest = float(re.fullmatch(r"([\d.]+) ?s", verdict["oldest"])[1])
        harness.figure("leak_of_ca_call_overdue_found_after", oldest, "s", f"<= {row.seconds + LOOK}")
        self.assertLessEqual(oldest, (row.seconds + LOOK) * SLOWER)

    def test_6_what_an_application_forgets(self):
        _, output = self.application.communicate(timeout=90)
        self.assertEqual(self.application.returncode, 0, output)
        found = {}
        for line in re.findall(r"^LEAK (.*)$", output, re.M):
            verdict = json.loads(line)
            found.setdefault(verdict["kind"], verdict)  # what outlived its owner is still there at the exit
        rows = [row for row in ROWS if row.where == "an application"]
        self.assertEqual(found.keys(), {row.kind for row in rows})
        for row in rows:
            verdict = found[row.kind]
            self.assertEqual((verdict["rule"], verdict["count"]), (row.rule, 1))
            self.assertRegex(verdict["site"], rf"^{re.escape(row.site)}:\d+$")
            self.assertRegex(verdict["examples"][0]["scope"], row.owner.pattern)

    # --- Outside the ledger ---

    def test_7_what_bypasses_the_ledger(self):
        self.outside.leak("SOCKET", RISE)  # a leak goes on
        self.outside.leak("THREAD", RISE)
        report = self.outside.admin.GetLeakReport
        series = {row.kind for row in OUTSIDE}
        for one in OUTSIDE:
            with self.subTest(one.what):
                verdict = self.outside.wait_found(one.kind, one.rule, 90 * SLOWER)
                evidence = " ".join([verdict.because, *(example.note for example in verdict.examples)])
                self.assertRegex(evidence, one.evidence)
                self.assertTrue(verdict.alerts)
                harness.figure(f"{one.rule}_of_{one.kind}", verdict.count, "count")
        unexpected = {(one.kind, one.rule) for one in report(resources_pb2.GetLeakReportRequest()).verdicts
                      if one.alerts and one.kind not in series and one.kind != "link"}
        self.assertEqual(unexpected, set())

    # --- As operators see it ---

    def test_8_commands_pages_metrics_and_log_tell_of_them(self):
        rows = [row for row in ROWS if row.where == "alpha"]
        for row in rows:
            self.assertGreaterEqual(
                self.alpha.metric("peermesh_resource_leaks_confirmed_total", kind=row.kind, rule=row.rule), 1, row.kind)
        done = self.mesh.cli("leaks", "check", check=False)
        self.assertEqual(done.returncode, CONFIRMED, done.stdout)
        self.assertRegex(done.stdout, r"(?m)^\d+ +confirmed +proof +orphan +fd_connection +1 ")
        number = self.leaky.first["connection", "orphan"].number
        shown = self.mesh.cli("leaks", "show", number).stdout
        self.assertRegex(shown, r"born at +\S*server/net/connections\.cc:\d+")
        self.assertIn("scope ended more than 5 s ago", shown)
        # Born at level stacks: who asked for it, innermost first.
        born = self.leaky.first["rpc_server_call", "orphan"]
        self.assertRegex(born.examples[0].stack[0], r"peermesh::link::")
        self.assertIn(born.examples[0].stack[-1], self.mesh.cli("leaks", "show", born.number).stdout)
        log = self.alpha.log.read_text()
        for row in rows:
            self.assertRegex(log, rf"leak found.* kind=\"?{row.kind}\b")
        self.assertRegex(self.alpha.page("debug/resources"), r"<strong>\d+ leaks</strong>")
        # It is no mistake of the books: the descriptor is open.
        ours = {one["claimed_by"]: one["target"]
                for one in json.loads(self.alpha.page("debug/fds?format=json"))["descriptors"]}
        example = self.leaky.first["fd_connection", "orphan"].examples[0]
        self.assertIn("socket:", ours[example.id])

    def test_9_the_end_names_what_is_left(self):
        """And comes, even though calls have no end."""
        self.leaky.close()
        size = len(self.alpha.log.read_text())
        self.alpha.end()
        rest = self.alpha.log.read_text()[size:]
        for row in ROWS:
            if row.where == "alpha":
                self.assertRegex(rest, rf"left behind.* kind=\"?{row.kind}\b", row.kind)
        self.outside.close()
        self.assertEqual(self.gamma.end(), STUCK)


if __name__ == "__main__":
    harness.main()
