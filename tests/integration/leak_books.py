"""What the ledgers of a mesh said over all lives of its peers, and how their memory grew.

    books.look(peer); books.last_look(peer)   # now and then; before the end of a life
    books.read_log(peer)                      # after it: what the log says beyond that
    books.verdicts                            # texts; none if all is well
"""

import collections
import re
import statistics
import time

from peermesh.v1 import resources_pb2

TOTALS = ("peermesh_resource_leaks_confirmed_total", "peermesh_resource_leaks_cleared_total",
          "peermesh_resource_violations_total")
LOG_SAYS = re.compile(r"^.*(?:leak found|left behind|leak cleared).*$", re.M)


class Books:
    """What the ledgers said, over all lives of all peers."""

    def __init__(self):
        self.verdicts = []     # texts
        self.suspicions = set()
        self.sweeps = self.lives = self.judged = 0
        self.longest = collections.Counter()  # peer -> seconds of its longest life
        self._logs = {}        # peer -> how many bytes of its log was read

    def look(self, peer):
        """Reads what the ledger of a running peer says. Returns its sweeps."""
        report = peer.admin.GetLeakReport(resources_pb2.GetLeakReportRequest(), timeout=10)
        for one in report.verdicts:
            tier = resources_pb2.Tier.Name(one.tier).removeprefix("TIER_").lower()
            text = (f"{peer.name}: {tier} {one.rule} of {one.kind}, {one.count} of {one.owner}, born at {one.site}: "
                    f"{one.because}")
            if one.state == resources_pb2.VERDICT_STATE_SUSPECTED:
                self.suspicions.add((peer.name, peer.pid, one.number, one.rule, one.kind))
            else:
                self._add(text)
        for series, value in peer.metrics().items():
            if series.startswith(TOTALS) and value:
                self._add(f"{peer.name}: {series} {value:g}")
        return report.sweeps

    def last_look(self, peer):
        """Before the end of a life."""
        sweeps = self.look(peer)
        self.lives += 1
        self.judged += sweeps >= 2
        self.longest[peer.name] = max(self.longest[peer.name], time.monotonic() - peer.born)
        self.sweeps += sweeps

    def read_log(self, peer):
        log = peer.log.read_bytes()
        for line in LOG_SAYS.findall(log[self._logs.get(peer.name, 0):].decode(errors="replace")):
            self._add(f"{peer.name}: {line}")
        self._logs[peer.name] = len(log)

    def _add(self, text):
        if text not in self.verdicts:
            self.verdicts.append(text)


class Memory:
    """Resident and heap bytes of each life over time: information, no verdict."""

    def __init__(self):
        self._lives = collections.defaultdict(list)  # (peer, pid) -> (seconds, resident kB, heap kB)

    def note(self, peer):
        heap = peer.metrics()['peermesh_heap_bytes{state="in_use"}'] / 1024
        self._lives[peer.name, peer.pid].append((time.monotonic(), peer.resident_kb(), heap))

    def longest(self):
        """Of the life that was watched for longest: its seconds, and from its second half, when all that is kept has been
        filled, the slopes of resident and heap, kB/min."""
        life = max(self._lives.values(), key=lambda rows: rows[-1][0] - rows[0][0])
        begin, end = life[0][0], life[-1][0]
        later = [row for row in life if row[0] >= (begin + end) / 2]
        seconds, resident, heap = zip(*(later if len(later) >= 2 else [life[0], life[-1]]))
        slopes = [60 * statistics.linear_regression(seconds, values).slope for values in (resident, heap)]
        return end - begin, *slopes
