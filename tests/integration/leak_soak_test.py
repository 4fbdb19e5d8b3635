"""One minute of applications and peers that are killed leaves nothing behind, and what does is found. See leak_soak.py."""

import os
import shutil
import time
import unittest

import harness
import leak_soak

try:
    from peermesh.test.v1 import fault_pb2, fault_pb2_grpc
except ImportError:
    fault_pb2 = None

FAULTY = os.environ.get("PEERMESH_FAULTY")


class LeakSoak(unittest.TestCase):
    def test_a_minute_of_killed_applications_and_peers_leaves_nothing_behind(self):
        report = leak_soak.run(1, int(os.environ.get("PEERMESH_SEED", time.time_ns() % 1_000_000)))
        self.assertEqual(report["verdict"], "holds", [*report["violations"], *report["doubts"]])

    @unittest.skipIf(FAULTY is None or fault_pb2 is None, "no peermeshd_faults (cmake -DPEERMESH_FAULTS=ON)")
    def test_what_is_forgotten_is_found(self):
        """Alpha forgets a session, gamma a socket that no ledger knows, and beta is killed under load."""
        programs = {"alpha": FAULTY, "gamma": FAULTY}
        with leak_soak.LeakSoak(1, programs, baseline_seconds=5) as soak:
            soak.start()
            fault_pb2_grpc.FaultServiceStub(soak.mesh["alpha"].channel("admin")).Arm(
                fault_pb2.ArmRequest(fault="FAULT_FORGET", kind="session"), timeout=5)
            fault_pb2_grpc.FaultServiceStub(soak.mesh["gamma"].channel("admin")).Leak(
                fault_pb2.LeakRequest(outside="OUTSIDE_SOCKET", count=1), timeout=5)
            soak.serve(8)
            self.assertTrue(soak.kill("beta"))
            soak.launch("beta")
            report = soak.finish()
        self.assertEqual(report["verdict"], "violated")
        found = "\n".join(report["violations"])
        self.assertRegex(found, r"(?m)^verdict: alpha: proof orphan of session, 1 of .*, born at server/api/session\.cc:")
        self.assertRegex(found, r"(?m)^verdict: alpha: .*left behind.*kind=\"?session\b")
        self.assertRegex(found, r"(?m)^verdict: alpha: peermesh_resource_leaks_confirmed_total\{.*session")
        self.assertRegex(found, r'(?m)^not at the baseline: \{kind="session"\}: 0 before, 1 after$')
        self.assertRegex(found, r"(?m)^not at the baseline: fd socket:\[N\]: \d+ before, \d+ after$")
        self.assertNotIn("beta", found, "who forgot nothing is not accused")
        self.assertTrue((soak.mesh.dir / "alpha.log").exists(), "what explains it is kept")
        shutil.rmtree(soak.mesh.dir, ignore_errors=True)  # a CA may still be ending


if __name__ == "__main__":
    harness.main()
