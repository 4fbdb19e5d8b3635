"""Every command of docs/concepts.md is run, in order, on a mesh of two and the peer that the page adds, and must print what its
row says."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import harness

PAGE = pathlib.Path(__file__).parents[2] / "docs/concepts.md"
ROWS = 40  # the page has more; a parser that finds less has lost some
SECONDS = 80 if harness.SANITIZED else 20


def rows():
    """(concept, command, words it prints) of every row."""
    cells = r"^\| ([^|]+) \| (?:[^|]|\\\|)+ \| `((?:[^`|]|\\\|)+)` \| `([^`|]+)` \|$"
    found = re.findall(cells, PAGE.read_text(), re.MULTILINE)
    return [(concept, command.replace("\\|", "|"), words) for concept, command, words in found]


def beginning():
    """The commands that come before the rows."""
    return re.search(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]


class Concepts(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.gamma = subprocess.Popen(["bash", "-e", "-c", beginning() + "wait"], cwd=cls.mesh.dir, stdin=subprocess.DEVNULL,
                                     env=cls.environment(), start_new_session=True)
        cls.addClassCleanup(cls.end_gamma)
        rows = cls.beta.table
        harness.wait_for(lambda: "gamma" in rows() and rows()["gamma"].connection == harness.CONNECTED, 15,
                         "gamma to join as the page says")

    @classmethod
    def end_gamma(cls):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(cls.gamma.pid, signal.SIGKILL)
        cls.gamma.wait(10)

    @classmethod
    def environment(cls):
        return {**harness.bare_environment(), "PATH": f"{harness.BIN}:{os.environ['PATH']}",
                "HOME": str(cls.mesh.dir), "LC_ALL": "C.UTF-8", "PEERMESH_DATA_DIR": str(cls.alpha.dir), "no_proxy": "*"}

    def run_row(self, command):
        """Exit code and output, both streams, of the command in a shell; what it started in the background is ended."""
        ports = {"7443": self.alpha.facts["listen"], "9464": self.alpha.facts["metrics"]}
        for default, address in ports.items():
            command = command.replace(f":{default}", ":" + address.rpartition(":")[2])
        with open(self.mesh.dir / "output", "w+") as output:
            shell = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], cwd=self.mesh.dir, env=self.environment(),
                                     stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
            try:
                code = shell.wait(SECONDS)
            except subprocess.TimeoutExpired:
                code = f"still running after {SECONDS} s"
            finally:
                try:
                    os.killpg(shell.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                shell.wait(10)
            output.seek(0)
            return code, output.read()

    def test_every_command_shows_its_concept(self):
        missing = [tool for tool in ("curl", "openssl") if shutil.which(tool) is None]
        if missing:
            self.skipTest(f"{' and '.join(missing)}, which the page uses, cannot be found")
        for concept, command, words in rows():
            with self.subTest(concept):
                code, output = self.run_row(command)
                self.assertEqual(code, 0, f"{command}\n{output}")
                self.assertIn(words, " ".join(output.split()), f"{command}\n{output}")

    def test_no_row_is_overlooked(self):
        lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "| see it |" not in line]
        self.assertEqual(len(lines), len(rows()), "every row has a concept, a sentence, a `command` and `words`")
        self.assertGreaterEqual(len(lines), ROWS)


if __name__ == "__main__":
    harness.main()
