"""Looks into a running daemon from within, by a library that is loaded into it: see probe.cc.

    probe = probe.Probe(mesh.dir)
    peer.launch(environment=probe.environment())
    probe.heap(); probe.channelz()
"""

import json
import os
import socket


class Probe:
    def __init__(self, directory):
        self._path = f"{directory}/probe.sock"

    def environment(self):
        # What threads put aside for themselves would count as in use, some 200 kB for each.
        return {"LD_PRELOAD": os.environ["PEERMESH_PROBE_LIBRARY"], "PEERMESH_PROBE": self._path,
                "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}

    def _ask(self, request):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(self._path)
            connection.sendall(request.encode())
            answer = b""
            while chunk := connection.recv(1 << 16):
                answer += chunk
        return answer.decode()

    def heap(self):
        """Bytes in use by malloc's books."""
        return int(self._ask("heap").split()[0])

    def _pages(self, request, what):
        """All objects of one kind; channelz gives them in pages, by id."""
        found = []
        while True:
            page = json.loads(self._ask(f"{request} {int(found[-1]) + 1 if found else 0}"))
            rows = page.get(what, [])
            found += [row.get("ref", row).get(f"{what}Id" if "ref" in row else "socketId") for row in rows]
            if page.get("end") or not rows:
                return found

    def channelz(self):
        """How many objects gRPC keeps, by kind."""
        ids = self._pages("servers", "server")
        return {"channels": len(self._pages("channels", "channel")), "servers": len(ids),
                "sockets": sum(len(self._pages(f"sockets {server}", "socketRef")) for server in ids)}
