"""deploy/Dockerfile from its first line to its last, in a real engine: packages, compiler, image. A quarter of an hour
on two cores that do nothing else."""

import json
import re
import time
import unittest

import compose_file
import debian
import engine
import harness


class CompileStage(unittest.TestCase):
    def setUp(self):
        reason = engine.missing()
        if reason:
            self.skipTest(reason)
        mesh = self.enterContext(harness.Mesh())  # for its directory: kept when a test fails
        self.engine = self.enterContext(engine.Engine(mesh.dir / "engine", network="host"))

    def test_the_dockerfile_compiles_and_what_it_makes_serves(self):
        self.engine.make_base()
        began = time.monotonic()
        self.engine.run("docker", "build", "--network", "host", "--tag", "peermesh:local", "-f", compose_file.DEPLOY / "Dockerfile",
                        compose_file.ROOT, seconds=5000)
        harness.figure("image_build", time.monotonic() - began, "s")
        config = json.loads(self.engine.run("docker", "inspect", "peermesh:local"))[0]
        harness.figure("image_size", config["Size"] / 2**20, "MiB", "<= 45")
        self.assertLessEqual(config["Size"], 45 * 2**20)

        version = re.search(r"project\(peermesh VERSION ([\d.]+)", (compose_file.ROOT / "CMakeLists.txt").read_text())[1]
        none = ["docker", "run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"]
        for program in debian.PROGRAMS:
            said = self.engine.run(*none, "--entrypoint", f"/usr/bin/{program}", "peermesh:local", "--version")
            self.assertIn(version, said, program)
        with self.assertRaisesRegex(AssertionError, "no such file or directory"):
            self.engine.run(*none, "--entrypoint", "/bin/sh", "peermesh:local", "-c", "true")

        self.engine.run(*none[:2], "--detach", "--name", "one", *none[3:], "peermesh:local", "--create")
        harness.wait_for(lambda: self.health() == "healthy", 40, "a peer to be healthy by the image's own check")
        self.assertIn("no findings", self.engine.run("docker", "exec", "one", "peermesh", "leaks"))
        self.engine.run("docker", "stop", "one")
        self.assertEqual(self.state()["ExitCode"], 0)
        self.engine.run("docker", "rm", "--volumes", "one")
        self.assertEqual(self.engine.run("docker", "volume", "ls", "-q"), "")

    def state(self):
        return json.loads(self.engine.run("docker", "inspect", "one"))[0]["State"]

    def health(self):
        return self.state().get("Health", {}).get("Status")


if __name__ == "__main__":
    harness.main()
