"""A TCP relay that can misbehave: what stands between two peers when a test needs a bad network without being root."""

import socket
import struct
import threading

CHUNK = 64 << 10


class Proxy:
    """Relays connections to `backend`, a "host:port" that may be set later.

    stall()  nothing passes and nothing is said: to both ends the other has vanished, without a FIN
    cut()    every connection is reset, and every new one at once
    heal()   all passes again
    """

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self.backend = None
        self._lock = threading.Lock()
        self._open = set()
        self._passing = threading.Event()
        self._passing.set()
        self._cutting = False
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self):
        self._passing.clear()

    def cut(self):
        with self._lock:
            self._cutting = True
            doomed, self._open = self._open, set()
        for connection in doomed:
            self._reset(connection)

    def heal(self):
        with self._lock:
            self._cutting = False
        self._passing.set()

    def close(self):
        self._listener.close()
        self.cut()
        self._passing.set()

    @staticmethod
    def _reset(connection):
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
        connection.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        self._passing.wait()
        try:
            host, _, port = (self.backend or "").rpartition(":")
            far = socket.create_connection((host.strip("[]"), int(port)))
        except (OSError, ValueError):
            self._reset(near)
            return
        with self._lock:
            refused = self._cutting
            if not refused:
                self._open |= {near, far}
        if refused:
            self._reset(near)
            self._reset(far)
            return
        threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
        self._pump(far, near)

    def _pump(self, source, sink):
        try:
            while chunk := source.recv(CHUNK):
                self._passing.wait()
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            with self._lock:
                self._open -= {source, sink}
            self._reset(source)
            self._reset(sink)
