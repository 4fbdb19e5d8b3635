"""Prints the payload of every message that matches, and says when some were lost."""

import sys

import connect
from peermesh.v1.messaging_pb2 import SubscribeRequest
from peermesh.v1.messaging_pb2_grpc import MessagingServiceStub


def main():
    options = connect.parser(__doc__)
    options.add_argument("subject", nargs="+", help="such as orders.new, orders.* or 'orders.>'")
    options.add_argument("--count", type=int, default=0, help="stop after so many messages")
    arguments = options.parse_args()
    count = 0
    with connect.errors(), connect.connect(arguments) as channel:
        frames = MessagingServiceStub(channel).Subscribe(SubscribeRequest(subjects=arguments.subject))
        for frame in frames:
            if frame.HasField("subscribed"):
                print("subscribed", file=sys.stderr, flush=True)
            for gap in frame.gaps:
                print(f"lost: {gap.to - getattr(gap, 'from') + 1} messages", file=sys.stderr)
            for message in frame.messages:
                sys.stdout.buffer.write(message.payload + b"\n")
                count += 1
                if count == arguments.count:
                    return
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
