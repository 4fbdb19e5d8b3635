"""What a run did to its peers, as a file of a history: see tests/history/record.h."""

import fcntl
import struct
import time

STARTED, ENDED, FAULT_ON, FAULT_OFF, QUIET, BOOKS = 1, 2, 40, 41, 42, 43
KILLED, BIT = 1, 2
PUBLISHED, DELIVERED, REFUSED_RATE, REFUSED_OTHER, ANNOUNCED = 1, 2, 3, 4, 5  # Book
LOSS_REASONS = ["none", "slow_subscriber", "slow_link", "link_lost", "missing"]
SERIES = {'peermesh_messages_total{event="published"}': (PUBLISHED, 0),
          'peermesh_messages_total{event="delivered"}': (DELIVERED, 0),
          'peermesh_publishes_refused_total{reason="rate_limited"}': (REFUSED_RATE, 0),
          'peermesh_publishes_refused_total{reason="other"}': (REFUSED_OTHER, 0),
          **{f'peermesh_gap_numbers_total{{reason="{reason}"}}': (ANNOUNCED, number)
             for number, reason in enumerate(LOSS_REASONS) if number > 0}}
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

    def _put(self, event, peer=0, flags=0, name=0, epoch=0, *, at=None, reason=0, channel=0, sequence=0):
        self._file.write(RECORD.pack(at or time.monotonic_ns(), 0, peer, event, reason, 0, flags, name, epoch, channel,
                                     0, sequence, 0, 0))

    def started(self, peer_id, epoch):
        self._put(STARTED, peer=self._line(peer_id), epoch=epoch)

    def ended(self, peer_id, epoch, killed):
        self._put(ENDED, peer=self._line(peer_id), epoch=epoch, flags=KILLED if killed else 0)

    def fault_on(self, name):
        self._put(FAULT_ON, name=self._line(name))

    def fault_off(self, name, bit):
        self._put(FAULT_OFF, name=self._line(name), flags=BIT if bit else 0)

    def books(self, peer_id, epoch, at, metrics):
        """What the metrics of a process say, series -> value, asked for at `at` (time.monotonic_ns())."""
        peer = self._line(peer_id)
        for series, (book, loss_reason) in SERIES.items():
            self._put(BOOKS, peer, epoch=epoch, at=at, reason=book, channel=loss_reason, sequence=int(metrics[series]))

    def quiet(self):
        self._put(QUIET)

    def close(self):
        self._file.close()
