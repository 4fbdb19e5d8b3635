"""A container engine of the test's own: Debian's dockerd, in namespaces, with everything it keeps in one directory.

    with engine.Engine(place) as docker:
        docker.run("docker", "build", ...); docker.compose("up", "--detach")

Nothing on this host sees it: its network is a namespace (10.77.0.0/16 in there), its processes end with it, and no
service is installed. It reaches no registry: images are made here, under the names that files ask for. With
`network="host"` it makes no network at all and RUN may reach a Debian mirror, but nothing can be published.
"""

import glob
import os
import pathlib
import shutil
import signal
import subprocess

import debian
import harness
import namespaces

BASE = "debian:bookworm-slim"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "peermesh/tools")
WHERE = {"dockerd": "docker.io/usr/sbin", "docker": "docker.io/usr/bin", "containerd": "containerd/usr/bin", "runc": "runc/usr/sbin"}
PROGRAMS = ":".join([*(str(CACHE / where) for where in WHERE.values()), debian.PATH["PATH"]])
# What another engine has in /run is not to be seen.
START = """set -e
for one in containerd docker; do mkdir -p /run/$one; mount -t tmpfs none /run/$one; done
exec "$@" """


def missing():
    """Why no engine can run here, or nothing."""
    if debian.missing():
        return debian.missing()
    if harness.SANITIZED:
        return "an image holds what is released"
    for tool in ("iptables", *WHERE):
        if shutil.which(tool, path=PROGRAMS) is None:
            return f"{tool} is not there (deploy/install-deps engine)"
    return namespaces.missing()


class Engine:
    def __init__(self, place, network="own"):
        self.place, self.host = pathlib.Path(place), network == "host"
        self.space = f"pm{os.getpid()}-engine"
        self.group = f"pm{os.getpid()}"
        self.environment = {"PATH": PROGRAMS, "HOME": str(self.place), "TMPDIR": str(self.place), "DOCKER_BUILDKIT": "1",
                            "DOCKER_HOST": f"unix://{self.place}/docker.sock"}

    def __enter__(self):
        self.place.mkdir(exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def _start(self):
        network = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        if not self.host:
            network = ["--bip", "10.77.255.1/24", "--default-address-pool", "base=10.77.0.0/17,size=24"]
            debian.run("ip", "netns", "add", self.space)
            debian.run("ip", "-n", self.space, "link", "set", "lo", "up")
        words = [*self.inside(), "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "--propagation", "private", "sh", "-c", START, "sh", "dockerd",
                 "--host", self.environment["DOCKER_HOST"], "--data-root", self.place / "data",
                 "--exec-root", self.place / "exec", "--pidfile", self.place / "pid", "--cgroup-parent", self.group, *network]
        self.log = self.place / "dockerd.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, env=self.environment)
        harness.wait_for(self._answers, 30, f"dockerd to answer; see {self.log}")

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return subprocess.run(["docker", "version"], env=self.environment, capture_output=True).returncode == 0

    def close(self):
        process = getattr(self, "process", None)
        if process is not None and process.poll() is None:
            for child in self._children():  # dockerd, process 1 in there: all others end with it
                os.kill(child, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True)
        for group in sorted(glob.glob(f"/sys/fs/cgroup/**/{self.group}/", recursive=True), key=len, reverse=True):
            for directory, _, _ in os.walk(group, topdown=False):
                if os.path.isdir(directory):
                    os.rmdir(directory)

    def _children(self):
        return [int(word) for word in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def inside(self):
        """Words that run a program where ports are published."""
        return [] if self.host else ["nsenter", f"--net={namespaces.NETNS}/{self.space}"]

    def among(self):
        """Words that run a program among the engine's processes, whose numbers are the ones it tells."""
        return ["nsenter", "--target", str(self._children()[0]), "--pid", "--mount", "--"]

    def run(self, *words, seconds=120, **options):
        return debian.run(*words, seconds=seconds, env=self.environment, **options)

    def make_base(self, packages=()):
        """The image that deploy/Dockerfile starts FROM."""
        debian.make(self.place / "base.tar", packages)
        self.run("docker", "import", self.place / "base.tar", BASE)

    def make_image(self, name, dockerfile, files):
        context = self.place / f"context-{name.partition(':')[0].replace('/', '-')}"
        context.mkdir()
        (context / "Dockerfile").write_text(dockerfile)
        for file in files:
            shutil.copy(file, context)
        self.run("docker", "build", "--quiet", "--tag", name, context)

    def find_compose(self):
        """Compose 2 if this host has it; else Debian's 1.29. Returns words, or nothing."""
        if subprocess.run(["docker", "compose", "version"], env=self.environment, capture_output=True).returncode == 0:
            return ["docker", "compose"]
        script = shutil.which("docker-compose", path=PROGRAMS) or CACHE / "docker-compose/usr/bin/docker-compose"
        if not os.path.exists(script):
            return None
        self.environment["PYTHONPATH"] = ":".join(glob.glob(f"{CACHE}/*/usr/lib/python3/dist-packages"))
        return ["/usr/bin/python3", "-W", "ignore", str(script)]
