"""A small network of network namespaces: hosts on one bridge whose packets can be made to vanish.

    with namespaces.Network(["alpha", "beta"]) as network:
        network.address("alpha"), network.prefix("alpha")    # 10.77.0.1, words that run a program there
        network.unplug("beta"); network.plug("beta")
        network.part("alpha", "beta"); network.join("alpha", "beta")

Unplugging takes the host's port off the bridge: the host keeps its carrier and its routes, so its packets simply
never arrive, and nobody is told.
"""

import os
import re
import shutil
import subprocess

NETNS = "/run/netns"


def sweep():
    """Removes what networks of processes that were killed have left: their number is in the name."""
    for space in os.listdir(NETNS) if os.path.isdir(NETNS) else []:
        ours = re.fullmatch(r"pm(\d+)-[a-z]+", space)
        if ours and not os.path.exists(f"/proc/{ours[1]}"):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def missing():
    """Why there can be no namespaces here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "bridge", "nsenter"):
        if shutil.which(tool) is None:
            return f"`{tool}` is not installed (deploy/install-deps test)"
    sweep()
    trial = f"pm{os.getpid()}-trial"
    done = subprocess.run(["ip", "netns", "add", trial], capture_output=True, text=True)
    if done.returncode == 0:
        words = ["ip", "-n", trial, "link", "add", "br0", "type", "bridge"]
        done = subprocess.run(words, capture_output=True, text=True)
        subprocess.run(["ip", "netns", "del", trial], capture_output=True)
    return f"this kernel or container allows none: {done.stderr.strip()}" if done.returncode != 0 else ""


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


class Network:
    def __init__(self, hosts):
        self._hosts = {name: number for number, name in enumerate(hosts, 1)}
        self._hub = f"pm{os.getpid()}-hub"
        self._made = []

    def __enter__(self):
        try:
            self._make(self._hub)
            _run("ip", "-n", self._hub, "link", "add", "br0", "type", "bridge")
            _run("ip", "-n", self._hub, "link", "set", "br0", "up")
            for name in self._hosts:
                space = self._space(name)
                self._make(space)
                _run("ip", "-n", self._hub, "link", "add", self._port(name), "type", "veth", "peer", "name", "eth0",
                     "netns", space)
                self.plug(name)
                _run("ip", "-n", self._hub, "link", "set", self._port(name), "up")
                _run("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    _run("ip", "-n", space, "link", "set", device, "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        for space in self._made:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
        self._made = []

    def _make(self, space):
        _run("ip", "netns", "add", space)
        self._made.append(space)

    def _space(self, name):
        return f"pm{os.getpid()}-{name}"

    def _port(self, name):
        return f"port{self._hosts[name]}"

    def address(self, name):
        return f"10.77.0.{self._hosts[name]}"

    def prefix(self, name):
        return ["nsenter", f"--net={NETNS}/{self._space(name)}"]

    def unplug(self, name):
        _run("ip", "-n", self._hub, "link", "set", self._port(name), "nomaster")

    def plug(self, name):
        _run("ip", "-n", self._hub, "link", "set", self._port(name), "master", "br0")

    def part(self, *names):
        """These hosts lose each other, and nobody else."""
        self._isolate(names, "on")

    def join(self, *names):
        self._isolate(names, "off")

    def _isolate(self, names, how):
        for name in names:
            _run("bridge", "-n", self._hub, "link", "set", "dev", self._port(name), "isolated", how)
