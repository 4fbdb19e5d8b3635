"""The harness itself: what proves nothing is no success, what fails is kept, what was left behind is removed."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
import namespaces
import trial

INCONCLUSIVE = 3


class Verdicts(unittest.TestCase):
    def test_a_fault_that_does_not_bite_makes_a_soak_inconclusive(self):
        words = ["/usr/bin/python3", "-B", str(pathlib.Path(__file__).with_name("soak.py")), "--hasty", "--faults", "nothing",
                 "--minutes", "0.34"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, INCONCLUSIVE, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertIn("INCONCLUSIVE: A fault did not bite: fault 1: nothing happens.", done.stdout)
        self.assertIn("history inconclusive: 0 unexplained", done.stdout)
        kept = pathlib.Path(re.search(r"^history, logs and .* are kept in (\S+)$", done.stdout, re.MULTILINE)[1])
        self.assertTrue((kept / "history" / "trial.history").exists())
        shutil.rmtree(kept, ignore_errors=True)  # a CA may still be ending


    def test_a_peer_that_ends_by_itself_is_a_failure(self):
        with trial.Trial("trial", 1) as run:
            for name in ("alpha", "beta"):
                run.launch(name)
            run.mesh["beta"].kill()
            with self.assertRaisesRegex(AssertionError, r"beta ended by itself \(-9\)"):
                run.finish()
            run.good = True  # nothing to keep


class Kept(unittest.TestCase):
    def test_a_run_that_breaks_off_keeps_histories_without_holes(self):
        with self.assertRaisesRegex(RuntimeError, "as it must"), trial.Trial("trial", 1) as run:
            names = ["alpha", "beta"]
            for name in names:
                run.launch(name)
            run.mesh.wait_linked()
            for name in names:
                run.load(name, "busy", subscribe=["a.>"], publish=["a.b"], rate=200).wait_open()
            run.pause(1, 1)
            raise RuntimeError("as it must")
        words = [str(harness.BIN.parent / "bench" / "history_check"), str(run.history)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, INCONCLUSIVE, done.stdout)
        self.assertIn("INCONCLUSIVE: The run did not come to its end", done.stdout)
        for name in names:
            self.assertGreater((run.history / f"{name}-busy.history").stat().st_size, 64 * 200)
            self.assertTrue((run.dir / "peers" / name / "state.db").exists())
        shutil.rmtree(run.dir, ignore_errors=True)

    def test_a_test_that_fails_keeps_logs_and_data_directories(self):
        class Fails(harness.MeshTest):
            @classmethod
            def set_up_mesh(cls):
                cls.mesh.start("alpha")

            def test_it(self):
                self.fail("as it must")

        result = unittest.TestResult()
        unittest.TestSuite([unittest.defaultTestLoader.loadTestsFromTestCase(Fails)]).run(result)
        self.assertEqual(len(result.failures), 1, result.errors)
        kept = Fails.mesh.dir
        self.assertTrue((kept / "alpha.log").stat().st_size > 0)
        self.assertTrue((kept / "alpha" / "state.db").exists())
        self.assertFalse(Fails.mesh["alpha"].running)
        shutil.rmtree(kept, ignore_errors=True)  # a CA may still be ending

    def test_a_test_that_passes_keeps_nothing(self):
        with harness.Mesh() as mesh:
            mesh.start("alpha")
        self.assertFalse(mesh.dir.exists())


@unittest.skipIf(namespaces.missing(), namespaces.missing())
class Namespaces(unittest.TestCase):
    def test_what_a_killed_run_left_is_removed_and_what_is_in_use_stays(self):
        dead = subprocess.Popen(["true"])
        dead.wait()
        left, used = f"pm{dead.pid}-hub", f"pm{os.getpid()}-used"
        for space in (left, used):
            subprocess.run(["ip", "netns", "add", space], check=True)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", used], check=True)
        namespaces.sweep()
        spaces = os.listdir(namespaces.NETNS)
        self.assertNotIn(left, spaces)
        self.assertIn(used, spaces)


if __name__ == "__main__":
    harness.main()
