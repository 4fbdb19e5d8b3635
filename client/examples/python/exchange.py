"""Echo over one stream: subscribes, publishes to itself, and measures the round trip."""

import queue
import time

import connect
from peermesh.v1.message_pb2 import Message
from peermesh.v1.messaging_pb2 import ExchangeHello, ExchangeRequest, Subscription
from peermesh.v1.messaging_pb2_grpc import MessagingServiceStub


def main():
    options = connect.parser(__doc__)
    options.add_argument("--subject", default="echo.python")
    options.add_argument("--count", type=int, default=10)
    arguments = options.parse_args()
    requests = queue.Queue()
    with connect.errors(), connect.connect(arguments) as channel:
        # None ends the iterator: the stream is half-closed.
        frames = MessagingServiceStub(channel).Exchange(iter(requests.get, None))
        requests.put(ExchangeRequest(hello=ExchangeHello(client="python/example")))
        welcome = next(frames).welcome
        print(f"connected to {welcome.peer_name} in mesh {welcome.mesh_id}")
        requests.put(ExchangeRequest(subscribe=[Subscription(id=1, subject=arguments.subject)]))
        while not next(frames).subscribed:
            pass
        times = []
        for number in range(1, arguments.count + 1):
            start = time.perf_counter()
            message = Message(subject=arguments.subject, payload=str(number).encode())
            requests.put(ExchangeRequest(publish_id=number, messages=[message]))
            accepted = received = False
            while not (accepted and received):
                frame = next(frames)
                accepted |= any(published.publish_id == number and published.HasField("accepted")
                                for published in frame.published)
                received |= any(message.payload == str(number).encode() for message in frame.messages)
            times.append(time.perf_counter() - start)
        requests.put(ExchangeRequest(unsubscribe=[1]))
        requests.put(None)
        for _ in frames:
            pass
    print(f"{len(times)} round trips, fastest {min(times) * 1e6:.0f} us")


if __name__ == "__main__":
    main()
