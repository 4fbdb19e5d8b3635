"""The ledger alone: installed, found by CMake, in a service of somebody else, which it tells of its leak."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = os.environ["PEERMESH_BUILD"]


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def say(words, address):
    """Echo.Say without stubs: field 1 is a string."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/example.Echo/Say")
        return call(bytes([10, len(words)]) + words.encode(), timeout=10, wait_for_ready=True)


def service_lives(service):
    """Lets a moment pass."""
    try:
        code = service.wait(0.2)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"the service ended with {code}")


def main():
    with tempfile.TemporaryDirectory(prefix="peermesh-ledger.") as directory:
        place = pathlib.Path(directory)
        run("cmake", "--install", BUILD, "--component", "ledger", "--prefix", place / "prefix")
        installed = sorted(str(path.relative_to(place / "prefix")) for path in (place / "prefix").rglob("*") if path.is_file())
        assert "lib/libpeermesh_ledger.a" in installed and "include/peermesh/metrics/ledger/handle.h" in installed, installed
        strangers = [path for path in installed if "ledger" not in path]
        assert not strangers, f"installed beside the ledger: {strangers}"
        run("cmake", "-S", ROOT / "metrics/ledger/example", "-B", place / "build", "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={place / 'prefix'}", "-DCMAKE_BUILD_TYPE=Release")
        run("cmake", "--build", place / "build")
        address = f"unix:{place / 'echo.sock'}"
        with open(place / "log", "wb") as log:
            service = subprocess.Popen([place / "build" / "echo", address], stdout=log)
        try:
            assert say("hello", address)[2:] == b"hello"
            say("keep", address)
            end = time.monotonic() + 20
            while "buffer orphan: 1, born at" not in (text := (place / "log").read_text()):
                assert time.monotonic() < end, f"no verdict within 20 s:\n{text}"
                service_lives(service)
            assert "echo.cc:20" in text, text
        finally:
            service.kill()
            service.wait()
    print("the ledger, installed alone, found the leak of another program")


if __name__ == "__main__":
    sys.exit(main())
