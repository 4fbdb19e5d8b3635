"""Numbered messages published without a pause, and the account of what became of them."""

import threading
import time

import grpc

import harness


class Publisher:
    """Publishes numbered messages on a thread until it is stopped; payloads are the numbers in decimal."""

    def __init__(self, peer, subject, batch=10, size=0, pause=0.002, stub=None):
        self.subject, self.batch, self.size, self.pause = subject, batch, size, pause
        self.count = 0         # messages accepted so far
        self.ranges = {}       # channel -> (first number, last number)
        self.slowest = 0.0     # seconds, of one call
        self.error = None
        self._stub = stub or peer.messaging
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(self.pause):
            messages = [(self.subject, b"%d" % n + b" " * self.size)
                        for n in range(self.count, self.count + self.batch)]
            begin = time.monotonic()
            try:
                response = self._stub.Publish(harness.batch(*messages), timeout=30)
            except grpc.RpcError as error:
                self.error = harness.Refusal(error)
                return
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.count += self.batch
            for numbers in response.numbers:
                first, _ = self.ranges.get(numbers.channel, (numbers.first, 0))
                self.ranges[numbers.channel] = (first, numbers.last)

    def wait_more(self, messages, seconds=15):
        """Until that many more were accepted."""
        goal = self.count + messages
        harness.wait_for(lambda: self.count >= goal or self.error, seconds, f"{messages} more messages to be published")
        assert self.error is None, f"publishing failed: {self.error!r}"

    def stop(self):
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive() and self.error is None, f"publishing failed: {self.error!r}"
        return self.count


def numbers(stream):
    """The payloads of a Publisher that arrived, in order."""
    return [int(payload) for payload in stream.payloads()]


def lost_numbers(stream, origin_id_bytes, channel):
    lost = set()
    for gap in stream.lost:
        if gap.origin == origin_id_bytes and gap.channel == channel:
            lost |= set(range(gap.first, gap.last + 1))
    return lost


def account(test, stream, published, origin_id_bytes):
    """Asserts that each number of `published`, channel -> (first, last), arrived once or was announced as lost, and
    never both. Returns how many were lost."""
    total = 0
    for channel, (first, last) in published.items():
        wanted = set(range(first, last + 1))
        arrived = [event.sequence for event in stream.arrived
                   if event.origin == origin_id_bytes and event.channel == channel and event.sequence in wanted]
        test.assertEqual(sorted(set(arrived)), arrived, "numbers arrive once and in order")
        lost = lost_numbers(stream, origin_id_bytes, channel) & wanted
        test.assertFalse(lost & set(arrived), "nothing is both announced as lost and delivered")
        missing = wanted - lost - set(arrived)
        test.assertFalse(missing, f"{len(missing)} numbers neither arrived nor were announced: {sorted(missing)[:10]}")
        total += len(lost)
    return total


def settled(stream, published, origin_id_bytes):
    """Whether the last number of every range has arrived or was announced as lost."""
    for channel, (_, last) in published.items():
        seen = max((event.sequence for event in stream.arrived
                    if event.origin == origin_id_bytes and event.channel == channel), default=0)
        seen = max([seen, *(gap.last for gap in stream.lost
                            if gap.origin == origin_id_bytes and gap.channel == channel)])
        if seen < last:
            return False
    return True
