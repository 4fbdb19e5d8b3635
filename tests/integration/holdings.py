"""What the peers of a mesh hold at one moment, seen from outside and by their own books.

    before = holdings.Holdings(mesh)
    holdings.Holdings(mesh).differences(before)   # texts; none if it is the same

Descriptors by what they are and live resources by kind are sums over the mesh, because who dialled whom, and so which side
of a link a peer has, is decided anew by every restart. Threads are those of each peer.
"""

import collections
import contextlib
import os
import pathlib
import re

# gRPC starts and ends these as it sees fit: a few more may be there, and not one for each visitor.
GRPC_THREADS = {"default-executo", "resolver-execut", "grpc_global_tim", "event_engine", "timer_manager"}
THREADS_MORE = 6

Threads = collections.namedtuple("Threads", "ours grpc")  # by name, and how many


def threads_of(peer):
    names = collections.Counter()
    for task in pathlib.Path(f"/proc/{peer.pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            names[(task / "comm").read_text().strip()] += 1
    ours = collections.Counter({name: count for name, count in names.items() if name not in GRPC_THREADS})
    return Threads(ours, names.total() - ours.total())


def held_by(peer):
    held = collections.Counter()
    for series, value in peer.metrics().items():
        if series.startswith("peermesh_resource_live{"):
            held[series.removeprefix("peermesh_resource_live")] += int(value)
        elif series.startswith(("peermesh_sessions", "peermesh_subscriptions")):
            held[series] += int(value)
    for fd in pathlib.Path(f"/proc/{peer.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            held["fd " + re.sub(r"\d+", "N", os.readlink(fd).replace(str(peer.mesh.dir), ""))] += 1
    return held


class Holdings:
    def __init__(self, mesh):
        self.held = sum((held_by(peer) for peer in mesh.all.values()), collections.Counter())  # without zeros
        self.threads = {peer.name: threads_of(peer) for peer in mesh.all.values()}

    def descriptors(self):
        return sum(count for what, count in self.held.items() if what.startswith("fd "))

    def thread_count(self):
        return sum(threads.ours.total() + threads.grpc for threads in self.threads.values())

    def differences(self, before):
        found = [f"{what}: {before.held[what]} before, {self.held[what]} after"
                 for what in sorted(self.held.keys() | before.held.keys()) if self.held[what] != before.held[what]]
        for name, now in self.threads.items():
            then = before.threads[name]
            if now.ours != then.ours or now.grpc > then.grpc + THREADS_MORE:
                found.append(f"threads of {name}: {then} before, {now} after")
        return found
