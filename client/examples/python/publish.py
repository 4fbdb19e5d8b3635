"""Publishes every line of standard input, in batches."""

import itertools
import sys

import connect
from peermesh.v1.message_pb2 import Message
from peermesh.v1.messaging_pb2 import PublishRequest
from peermesh.v1.messaging_pb2_grpc import MessagingServiceStub

BATCH = 256  # a batch is at most 1,024 messages


def main():
    options = connect.parser(__doc__)
    options.add_argument("subject")
    options.add_argument("--target", default="", help="only subscriptions on this peer")
    arguments = options.parse_args()
    count = 0
    with connect.errors(), connect.connect(arguments) as channel:
        mesh = MessagingServiceStub(channel)
        lines = (line.rstrip(b"\n") for line in sys.stdin.buffer)
        while batch := list(itertools.islice(lines, BATCH)):
            messages = [Message(subject=arguments.subject, payload=line) for line in batch]
            answer = mesh.Publish(PublishRequest(target=arguments.target, messages=messages), timeout=10)
            count += len(batch)
            for peer in answer.unreachable_peers:
                print(f"{peer[:8]} cannot be reached now", file=sys.stderr)
    print(f"published {count} messages", file=sys.stderr)


if __name__ == "__main__":
    main()
