"""What applications leave behind when they die: nothing."""

import subprocess

import harness
from harness import figure

CYCLES = 200
AT_ONCE = 10
# Gauges of what somebody holds; all must return to where they were.
HOLDINGS = {"peermesh_sessions", "peermesh_sessions_slow", "peermesh_subscriptions", "peermesh_patterns",
            "peermesh_streams", "peermesh_connections", "peermesh_links", "process_open_fds"}
# gRPC starts and ends a few threads of its own as it sees fit; one for each client would be a leak.
THREADS_MORE = 4


class Leaks(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def holdings(self):
        """What both peers hold, by name."""
        held = {}
        for peer in (self.alpha, self.beta):
            for series, value in peer.metrics().items():
                if series.partition("{")[0] in HOLDINGS:
                    held[f"{peer.name}.{series}"] = value
        return held

    def subscribed(self):
        return self.alpha.metric("peermesh_subscriptions")

    def cycle(self, subject):
        """AT_ONCE clients of the command line connect, subscribe, and are killed."""
        words = [str(harness.BIN / "peermesh"), "--data-dir", str(self.alpha.dir), "sub", subject]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        clients = [subprocess.Popen(words, **quiet) for _ in range(AT_ONCE)]
        try:
            harness.wait_for(lambda: self.subscribed() == AT_ONCE, 20, "all clients to have subscribed")
        finally:
            for client in clients:
                client.kill()
            for client in clients:
                client.wait()
        harness.wait_for(lambda: self.subscribed() == 0, 10, "the subscriptions of the killed clients to go")

    def test_200_clients_that_subscribe_and_are_killed_leave_nothing_behind(self):
        self.alpha.close_channels()
        self.beta.close_channels()
        self.cycle("leak.warm-up")  # queues and tables reach their usual size
        harness.wait_for(lambda: self.alpha.metric("peermesh_connections", listener="app") == 0, 10, "an idle peer")
        before, resident = self.holdings(), self.alpha.resident_kb()
        threads = self.alpha.metric("process_threads")
        calls = self.alpha.metric("peermesh_calls_total", server="app")
        for number in range(CYCLES // AT_ONCE):
            self.cycle(f"leak.subject{number}.*")
        last = {}

        def restored():
            last.clear()
            last.update(self.holdings())
            return last == before

        try:
            harness.wait_for(restored, 15, "the baseline")
        except AssertionError:
            self.assertEqual(last, before)
        self.assertLessEqual(self.alpha.metric("process_threads"), threads + THREADS_MORE)
        figure("resident_growth_after_200_clients", self.alpha.resident_kb() - resident, "kB")
        if not harness.SANITIZED:  # freed memory is kept in quarantine there
            self.assertLess(self.alpha.resident_kb() - resident, 4000, "20 kB a client would be a leak")
        self.assertEqual(self.alpha.metric("peermesh_calls_total", server="app") - calls, CYCLES)


if __name__ == "__main__":
    harness.main()
