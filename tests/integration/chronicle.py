"""What a run did to its peers, as a file of a history: see tests/history/record.h."""

import fcntl
import struct
import time

STARTED, ENDED, FAULT_ON, FAULT_OFF, QUIET = 1, 2, 40, 41, 42
KILLED, BIT = 1, 2
# time, actor, peer, event, reason, origin, flags, name, epoch, channel, crc, sequence, until, message
RECORD = struct.Struct("<qIHBBHHIQIIQQQ")
assert RECORD.size == 64


class Chronicle:
    """Written at once, record by record: there are few."""

    def __init__(self, directory, writer):
        self._names = directory / "names.txt"
        self._names.touch()
        self._file = open(directory / f"{writer}.history", "xb", buffering=0)

    def _line(self, name):
        """The number of a name, appended if it is new; other processes append, too."""
        assert "\n" not in name
        with open(self._names, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = file.read().decode().splitlines()
            if name not in lines:
                file.write((name + "\n").encode())
                lines.append(name)
        return lines.index(name)

    def _put(self, event, peer=0, flags=0, name=0, epoch=0):
        self._file.write(RECORD.pack(time.monotonic_ns(), 0, peer, event, 0, 0, flags, name, epoch, 0, 0, 0, 0, 0))

    def started(self, peer_id, epoch):
        self._put(STARTED, peer=self._line(peer_id), epoch=epoch)

    def ended(self, peer_id, epoch, killed):
        self._put(ENDED, peer=self._line(peer_id), epoch=epoch, flags=KILLED if killed else 0)

    def fault_on(self, name):
        self._put(FAULT_ON, name=self._line(name))

    def fault_off(self, name, bit):
        self._put(FAULT_OFF, name=self._line(name), flags=BIT if bit else 0)

    def quiet(self):
        self._put(QUIET)

    def close(self):
        self._file.close()
