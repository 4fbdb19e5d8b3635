"""Every command with --json prints objects that name their schema: "peermesh.", the command with dots, ".v1"."""

import json
import os
import re
import subprocess

import harness

SECONDS = 30


class JsonOutput(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def run_json(self, *words):
        """The objects that a command prints, one a line or one in all."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.mesh.dir), "XDG_CONFIG_HOME": str(self.mesh.dir / "config")}
        done = subprocess.run([harness.BIN / "peermesh", "--data-dir", self.alpha.dir, *map(str, words), "--json"], env=environment,
                              capture_output=True, text=True, timeout=SECONDS)
        self.assertIn(done.returncode, (0, 10, 11), f"{words}: {done.stderr}")
        try:
            return [json.loads(done.stdout)]
        except json.JSONDecodeError:
            return [json.loads(line) for line in done.stdout.splitlines()]

    def commands(self, *path):
        """Every command of the program that does something, by what --help lists."""
        done = subprocess.run([harness.BIN / "peermesh", *path, "--help"], capture_output=True, text=True, timeout=SECONDS)
        below = re.findall(r"^  ([a-z]+)  +[A-Z]", done.stdout, re.MULTILINE)
        alone = not below or path in (("peers",), ("leaks",))  # these two do something by themselves, too
        return ([path] if alone else []) + [command for name in below for command in self.commands(*path, name)]

    def test_every_command_names_its_schema(self):
        token = self.run_json("token", "create")[0]["info"]["id"]
        arguments = {
            "peers show": ["beta"], "peers ping": ["beta", "--count", "1"], "config show": ["--running"],
            "context add": ["one"], "context use": ["one"], "context show": ["one"], "context rm": ["one"],
            "errors lookup": ["DRAINING"], "completion": ["bash"], "snippet": ["python"], "pub": ["json.a", "x"], "send": ["alpha", "x"],
            "sub": ["json.>", "--timeout", "50ms"], "token revoke": [token], "client add": ["json", "--out", self.mesh.dir / "json"],
            "leaks show": None, "drain": None, "up": None}  # none: below
        self.keep(self.alpha.subscribe("direct"))
        seen = []
        for path in self.commands():
            name = " ".join(path)
            seen.append(name)
            if arguments.get(name, []) is None:
                continue
            with self.subTest(name):
                for line in self.run_json(*path, *arguments.get(name, [])):
                    self.assertEqual(next(iter(line)), "schema")
                    self.assertEqual(line["schema"], f"peermesh.{name.replace(' ', '.')}.v1")
        self.assertEqual(set(arguments) - set(seen), set(), "all of these are commands")
        self.assertGreater(len(seen), 30)

    def test_a_message_and_a_drain_name_theirs(self):
        with subprocess.Popen([harness.BIN / "peermesh", "--data-dir", self.alpha.dir, "sub", "json.b", "--count", "1", "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
            self.addCleanup(reading.kill)
            reading.stderr.readline()
            self.alpha.publish(("json.b", b"x"))
            self.assertEqual(json.loads(reading.stdout.readline())["schema"], "peermesh.sub.v1")
        done = self.mesh.cli("drain", "--json", peer=self.beta)
        self.assertEqual(json.loads(done.stdout), {"schema": "peermesh.drain.v1"})
        self.beta.process.wait(10)

    def test_an_error_has_a_schema_and_up_has_none_to_give(self):
        for words, code in ((["leaks", "show", "999"], 5), (["peers", "show", "nobody"], 5), (["frobnicate"], 2), (["up"], 2)):
            done = self.mesh.cli(*words, "--json", check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(json.loads(done.stdout)["schema"], "peermesh.error.v1")


if __name__ == "__main__":
    harness.main()
