"""The image of deploy/Dockerfile, built and run as deploy/compose.yaml says, without an engine and without a registry.

The base is a Debian made here; the programs are those of the build tree (compiling them in a fresh Debian is what
tests/minbase does). Each service gets a network namespace, the read-only root file system, the environment, the
command and the volumes that compose.yaml declares; a real Prometheus scrapes them with the configuration it mounts.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest

import compose_file
import debian
import harness
import namespaces

USER = 65532
PROMETHEUS = harness.find_tool("prometheus", "prometheus/usr/bin")
PATH = debian.PATH


def missing():
    if debian.missing():
        return debian.missing()
    for tool in ("buildah", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (deploy/install-deps test)"
    if PROMETHEUS is None:
        return "Prometheus is not unpacked (deploy/install-deps test)"
    if harness.SANITIZED:
        return "an image holds what is released"
    return namespaces.missing()


def run(*words, seconds=600, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=seconds, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Image:
    """Built once; `root` is its file system, `config` what an engine would read."""

    def __init__(self, place):
        self.place = place
        self.words = ["buildah", "--root", place / "storage", "--runroot", place / "runroot", "--storage-driver", "vfs"]
        self.environment = {**PATH, "HOME": str(place), "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(place)}
        debian.make(place / "base.tar", debian.libraries_packages())
        self.commit_binaries()
        self.buildah("bud", "--pull-never", "--isolation", "chroot", "--format", "docker", "--quiet",
                     "--build-arg", "BINARIES=localhost/binaries", "--build-arg", "REVISION=test",
                     "-f", compose_file.DEPLOY / "Dockerfile", "-t", "localhost/peermesh", compose_file.ROOT)
        self.config = json.loads(self.buildah("inspect", "--type", "image", "localhost/peermesh"))["Docker"]["config"]
        self.container = self.buildah("from", "--pull-never", "localhost/peermesh").strip()
        self.root = pathlib.Path(self.buildah("mount", self.container).strip())
        for name in ("proc", "dev"):  # an engine makes these
            (self.root / name).mkdir(exist_ok=True)
        for name in ("hosts", "resolv.conf"):
            (self.root / "etc" / name).touch()

    def buildah(self, *words):
        return run(*self.words, *words, env=self.environment, seconds=900)

    def commit_binaries(self):
        made = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", made, self.place / "base.tar", "/")
        for name in debian.PROGRAMS:
            stripped = self.place / name
            run("strip", "-o", stripped, harness.BIN / name)
            self.buildah("copy", "--quiet", made, stripped, f"/built/usr/bin/{name}")
        self.buildah("commit", "--quiet", made, "localhost/binaries")
        self.buildah("rm", made)


class Service:
    """A service of compose.yaml as a process."""

    def __init__(self, test, name):
        self.test, self.name = test, name
        self.declared = test.compose["services"][name]
        image = dict(word.split("=", 1) for word in test.image.config["Env"])
        self.environment = {**image, **self.declared.get("environment", {})}
        self.log = test.place / f"{name}.log"
        words = [*test.network.prefix(name), "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
                 sys.executable, compose_file.ROOT / "tests/deploy/container.py", test.image.root]
        named = {volume.split(":")[1] for volume in self.declared["volumes"]}
        unnamed = [f"{name}{path.replace('/', '-')}:{path}" for path in test.image.config["Volumes"] if path not in named]
        for volume in [*self.declared["volumes"], *unnamed, f"{test.place}/hosts:/etc/hosts:ro"]:
            words += ["--volume", self.bound(volume)]
        entrypoint = self.declared.get("entrypoint", test.image.config["Entrypoint"])
        words += ["--", *entrypoint, *self.declared["command"]]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in words], env={**PATH, **self.environment}, stdout=log, stderr=log)

    def bound(self, volume):
        """A named volume is a directory here; the first use takes over owner and mode of what it hides."""
        source, target, *options = volume.split(":")
        if not source.startswith("/"):
            hidden = (self.test.image.root / target.lstrip("/")).stat()
            source = self.test.place / "volumes" / source
            if not source.exists():
                source.mkdir(parents=True)
                os.chown(source, hidden.st_uid, hidden.st_gid)
                source.chmod(hidden.st_mode & 0o7777)
        return ":".join([str(source), target, *options])

    @property
    def pid(self):
        """The program's number out here; in there it is 1."""
        number = str(self.process.pid)
        while True:  # setpriv and ip become unshare, which has one child
            children = pathlib.Path(f"/proc/{number}/task/{number}/children").read_text().split()
            if not children:
                return number
            number = children[0]

    def inside(self, *words):
        """As `docker compose exec`."""
        return subprocess.run(["nsenter", "--target", self.pid, "--mount", "--net", "--pid", "--root", "--wd",
                               "--setuid", str(USER), "--setgid", str(USER), "--", *words],
                              env={**PATH, **self.environment}, capture_output=True, text=True, timeout=30)

    def healthy(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
        check = self.declared.get("healthcheck", {}).get("test") or self.test.image.config["Healthcheck"]["Test"]
        assert check[0] == "CMD"
        words = [check[1] if "/" in check[1] else f"/usr/bin/{check[1]}", *check[2:]]
        return self.inside(*words).returncode == 0

    def stop(self):
        """With the image's signal, as an engine does. Returns the exit code."""
        os.kill(int(self.pid), getattr(signal, self.test.image.config.get("StopSignal", "SIGTERM")))
        return self.process.wait(int(self.declared["stop_grace_period"].removesuffix("s")))


class ComposeUp(unittest.TestCase):
    def setUp(self):
        reason = missing()
        if reason:
            self.skipTest(reason)
        self.compose = compose_file.load()
        mesh = self.enterContext(harness.Mesh())  # for its directory: kept when a test fails
        self.place = mesh.dir
        self.image = Image(self.place)
        self.addCleanup(subprocess.run, [*map(str, self.image.words), "rm", self.image.container], capture_output=True)
        self.network = self.enterContext(namespaces.Network(list(self.compose["services"])))
        (self.place / "hosts").write_text("127.0.0.1 localhost\n" + "".join(
            f"{self.network.address(name)} {name}\n" for name in self.compose["services"]))
        self.services = {}

    def start(self, name):
        service = self.services[name] = Service(self, name)
        self.addCleanup(service.process.wait)
        self.addCleanup(service.process.kill)
        return service

    def check_image(self):
        config = self.image.config
        self.assertEqual(config["User"], f"{USER}:{USER}")
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/bin/peermesh", "health"])
        self.assertEqual(config["StopSignal"], "SIGTERM")
        self.assertEqual(config["Labels"]["org.opencontainers.image.revision"], "test")
        self.assertFalse((self.image.root / "bin/sh").exists() or (self.image.root / "usr/bin/sh").exists())
        status = list((self.image.root / "var/lib/dpkg/status.d").iterdir())
        self.assertIn("libc6", [path.name for path in status])
        size = sum(path.lstat().st_size for path in self.image.root.rglob("*") if path.is_file() and not path.is_symlink())
        harness.figure("image_size", size / 2**20, "MiB", "<= 80")
        self.assertLessEqual(size, 80 * 2**20)

    def start_prometheus(self):
        """Debian's, where compose.yaml would put an image's: the same configuration, the same names."""
        config = self.place / "prometheus"
        shutil.copytree(compose_file.DEPLOY / "prometheus", config)
        text = (config / "prometheus.yaml").read_text()
        (config / "prometheus.yaml").write_text(text.replace("15s", "1s"))
        self.assertIn("./prometheus:/etc/prometheus:ro", self.compose["services"]["prometheus"]["volumes"])
        words = f"mount --make-rprivate / && mount --bind {self.place}/hosts /etc/hosts && exec {PROMETHEUS} " \
                f"--config.file={config}/prometheus.yaml --storage.tsdb.path={self.place}/tsdb --web.listen-address=127.0.0.1:9090"
        with open(self.place / "prometheus.log", "wb") as log:
            process = subprocess.Popen([*self.network.prefix("prometheus"), "setpriv", "--pdeathsig", "KILL", "unshare", "--mount",
                                        "sh", "-c", words], stdout=log, stderr=log, env=PATH)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def ask(self, path):
        read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
        done = subprocess.run([*self.network.prefix("prometheus"), "/usr/bin/python3", "-c", read, f"http://127.0.0.1:9090/api/v1/{path}"],
                              capture_output=True, text=True, timeout=30, env=PATH)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    def test_it_comes_up_and_prometheus_sees_three_peers(self):
        self.check_image()
        ca = self.start("ca")
        harness.wait_for(ca.healthy, 30, "the CA to be healthy")
        for name in compose_file.PEERS:
            self.start(name)
        for name in compose_file.PEERS:
            harness.wait_for(self.services[name].healthy, 30, f"{name} to be healthy")
        harness.wait_for(lambda: self.peers("alpha").count(" connected") == 2, 30, "alpha to be linked to both")

        sub = subprocess.Popen(["nsenter", "--target", self.services["beta"].pid, "--all", "--root", "--wd", "--",
                                "/usr/bin/peermesh", "sub", "hello.>", "--count", "1", "--timeout", "20s"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**PATH, **self.services["beta"].environment}, text=True)
        self.addCleanup(sub.kill)

        def arrived():
            self.services["alpha"].inside("/usr/bin/peermesh", "pub", "hello.world", "hi")
            return sub.poll() is not None
        harness.wait_for(arrived, 20, "a message from alpha to beta")
        self.assertIn("hi", sub.communicate()[0])

        self.start_prometheus()
        harness.wait_for(lambda: self.ask("status/buildinfo"), 60, "Prometheus")
        up = harness.wait_for(self.all_up, 60, "three targets to be up")
        self.assertEqual(up, {f"{name}:9464" for name in compose_file.PEERS})
        records = {rule["name"] for group in self.ask("rules")["groups"] for rule in group["rules"]}
        self.assertLessEqual({"PeerMeshDown", "job_instance:process_open_fds:ratio"}, records)
        self.assertEqual([alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"], [])

        for name in (*compose_file.PEERS, "ca"):
            self.assertEqual(self.services[name].stop(), 0, self.services[name].log.read_text())

    def peers(self, name):
        return self.services[name].inside("/usr/bin/peermesh", "peers").stdout

    def all_up(self):
        targets = (self.ask("targets") or {}).get("activeTargets", [])
        up = {target["labels"]["instance"] for target in targets if target["health"] == "up"}
        return up if len(up) == len(compose_file.PEERS) else None


if __name__ == "__main__":
    harness.main()
