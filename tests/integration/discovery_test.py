"""One address is enough for Prometheus: a real one (Debian's) is told of one peer, and by it of the other two.

It runs with the rules of deploy/prometheus, their waiting times shortened to seconds: nothing fires on three healthy peers.
Where a daemon that forgets (faults.h) is one of the three, the alert for that leak fires, for that peer, and no other.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import urllib.error
import urllib.request

import harness

ROOT = pathlib.Path(__file__).parents[2]
PROMETHEUS = harness.find_tool("prometheus", "prometheus/usr/bin")
FAULTY = os.environ.get("PEERMESH_FAULTY")
HEALTHY_SECONDS = 20  # scrapes and evaluations of one second, rules that wait for two
LEAK_SECONDS = 30  # an orphan within 10, a scrape, an evaluation, the wait of the rule


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    """Configured with one url and nothing else."""

    def __init__(self, directory, url):
        self.address = f"127.0.0.1:{free_port()}"
        for name in ("alerts", "recording"):
            rules = (ROOT / f"deploy/prometheus/{name}.yaml").read_text()
            (directory / f"{name}.yaml").write_text(re.sub(r"(?m)^( +for:) \w+$", r"\1 2s", rules))
        config = (ROOT / "deploy/prometheus/prometheus.yaml").read_text().replace("15s", "1s")
        assert config.count("http://") == 1
        (directory / "prometheus.yaml").write_text(re.sub(r"http://\S+", url, config))
        self.log = directory / "prometheus.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", PROMETHEUS, f"--config.file={directory}/prometheus.yaml",
                 f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address={self.address}"], stdout=log, stderr=log)

    def end(self):
        self.process.kill()
        self.process.wait()

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=5) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.URLError:
            assert self.process.poll() is None, self.log.read_text()
            return {}

    def up(self):
        """Targets that answer: their names by address."""
        return {target["labels"]["instance"]: target["labels"].get("peer") for target in self.ask("targets").get("activeTargets", [])
                if target["health"] == "up"}

    def alerts(self):
        """Of those that fire: name, instance, kind."""
        return {(one["labels"]["alertname"], one["labels"].get("instance"), one["labels"].get("kind"))
                for one in self.ask("alerts").get("alerts", []) if one["state"] == "firing"}


class Discovery(harness.MeshTest):
    def targets(self, peer):
        return json.loads(peer.page("targets"))

    def names(self, peer):
        return {one["labels"]["__meta_peermesh_peer_name"]: one for one in self.targets(peer)}

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def test_every_peer_lists_every_peer(self):
        addresses = {name: peer.facts["metrics"] for name, peer in self.mesh.all.items()}
        for peer in self.mesh.all.values():
            with self.subTest(peer=peer.name):
                harness.wait_for(lambda: {name: one["targets"] for name, one in self.names(peer).items()} ==
                                 {name: [address] for name, address in addresses.items()}, 10, "three targets")
                for name, one in self.names(peer).items():
                    self.assertEqual(one["labels"]["__meta_peermesh_peer_id"], self.mesh[name].id)
                    self.assertEqual(one["labels"]["__meta_peermesh_state"], "alive")
        self.assertEqual(len({one["labels"]["__meta_peermesh_mesh"] for one in self.targets(self.alpha)}), 1)

    def test_it_comes_as_prometheus_wants_it(self):
        with urllib.request.urlopen(f"http://{self.alpha.facts['metrics']}/targets", timeout=10) as answer:
            self.assertEqual(answer.headers["Content-Type"], "application/json")

    def test_who_dies_stays_a_target_and_who_leaves_does_not(self):
        self.gamma.process.kill()
        self.gamma.process.wait()
        harness.wait_for(lambda: self.names(self.alpha)["gamma"]["labels"]["__meta_peermesh_state"] == "dead", 20, "gamma dead")
        self.gamma.launch()
        self.mesh.wait_linked(30)
        self.gamma.end()
        harness.wait_for(lambda: set(self.names(self.alpha)) == {"alpha", "beta"}, 10, "gamma gone")

    def test_grpc_has_nothing_that_the_ledger_has_not(self):
        page = json.loads(self.alpha.page("debug/channelz?format=json"))
        self.assertEqual((page["schema"], len(page["servers"])), ("peermesh.debug.channelz.v1", 1))
        self.assertEqual(len(page["channels"]), self.alpha.metric("peermesh_resource_live", kind="channel"))
        self.assertIn("<table>", self.alpha.page("debug/channelz"))
        harness.wait_for(lambda: self.alpha.metric("peermesh_ledger_sweeps_total") >= 1, 10, "a sweep, which makes the series")
        skews = {series: value for series, value in self.alpha.metrics().items() if 'rule="rpc_skew"' in series}
        for kind in ("channel", "rpc_client", "rpc_server", "connection"):
            self.assertIn(f'peermesh_resource_leak_suspects{{kind="{kind}",rule="rpc_skew",tier="strong"}}', skews)
        self.assertEqual(set(skews.values()), {0})

    def test_ten_thousand_resources_are_no_series_and_cost_a_scrape_little(self):
        harness.wait_for(lambda: self.alpha.metric("peermesh_ledger_sweeps_total") >= 1, 10, "a sweep, which makes the series")
        self.keep(self.alpha.exchange("scrape.first"))  # every kind has been there once
        before = set(self.alpha.metrics())
        stream = self.keep(self.alpha.exchange(*(f"scrape.subject-{number}" for number in range(10_000))))
        harness.wait_for(lambda: self.alpha.metric("peermesh_resource_live", kind="subscription") >= 10_000, 10, "subscriptions")
        self.assertEqual(set(self.alpha.metrics()), before)
        times = sorted(self.alpha.metric("peermesh_metrics_scrape_duration_seconds") for _ in range(9))
        harness.figure("scrape_with_10000_resources", times[4] * 1000, "ms", "<= 20")
        harness.figure("scrape_series", len(before), "series")
        if not harness.SANITIZED:
            self.assertLessEqual(times[4], 0.020)
        stream.cancel()


@harness.unittest.skipIf(PROMETHEUS is None, "prometheus is not there (deploy/install-deps test)")
class OnePrometheus(harness.MeshTest):
    FAULT = False

    @classmethod
    def set_up_mesh(cls):
        cls.mesh.start("alpha")
        cls.mesh.add("beta")
        if cls.FAULT:
            cls.mesh.peer("gamma").program = pathlib.Path(FAULTY)
            cls.mesh.add("gamma", environment={"PEERMESH_FAULT": "connection"})
        else:
            cls.mesh.add("gamma")
        cls.mesh.wait_linked()
        cls.prometheus = Prometheus(cls.mesh.dir, f"http://{cls.mesh['alpha'].facts['metrics']}/targets")
        cls.addClassCleanup(cls.prometheus.end)

    def check_targets(self):
        expected = {peer.facts["metrics"]: name for name, peer in self.mesh.all.items()}
        harness.wait_for(lambda: self.prometheus.up() == expected, 30, "three targets to be up")

    def test_three_targets_are_found_by_one_address_and_nothing_fires(self):
        self.check_targets()
        names = {rule["name"] for group in self.prometheus.ask("rules")["groups"] for rule in group["rules"]}
        self.assertIn("PeerMeshLeakProven", names)
        for name, peer in self.mesh.all.items():
            self.mesh.cli("status", peer=peer)
        harness.let_pass(HEALTHY_SECONDS)
        self.assertEqual(self.prometheus.alerts(), set())
        self.check_targets()


@harness.unittest.skipIf(FAULTY is None or not pathlib.Path(FAULTY or ".").is_file(),
                         "no peermeshd_faults (cmake -DPEERMESH_FAULTS=ON)")
class OneLeak(OnePrometheus):
    FAULT = True

    def test_three_targets_are_found_by_one_address_and_nothing_fires(self):
        """One of the three forgets a connection: that is what fires, and nothing else."""
        self.check_targets()
        gamma = self.mesh["gamma"]
        self.mesh.cli("status", peer=gamma)  # a connection that comes and goes
        leak = ("PeerMeshLeakProven", gamma.facts["metrics"], "connection")
        harness.wait_for(lambda: leak in self.prometheus.alerts(), LEAK_SECONDS, "the alert of the leak")
        harness.let_pass(HEALTHY_SECONDS / 2)
        self.assertEqual(self.prometheus.alerts(), {leak})


if __name__ == "__main__":
    harness.main()
