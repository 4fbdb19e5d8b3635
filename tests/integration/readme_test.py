"""The commands of README's first five minutes are run as a new user would, in order and in one shell.

Ports are replaced by free ones, and `$PWD/build/bin` by where the programs were built; nothing else is. What README shows
as output must be what comes out, numbers and ids aside.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import harness

ROOT = pathlib.Path(__file__).parents[2]
HELLO_LINES = 12
SECONDS = 60


def section(title):
    text = (ROOT / "README.md").read_text()
    return re.search(rf"^## {title}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]


def blocks(text):
    """(language, content) of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def free_ports(count):
    """Ports that nobody has now; all are held until the last is found, so they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def shape(text):
    """The text without what differs from run to run: ids, numbers with their units, spacing."""
    text = re.sub(r"\b(?=\w*[a-z])[a-z2-7]{8}\b(?= )", "ID", text)
    text = re.sub(r"\b\d+(\.\d+)* ?(us|ms|[smhd])\b( \d+[smhd])?", "TIME", text)
    return re.sub(r" +", " ", re.sub(r"\d+", "0", text)).strip()


class Readme(unittest.TestCase):
    longMessage = True

    def run_blocks(self, scripts, environment, directory):
        """Output (both streams) of each script, run in order by one shell that stops at the first error."""
        marked = "".join(f"echo '@@ {i}'; echo '@@ {i}' >&2\n{script}" for i, script in enumerate(scripts))
        out = directory / "out"
        with open(out, "wb") as sink:
            shell = subprocess.Popen(["bash", "-e", "-c", marked], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink,
                                     stderr=sink, env=environment, start_new_session=True)
            try:
                code = shell.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = f"still running after {SECONDS} s"
            finally:
                try:
                    os.killpg(shell.pid, signal.SIGKILL)  # the daemons, should it have stopped half-way
                except ProcessLookupError:
                    pass
                shell.wait(10)
        text = out.read_text()
        logs = "".join(f"--- {log}\n{log.read_text()}" for log in directory.glob("*/*.log"))
        self.assertEqual(code, 0, f"README's commands failed:\n{text}\n{logs}")
        parts = re.split(r"^@@ (\d+)\n", text, flags=re.MULTILINE)
        outputs = [""] * len(scripts)
        for number, part in zip(parts[1::2], parts[2::2]):
            outputs[int(number)] += part
        return outputs

    def test_the_first_five_minutes_are_as_written(self):
        if shutil.which("curl") is None:
            self.skipTest("curl, which README uses, is not installed")
        directory = pathlib.Path(tempfile.mkdtemp(prefix="peermesh-readme."))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        mesh, ca, metrics = free_ports(3)
        found = blocks(section("The first five minutes"))
        scripts = [content.replace("$source/build/bin", str(harness.BIN)).replace("7443", str(mesh))
                   .replace("9464", str(metrics)) for language, content in found if language == "sh"]
        environment = {**harness.bare_environment(), "HOME": str(directory), "TMPDIR": str(directory), "LC_ALL": "C.UTF-8",
                       "PEERMESH_CA_LISTEN": f"127.0.0.1:{ca}", "PEERMESH_METRICS_LISTEN": f"127.0.0.1:{metrics}",
                       "no_proxy": "*"}
        outputs = self.run_blocks(scripts, environment, directory)

        self.assertEqual(len(outputs), 7)
        self.assertIn("serving\n", outputs[1])
        self.assertIn("hi from Python\n", outputs[4])
        self.assertRegex(outputs[5], r"state +ready")
        self.assertRegex(outputs[5], r'peermesh_messages_total\{event="published"\} [1-9]')
        shown = 0
        ran = -1
        for language, content in found:
            if language == "sh":
                ran += 1
            elif language == "text":
                shown += 1
                self.assertIn(shape(content), shape(outputs[ran]), f"README shows another output than\n{outputs[ran]}")
        self.assertEqual(shown, 2)
        self.assertIn("has left and ended", outputs[6])
        self.assertIn("clean\":true", (next(directory.glob("*/alpha.log"))).read_text())

    def test_it_shows_the_python_example_as_it_is_in_at_most_12_lines(self):
        hello = (ROOT / "client/examples/python/hello.py").read_text()
        self.assertIn(("python", hello), blocks(section("The first five minutes")))
        self.assertLessEqual(len(hello.splitlines()), HELLO_LINES)

    def test_every_path_it_names_exists(self):
        text = (ROOT / "README.md").read_text()
        names = set(re.findall(r"`((?:client|deploy|docs|mesh|metrics|protos|server|tests)/[\w./]*)`", text))
        names |= set(re.findall(r"\]\(([\w./]+)\)", text)) | set(re.findall(r"`([A-Z]+\.md)`", text))
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertTrue((ROOT / name).exists(), f"README names {name}")


if __name__ == "__main__":
    harness.main()
