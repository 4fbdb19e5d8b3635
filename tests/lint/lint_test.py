#!/usr/bin/python3
"""Tests the lint: every rule has a bad tree in bad/<rule>[.<case>] in which exactly that rule fires, once."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
LINT = HERE / "lint.py"


def run(*arguments):
    """Exit code and the (path, rule) pairs of all findings."""
    result = subprocess.run([sys.executable, LINT, *arguments], capture_output=True, text=True, check=False)
    return result.returncode, re.findall(r"^(\S+):\d+: \[([\w-]+)\]", result.stdout, re.MULTILINE)


class LintTest(unittest.TestCase):
    def test_every_bad_tree_is_reported_by_its_rule_alone(self):
        trees = sorted(p for p in (HERE / "bad").iterdir() if p.name != "none")
        self.assertGreater(len(trees), 30)
        for tree in trees:
            with self.subTest(tree.name):
                files = [p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file()]
                self.assertEqual(run(tree), (1, [(files[0], tree.name.split(".")[0])]))

    def test_what_is_allowed_is_not_reported(self):
        self.assertEqual(run(HERE / "bad" / "none"), (0, []))

    def test_every_rule_is_tested(self):
        rules = subprocess.run([sys.executable, LINT, "--rules"], capture_output=True, text=True, check=True)
        tested = {p.name.split(".")[0] for p in (HERE / "bad").iterdir()} | {"size", "checks"}
        self.assertEqual(set(rules.stdout.split()), tested - {"none"})

    def test_files_that_are_too_long_are_reported(self):
        for name, limit in (("mesh/node/long.cc", 600), ("mesh/node/long.h", 300)):
            with tempfile.TemporaryDirectory() as root:
                path = pathlib.Path(root) / name
                path.parent.mkdir(parents=True)
                guard = "PEERMESH_MESH_NODE_LONG_H_"
                text = f"#ifndef {guard}\n#define {guard}\n#endif  // {guard}\n"
                path.write_text(text + "\n" * (limit - 3))
                self.assertEqual(run(root), (0, []))
                path.write_text(text + "\n" * (limit - 2))
                self.assertEqual(run(root), (1, [(name, "size")]))

    def test_too_few_checks_are_reported_when_asked(self):
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root) / "mesh/node/node.cc"
            path.parent.mkdir(parents=True)
            path.write_text("PM_CHECK(true);\n" * 9 + "\n" * 391)
            self.assertEqual(run(root, "--strict-checks"), (1, [("mesh", "checks")]))
            path.write_text("PM_CHECK(true);\n" * 10 + "\n" * 390)
            self.assertEqual(run(root, "--strict-checks"), (0, []))

    def test_a_missing_argument_is_a_usage_error(self):
        self.assertEqual(run(), (2, []))


if __name__ == "__main__":
    unittest.main()
