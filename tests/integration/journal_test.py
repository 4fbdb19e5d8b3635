"""A run of real peers, recorded with --journal, happens again in meshsim: the same wishes, the same digest."""

import os
import pathlib
import re
import stat
import subprocess

import harness
import traffic
from harness import figure

MESHSIM = pathlib.Path(os.environ["PEERMESH_MESHSIM"])


def replay(path, program=MESHSIM):
    return subprocess.run([program, "replay", path], capture_output=True, text=True, timeout=120, check=False)


def recorded_digest(peer):
    """What the daemon said of its own run when it ended."""
    return re.findall(r"journal: ended .*digest=([0-9a-f]{16})", peer.log.read_text())[-1]


class Journal(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        mesh = cls.mesh
        cls.journals = {name: mesh.dir / f"{name}.journal" for name in ("alpha", "beta", "gamma")}
        mesh.start("alpha", journal=cls.journals["alpha"])
        for name in ("beta", "gamma"):
            mesh.start(name, join=mesh.token(name), journal=cls.journals[name])
        mesh.wait_linked()
        cls.alpha, cls.beta, cls.gamma = (mesh[name] for name in cls.journals)

    def assert_same(self, path, *said):
        run = replay(path)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        for text in ("as recorded", *said):
            self.assertIn(text, run.stdout)
        return run.stdout

    def test_a_recorded_run_happens_again(self):
        alpha, beta, gamma = self.alpha, self.beta, self.gamma
        streams = [self.keep(peer.subscribe("run.>")) for peer in (alpha, beta)]
        publishers = [traffic.Publisher(peer, "run." + peer.name, size=16) for peer in (alpha, beta)]
        for publisher in publishers:
            publisher.wait_more(1000)
        self.assertEqual(stat.S_IMODE(self.journals["alpha"].stat().st_mode), 0o600)
        # In order, and again: the journal of the first life is kept beside that of the second.
        gamma.restart()
        self.mesh.wait_linked()
        self.assertIn(f"digest {recorded_digest(gamma)}", self.assert_same(f"{self.journals['gamma']}.old"))
        for publisher in publishers:
            publisher.wait_more(1000)
            publisher.stop()
        for stream in streams:
            stream.wait_messages(4000)
        # Without warning: the journal ends with the last turn.
        beta.kill()
        self.assert_same(self.journals["beta"], "the journal has no end")
        self.assertEqual(alpha.end(), 0)
        said = self.assert_same(self.journals["alpha"])
        self.assertIn(f"digest {recorded_digest(alpha)}", said)
        turns, facts = map(int, re.search(r"(\d+) turns and (\d+) facts", said).groups())
        figure("journal: facts repeated of a real run", facts, "facts")
        figure("journal: size a fact", self.journals["alpha"].stat().st_size / facts, "bytes")
        self.assertGreater(turns, 100)

        # No payload is in it, and the comparison can fail: a node that is another one wishes something else.
        self.assertNotIn(b"123" + b" " * 16, self.journals["alpha"].read_bytes())
        mutant = replay(self.journals["alpha"], MESHSIM.with_name("meshsim_twice"))
        self.assertEqual(mutant.returncode, 1, mutant.stdout)
        self.assertIn("DIFFERS: the node wished something else", mutant.stdout)

    def test_a_journal_that_is_damaged_or_none_is_refused(self):
        path = self.mesh.dir / "damaged"
        whole = bytearray(self.journals["gamma"].read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)
        for content, why in ((bytes(whole), "is damaged"), (b"something else", "is no journal"), (b"PMJOURN7", "ends before its first turn")):
            path.write_bytes(content)
            run = replay(path)
            self.assertEqual(run.returncode, 2, run.stdout)
            self.assertIn(why, run.stderr)

    def test_a_journal_that_cannot_be_written_stops_the_start(self):
        with self.assertRaises(harness.Ended) as ended:
            self.mesh.start("delta", join=self.mesh.token("delta"), journal="/proc/none")
        self.assertEqual(ended.exception.code, 1)
        self.assertIn("cannot write the journal /proc/none", str(ended.exception))


if __name__ == "__main__":
    harness.main()
