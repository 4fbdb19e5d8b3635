"""The examples in other languages, run against a mesh of two as their README says: over the socket and over mutual TLS."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

EXAMPLES = pathlib.Path(__file__).parents[2] / "client/examples"
SECONDS = 20
INSTALL_SECONDS = 100
OLDEST_NODE = 18


class Example:
    """A running example; its output goes to files, so that no pipe can fill up."""

    def __init__(self, words, environment, directory, stdin=""):
        self.name = pathlib.Path(words[1]).name
        self.out = tempfile.NamedTemporaryFile("w+", dir=directory)
        self.err = tempfile.NamedTemporaryFile("w+", dir=directory)
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self.out, stderr=self.err, env=environment)
        self.process.stdin.write(stdin.encode())
        self.process.stdin.close()

    @staticmethod
    def read(file):
        return pathlib.Path(file.name).read_text()

    def wait_printed(self, text):
        harness.wait_for(lambda: text in self.read(self.out) + self.read(self.err), SECONDS,
                         f"{self.name} to print {text!r}")

    def wait(self):
        """Its output after an end in good order."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = f"still running after {SECONDS} s"
        said = self.read(self.out)
        if code != 0:
            raise AssertionError(f"{self.name}: {code}: {said}{self.read(self.err)}")
        return said

    def end(self):
        self.process.kill()
        self.process.wait(10)


class Examples(harness.MeshTest):
    """What both languages do; the classes below say how a program of theirs is run."""

    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()
        cls.identity = cls.mesh.client("reporter")

    def ways(self, peer):
        """How a program may be told of the peer."""
        return {"socket": ["--socket", peer.facts["app_socket"]],
                "mutual TLS": ["--address", peer.facts["listen"], "--identity", str(self.identity)],
                "environment": []}

    def start(self, name, *arguments, way="socket", peer=None, stdin=""):
        peer = peer or self.alpha
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.mesh.dir), "no_proxy": "*", **self.environment()}
        if way == "environment":
            environment["PEERMESH_SOCKET"] = peer.facts["app_socket"]
        example = Example([*self.command(name), *self.ways(peer)[way], *arguments], environment, self.mesh.dir, stdin)
        self.addCleanup(example.end)
        return example

    def check_publish_and_subscribe(self, publish, messages):
        for way in self.ways(self.alpha):
            with self.subTest(way):
                subscriber = self.start("subscribe", "orders.*", "stock.>", "--count", str(len(messages)), way=way)
                subscriber.wait_printed("subscribed")
                publish(way)
                self.assertEqual(subscriber.wait().splitlines(), messages)

    def check_exchange(self):
        for way in self.ways(self.alpha):
            with self.subTest(way):
                output = self.start("exchange", "--count", "25", way=way).wait()
                self.assertIn("connected to alpha", output)
                self.assertIn("25 round trips", output)

    def check_watch_peers(self):
        for way in self.ways(self.alpha):
            with self.subTest(way):
                output = self.start("watch_peers", "--once", way=way).wait()
                self.assertRegex(output, rf"alpha +{self.alpha.id[:8]}\b.*(?i:alive)")
                self.assertRegex(output, rf"beta +{self.beta.id[:8]}\b.*(?i:alive)")
                self.assertTrue(output.endswith("-- complete\n"), output)

    def check_error(self, words):
        example = self.start("subscribe", "not..a.subject")
        self.assertEqual(example.process.wait(SECONDS), 1)
        self.assertRegex(example.read(example.err), words)
        self.assertEqual(example.read(example.err).count("\n"), 1, "one line, no stack")


class Python(Examples):
    @classmethod
    def set_up_mesh(cls):
        super().set_up_mesh()
        cls.stubs = cls.mesh.dir / "stubs"
        subprocess.run([EXAMPLES / "generate", cls.stubs], check=True, timeout=SECONDS)

    @staticmethod
    def command(name):
        return ["/usr/bin/python3", "-B", str(EXAMPLES / f"python/{name}.py")]

    def environment(self):
        return {"PYTHONPATH": str(self.stubs)}

    def test_what_one_publishes_on_beta_the_other_receives_on_alpha(self):
        lines = [f"order {i}" for i in range(600)]  # more than two batches

        def publish(way):
            publisher = self.start("publish", "orders.new", way=way, peer=self.beta, stdin="\n".join(lines))
            publisher.wait()
            self.assertIn("published 600 messages", publisher.read(publisher.err))

        self.check_publish_and_subscribe(publish, lines)

    def test_exchange_measures_round_trips(self):
        self.check_exchange()

    def test_watch_peers_shows_the_table(self):
        self.check_watch_peers()

    def test_watch_peers_shows_changes_and_resumes_after_the_peer_was_restarted(self):
        watcher = self.start("watch_peers", peer=self.beta)
        watcher.wait_printed("-- complete")
        self.beta.restart()
        watcher.wait_printed("connection lost; trying again")
        watcher.wait_printed("-- a new table follows")
        self.mesh.wait_linked()

    def test_an_error_is_one_line_with_its_reason(self):
        self.check_error(r"\[INVALID_PATTERN\]")

    def test_the_smallest_one_works_over_mutual_tls(self):
        words = [*self.command("hello"), str(self.identity), self.alpha.facts["listen"]]
        done = subprocess.run(words, env=self.environment(), capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual((done.returncode, done.stdout), (0, "hi from Python\n"), done.stderr)


class Node(Examples):
    @classmethod
    def set_up_mesh(cls):
        cls.modules = cls.install()
        super().set_up_mesh()

    @staticmethod
    def install():
        """A copy of the examples with their packages, kept from run to run."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise unittest.SkipTest("node or npm cannot be found")
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=SECONDS).stdout
        if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
            raise unittest.SkipTest(f"node {version.strip()} is older than {OLDEST_NODE}")
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        directory = cache / "peermesh/examples-node"
        directory.mkdir(parents=True, exist_ok=True)
        for source in (EXAMPLES / "node").glob("*.js*"):
            shutil.copy(source, directory)
        done = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefer-offline", "--no-package-lock"],
                              cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode != 0:
            raise unittest.SkipTest(f"npm cannot install the packages: {done.stderr.strip().splitlines()[-1:]}")
        return directory

    def command(self, name):
        return [shutil.which("node"), str(self.modules / f"{name}.js")]

    def environment(self):
        return {"PEERMESH_PROTOS": str(EXAMPLES.parents[1] / "protos")}

    def test_what_one_publishes_on_beta_the_other_receives_on_alpha(self):
        def publish(way):
            output = self.start("publish", "stock.paper.a4", "500 left", way=way, peer=self.beta).wait()
            self.assertEqual(output, "interested peers: 1\n")

        self.check_publish_and_subscribe(publish, ["500 left"])

    def test_exchange_makes_round_trips(self):
        self.check_exchange()

    def test_watch_peers_shows_the_table(self):
        self.check_watch_peers()

    def test_an_error_is_one_line_that_says_what_is_wrong(self):
        self.check_error(r"subjects\[0\]")


del Examples  # nothing to run in itself

if __name__ == "__main__":
    harness.main()
