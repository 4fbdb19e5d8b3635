"""deploy/compose.yaml and deploy/Dockerfile in a real engine, with the commands that README.md and compose.yaml name.

The engine is the test's own (engine.py); it reaches no registry, so the bases are made here: a Debian, and Debian's
Prometheus under the name of the one that compose.yaml asks for. The programs are those of the build tree, by the
Dockerfile's BINARIES; compile_stage_test.py compiles them in a container.
"""

import json
import re
import shlex
import shutil
import subprocess
import unittest

import compose_file
import debian
import engine
import harness

PROMETHEUS = harness.find_tool("prometheus", "prometheus/usr/bin")
PROMETHEUS_IMAGE = f"""FROM {engine.BASE}
COPY prometheus /bin/prometheus
RUN mkdir -p /prometheus /etc/prometheus && chown 65534:65534 /prometheus
USER nobody
WORKDIR /prometheus
VOLUME ["/prometheus"]
ENTRYPOINT ["/bin/prometheus"]
"""
BINARIES_IMAGE = f"FROM {engine.BASE}\nCOPY {' '.join(debian.PROGRAMS)} /built/usr/bin/\n"
# `docker` of README.md in a shell that is no terminal, for whichever compose there is; 1.29 has no `cp`.
SHIM = """#!/bin/bash
[ "$1" = compose ] || exec {docker} "$@"
shift
export COMPOSE_FILE=$COMPOSE_FILE:{override}
compose() {{ {words} "$@"; }}
case $1 in
  exec) shift; compose exec -T "$@" ;;
  cp) {docker} cp "$(compose ps -q "${{2%%:*}}"):${{2#*:}}" "$3" ;;
  *) compose "$@" ;;
esac
"""
OVERRIDE = {"services": {"ca": {"build": {"args": {"BINARIES": "binaries", "REVISION": "test"}}}}}


def missing():
    if engine.missing():
        return engine.missing()
    return "" if PROMETHEUS else "Prometheus is not unpacked (deploy/install-deps test)"


class ComposeReal(unittest.TestCase):
    def setUp(self):
        reason = missing()
        if reason:
            self.skipTest(reason)
        mesh = self.enterContext(harness.Mesh())  # for its directory: kept when a test fails
        self.place = mesh.dir
        self.engine = self.enterContext(engine.Engine(self.place / "engine"))
        self.words = self.engine.find_compose()
        if self.words is None:
            self.skipTest("docker compose is not there (deploy/install-deps engine)")
        self.make_images()
        self.make_checkout()
        self.addCleanup(self.print_logs)

    def make_images(self):
        self.engine.make_base(debian.libraries_packages())
        declared = compose_file.load()["services"]["prometheus"]["image"]
        self.engine.make_image(declared.removeprefix("docker.io/"), PROMETHEUS_IMAGE, [PROMETHEUS])
        for name in debian.PROGRAMS:
            debian.run("strip", "-o", self.place / name, harness.BIN / name)
        self.engine.make_image("binaries", BINARIES_IMAGE, [self.place / name for name in debian.PROGRAMS])
        (self.place / "override.yaml").write_text(json.dumps(OVERRIDE))

    def make_checkout(self):
        """A clean one, with all that compose and the commands need; what they write is in it."""
        self.source = self.place / "checkout"
        shutil.copytree(compose_file.ROOT, self.source, symlinks=True,
                        ignore=shutil.ignore_patterns(".git", "build*", "tests", "__pycache__", "node_modules"))
        shim = self.place / "bin/docker"
        shim.parent.mkdir()
        docker = shutil.which("docker", path=engine.PROGRAMS)
        shim.write_text(SHIM.format(docker=docker, words=shlex.join(self.words), override=self.place / "override.yaml"))
        shim.chmod(0o755)

    def read_me(self):
        """The block of README.md, as it stands there."""
        text = (self.source / "README.md").read_text()
        return re.search(r"compose_real_test\.py runs this block.*?```sh\n(.*?)```", text, re.DOTALL)[1]

    def compose(self, *words, seconds=120):
        files = ["-f", self.source / "deploy/compose.yaml", "-f", self.place / "override.yaml"]
        return self.engine.run(*self.words, *files, *words, seconds=seconds)

    def inside(self, service, *words):
        return self.compose("exec", "-T", service, "peermesh", *words)

    def containers(self):
        names = ("ca", *compose_file.PEERS, "prometheus")
        return {name: json.loads(self.engine.run("docker", "inspect", self.compose("ps", "-q", name).strip()))[0] for name in names}

    def print_logs(self):
        if not self._outcome.success:
            print(self.compose("logs", "--no-color", "--tail", "50"))

    def linked(self, name):
        return self.inside(name, "peers").count(" connected") == 2

    def on_the_host(self, *words, **options):
        return debian.run(*self.engine.inside(), *words, **options)

    def test_a_user_starts_it_uses_it_breaks_it_and_ends_it(self):
        self.check_read_me()
        self.check_start()
        self.check_messages()
        self.check_metrics()
        self.check_kill_and_crash()
        self.check_that_a_mesh_survives_down()
        self.check_end()

    def check_read_me(self):
        """From nothing to a Python program outside of the containers that publishes and hears itself."""
        environment = {**self.engine.environment, "PATH": f"{self.place}/bin:{self.engine.environment['PATH']}"}
        text = "set -euo pipefail\n" + self.read_me().replace("up --build --detach", "up --build --detach\ndocker ps --format '{{.Status}}'")
        said = debian.run(*self.engine.inside(), "bash", "-c", text, cwd=self.source, env=environment, seconds=600)
        self.assertEqual(said.count("(healthy)"), 4, "up --detach returns when all are healthy, nobody needs to wait or to look")
        self.assertIn("no findings", said)
        self.assertIn("\npeermesh_messages", said)
        self.assertTrue(said.endswith("\nhi from Python\n"), said)
        identity = self.source / "reporter"
        self.assertEqual((identity / "key.pem").stat().st_mode & 0o777, 0o600)
        words = ("--address", "localhost:7443", "--identity", identity, "peers")
        peers = self.on_the_host(harness.BIN / "peermesh", *words, seconds=30)
        for name in compose_file.PEERS:
            self.assertIn(name, peers)

    def check_start(self):
        for name, container in self.containers().items():
            self.assertTrue(container["State"]["Running"], name)
            if name != "prometheus":
                self.assertEqual(container["State"]["Health"]["Status"], "healthy", name)
                self.assertEqual(container["Config"]["User"], "65532:65532")
                status = debian.run(*self.engine.among(), "cat", f"/proc/{container['State']['Pid']}/status")
                self.assertRegex(status, r"CapEff:\t0+\n")
                self.assertRegex(status, r"NoNewPrivs:\t1\n")
                self.assertRegex(status, r"Seccomp:\t2\n")
        for name in compose_file.PEERS:
            harness.wait_for(lambda: self.linked(name), 20, f"{name} to be linked to both others")
        size = json.loads(self.engine.run("docker", "inspect", "peermesh:local"))[0]["Size"]
        harness.figure("image_size", size / 2**20, "MiB", "<= 45")
        self.assertLessEqual(size, 45 * 2**20)

    def check_messages(self):
        words = [*self.words, "-f", self.source / "deploy/compose.yaml", "exec", "-T", "beta", "peermesh", "sub", "hello.>",
                 "--count", "1", "--timeout", "30s"]
        subscriber = subprocess.Popen([str(word) for word in words], env=self.engine.environment, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(subscriber.kill)
        self.assertIn("Subscribed", subscriber.stderr.readline())
        self.inside("alpha", "pub", "hello.world", "hi")
        self.assertRegex(subscriber.communicate(timeout=30)[0], r"^hello\.world \[alpha #\d+\] hi\n$")

    def check_metrics(self):
        def up():
            told = subprocess.run([*self.engine.inside(), "curl", "-sf", "http://localhost:9090/api/v1/targets"],
                                  capture_output=True, text=True)
            targets = json.loads(told.stdout)["data"]["activeTargets"] if told.returncode == 0 else []
            return {target["labels"]["peer"] for target in targets if target["health"] == "up"} == set(compose_file.PEERS)
        harness.wait_for(up, 60, "Prometheus to see three peers")

    def check_kill_and_crash(self):
        """Killed by an operator it stays down until started; killed by anything else it comes back by itself."""
        self.compose("kill", "-s", "KILL", "beta")
        harness.wait_for(lambda: re.search(r"beta .* (suspect|dead)", self.inside("alpha", "peers")), 30, "alpha to miss beta")
        self.compose("start", "beta")
        harness.wait_for(lambda: self.linked("alpha"), 30, "beta to be back")
        gamma = self.containers()["gamma"]
        debian.run(*self.engine.among(), "kill", "-KILL", gamma["State"]["Pid"])

        def again():
            now = self.containers()["gamma"]
            return now["RestartCount"] == gamma["RestartCount"] + 1 and now["State"]["Health"]["Status"] == "healthy"
        harness.wait_for(again, 30, "gamma to be started again")
        harness.wait_for(lambda: self.linked("gamma"), 30, "gamma to be back")

    def check_that_a_mesh_survives_down(self):
        ids = re.findall(r"^(alpha|beta|gamma) +(\w+)", self.inside("alpha", "peers"), re.MULTILINE)
        self.compose("down")
        self.compose("up", "--detach")
        harness.wait_for(lambda: self.linked("alpha"), 30, "the mesh to be there again")
        self.assertEqual(re.findall(r"^(alpha|beta|gamma) +(\w+)", self.inside("alpha", "peers"), re.MULTILINE), ids)

    def check_end(self):
        for name in ("ca", *compose_file.PEERS):
            self.compose("stop", name)
            self.assertEqual(self.containers_exit(name), 0, name)
        self.compose("down", "--volumes")
        self.assertEqual(self.engine.run("docker", "volume", "ls", "-q"), "")
        self.assertEqual(self.engine.run("docker", "ps", "-aq"), "")
        self.assertNotIn("peermesh", self.engine.run("docker", "network", "ls"))

    def containers_exit(self, name):
        words = ("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.service={name}")
        return json.loads(self.engine.run("docker", "inspect", self.engine.run(*words).strip()))[0]["State"]["ExitCode"]


if __name__ == "__main__":
    harness.main()
