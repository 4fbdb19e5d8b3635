"""An application on plain gRPC stubs, as anybody would write it in Python: publishes, subscribes, and prints what came.

    visitor_stub.py subscribe|exchange  --socket PATH | --address HOST:PORT --identity DIR
                    --publish SUBJECT --pattern PATTERN --rate MESSAGES_PER_SECOND

`subscribe` uses Subscribe, WatchPeers and one Publish for every message; `exchange` one Exchange stream. Prints `open` when
its subscription is in force, and from then on how many messages it got so far. When its standard input ends it leaves in
good order: exit code 0. When the peer leaves it: 9.
"""

import argparse
import os
import pathlib
import queue
import sys
import threading
import time

import grpc

from peermesh.v1 import message_pb2, messaging_pb2, messaging_pb2_grpc, peers_pb2, peers_pb2_grpc

LOST = 9
PRINT_SECONDS = 0.05
LABEL = [("peermesh-client", "visitor/1.0")]


def open_channel(options):
    settings = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    if options.socket:
        return grpc.insecure_channel(f"unix:{options.socket}", settings)
    files = [(pathlib.Path(options.identity) / f"{name}.pem").read_bytes() for name in ("ca", "key", "cert")]
    return grpc.secure_channel(options.address, grpc.ssl_channel_credentials(*files), settings)


class Visit:
    """What both ways share: counting, publishing at a rate, and the two ways to end."""

    def __init__(self, channel, options):
        self.options = options
        self.messaging = messaging_pb2_grpc.MessagingServiceStub(channel)
        self._calls = []
        self.leaving = threading.Event()
        self._channel = channel
        self._delivered, self._printed = 0, 0.0

    def arrived(self, count):
        self._delivered += count
        if time.monotonic() - self._printed >= PRINT_SECONDS:
            self._printed = time.monotonic()
            print(self._delivered, flush=True)

    def message(self):
        return message_pb2.Message(subject=self.options.publish, payload=b"from a stub in Python")

    def run(self):
        """Until one side leaves: the exit code."""
        threading.Thread(target=self._leave_with_input, daemon=True).start()
        try:
            self.stay()
            reason = "the peer ended the stream"
        except grpc.RpcError as error:
            reason = f"{error.code().name}: {error.details()}"
        if not self.leaving.is_set():
            print(f"{self._delivered}\nlost: {reason}", flush=True)
            return LOST
        self._channel.close()
        print(f"{self._delivered}\nleft", flush=True)
        return 0

    def _leave_with_input(self):
        sys.stdin.read()
        self.leaving.set()
        for call in self._calls:
            call.cancel()

    def began(self, call):
        """To be cancelled when we leave, which may have been meanwhile."""
        self._calls.append(call)
        if self.leaving.is_set():
            call.cancel()

    def every(self, publish):
        """Calls `publish` at the rate, on a thread, until somebody leaves."""

        def loop():
            try:
                while not self.leaving.wait(1 / self.options.rate):
                    publish()
            except (grpc.RpcError, ValueError):
                pass  # whoever reads will see why, too

        threading.Thread(target=loop, daemon=True).start()


class Subscriber(Visit):
    def stay(self):
        request = messaging_pb2.SubscribeRequest(subjects=[self.options.pattern])
        stream = self.messaging.Subscribe(request, metadata=LABEL)
        watch = peers_pb2_grpc.PeersServiceStub(self._channel).WatchPeers(self.asked(), metadata=LABEL)
        self.began(stream)
        self.began(watch)
        threading.Thread(target=self.watch, args=[watch], daemon=True).start()
        for frame in stream:
            if frame.HasField("subscribed"):
                print("open", flush=True)
                self.every(lambda: self.messaging.Publish(
                    messaging_pb2.PublishRequest(messages=[self.message()]), metadata=LABEL, timeout=10))
            self.arrived(len(frame.messages))

    def asked(self):
        yield peers_pb2.WatchPeersRequest()
        self.leaving.wait()

    @staticmethod
    def watch(call):
        try:
            for _ in call:
                pass
        except grpc.RpcError:
            pass


class Exchanger(Visit):
    def stay(self):
        requests, batches = queue.SimpleQueue(), iter(range(1, 1 << 62))
        requests.put(messaging_pb2.ExchangeRequest(hello=messaging_pb2.ExchangeHello(client="visitor")))
        requests.put(messaging_pb2.ExchangeRequest(
            subscribe=[messaging_pb2.Subscription(id=1, subject=self.options.pattern)]))
        stream = self.messaging.Exchange(iter(requests.get, None), metadata=LABEL)
        self.began(stream)
        for frame in stream:
            if frame.subscribed:
                print("open", flush=True)
                self.every(lambda: requests.put(messaging_pb2.ExchangeRequest(
                    publish_id=next(batches), messages=[self.message()])))
            self.arrived(len(frame.messages))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["subscribe", "exchange"])
    for name in ("socket", "address", "identity", "publish", "pattern"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--rate", type=float, default=10)
    options = parser.parse_args()
    visit = {"subscribe": Subscriber, "exchange": Exchanger}[options.way]
    os._exit(visit(open_channel(options), options).run())  # threads of gRPC may still be ending


if __name__ == "__main__":
    main()
