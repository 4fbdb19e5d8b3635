"""The manual: pages that man and mandoc take without a word, for every command and daemon, and with every flag."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

PAGES = pathlib.Path(os.environ["PEERMESH_BUILD"]) / "deb/man"
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def help_of(program, *words):
    return subprocess.run([harness.BIN / program, *words, "--help"], capture_output=True, text=True, timeout=10).stdout


def commands(*path):
    return re.findall(r"(?m)^  ([a-z]+)  +[A-Z]", help_of("peermesh", *path))


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pages = {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()).decode() for path in PAGES.rglob("*.gz")}

    def check(self, *words):
        """Runs the words with each page as a file; nothing must be said of any."""
        with tempfile.TemporaryDirectory() as place:
            for name, text in self.pages.items():
                file = pathlib.Path(place) / name
                file.write_text(text)
                done = subprocess.run([*words, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                                      env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
                said = done.stdout if words[0] == "mandoc" else done.stderr
                self.assertEqual((done.returncode, said), (0, ""), name)

    def test_every_command_and_daemon_has_a_page(self):
        wanted = {"peermesh.1", "peermeshd.8", "peermesh-ca.8", *(f"peermesh-{name}.1" for name in commands())}
        self.assertEqual(set(self.pages), wanted)
        self.assertGreater(len(wanted), 20)

    @unittest.skipIf(shutil.which("mandoc") is None, "mandoc is not installed")
    def test_mandoc_has_nothing_to_say(self):
        self.check("mandoc", "-Tlint")

    @unittest.skipIf(shutil.which("groff") is None or shutil.which("man") is None, "man is not installed")
    def test_man_has_nothing_to_warn_of(self):
        self.check("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z")

    def test_every_page_has_its_sections(self):
        for name, text in self.pages.items():
            found = re.findall(r"(?m)^\.SH (.+)$", text)
            self.assertEqual([section for section in found if section in SECTIONS], SECTIONS, name)
            self.assertNotRegex(text, r"@[A-Z_]+@", "a placeholder of the template")

    def test_a_page_names_every_flag_of_its_program(self):
        plain = {name: text.replace("\\-", "-") for name, text in self.pages.items()}
        for program, page in (("peermesh", "peermesh.1"), ("peermeshd", "peermeshd.8"), ("peermesh-ca", "peermesh-ca.8")):
            for flag in re.findall(r"--[a-z][\w-]+", help_of(program)):
                self.assertIn(flag, plain[page], page)
        for name in commands():
            for below in ([], *([word] for word in commands(name))):
                for flag in re.findall(r"--[a-z][\w-]+", help_of("peermesh", name, *below)):
                    self.assertIn(flag, plain[f"peermesh-{name}.1"] + plain["peermesh.1"], name)

    def test_an_installation_has_the_manual_and_the_completions(self):
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(["cmake", "--install", os.environ["PEERMESH_BUILD"], "--prefix", place], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            share = pathlib.Path(place) / "share"
            self.assertEqual({path.name.removesuffix(".gz") for path in (share / "man").rglob("*.gz")}, set(self.pages))
            for script in ("bash-completion/completions/peermesh", "zsh/site-functions/_peermesh",
                           "fish/vendor_completions.d/peermesh.fish"):
                self.assertIn("made by", (share / script).read_text())

    def test_a_page_refers_to_pages_that_are_there(self):
        for name, text in self.pages.items():
            for page, section in re.findall(r"\\fB(peermesh[a-z\\-]*)\\fR\((\d)\)", text):
                self.assertIn(f"{page.replace(chr(92), '')}.{section}", sorted(self.pages), name)


if __name__ == "__main__":
    harness.main()
