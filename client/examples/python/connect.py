"""What the examples share: options, a channel to a peer, and errors in words."""

import argparse
import contextlib
import os
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2, status_pb2


def parser(description):
    """Options that say where the peer is."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--socket", default=os.environ.get("PEERMESH_SOCKET", "/run/peermesh/app.sock"),
                         help="application socket of the peer on this host")
    options.add_argument("--address", default=os.environ.get("PEERMESH_ADDRESS"),
                         help="host:port of a peer on another host")
    options.add_argument("--identity", default=os.environ.get("PEERMESH_IDENTITY"),
                         help='directory made by "peermesh client add", for --address')
    return options


def connect(arguments):
    """A channel: over the socket, or over mutual TLS with a client identity."""
    if not arguments.address:
        return grpc.insecure_channel(f"unix:{arguments.socket}")
    if not arguments.identity:
        sys.exit("--address needs --identity")
    directory = pathlib.Path(arguments.identity)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(directory / "ca.pem").read_bytes(),
        private_key=(directory / "key.pem").read_bytes(),
        certificate_chain=(directory / "cert.pem").read_bytes())
    return grpc.secure_channel(arguments.address, credentials)


def reason(error):
    """The ErrorInfo reason of a failed call, such as RATE_LIMITED."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info.reason
    return error.code().name


@contextlib.contextmanager
def errors():
    """Ends the program with one line instead of a stack when a call fails."""
    try:
        yield
    except grpc.RpcError as error:
        sys.exit(f"{error.details()} [{reason(error)}]")
    except KeyboardInterrupt:
        sys.exit(130)
