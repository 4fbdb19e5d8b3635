"""Shows who is in the mesh and every change; resumes where it was when the stream breaks."""

import queue
import sys
import time

import grpc

import connect
from peermesh.v1.peers_pb2 import PeerEventType, PeerState, WatchPeersRequest
from peermesh.v1.peers_pb2_grpc import PeersServiceStub


def watch(stub, token, once):
    """Prints one stream's changes; returns the token to resume with."""
    requests = queue.Queue()
    requests.put(WatchPeersRequest(resume_token=token))
    try:
        for response in stub.WatchPeers(iter(requests.get, None)):
            if response.reset:
                print("-- a new table follows")
            for event in response.events:
                kind = PeerEventType.Name(event.type).removeprefix("PEER_EVENT_TYPE_").lower()
                state = PeerState.Name(event.peer.state).removeprefix("PEER_STATE_").lower()
                print(f"{kind:9} {event.peer.name:16} {event.peer.id[:8]} {state}", flush=True)
            token = response.resume_token
            if response.synced:
                print("-- complete", flush=True)
                if once:
                    return None
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        print("connection lost; trying again", file=sys.stderr)
        time.sleep(1)
    finally:
        requests.put(None)
    return token


def main():
    options = connect.parser(__doc__)
    options.add_argument("--once", action="store_true", help="stop when the table is complete")
    arguments = options.parse_args()
    with connect.errors(), connect.connect(arguments) as channel:
        stub = PeersServiceStub(channel)
        token = b""
        while token is not None:
            token = watch(stub, token, arguments.once)


if __name__ == "__main__":
    main()
