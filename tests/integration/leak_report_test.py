"""The resource ledger of real daemons, as operators see it: `peermesh leaks` and `resources`, pages, metrics, the log.

That leaks are found is faults_test.py.
"""

import html.parser
import json
import re
import signal
import time

import harness

NOT_FOUND = 5


class Structure(html.parser.HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attributes)


class Reports(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.add("beta")
        cls.mesh.wait_linked()
        harness.wait_for(lambda: cls.alpha.metric("peermesh_ledger_sweeps_total") >= 2, 10, "two sweeps")

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def json(self, *words):
        return json.loads(self.mesh.cli("--json", *words).stdout)

    def test_a_healthy_peer_has_no_findings(self):
        self.assertRegex(self.mesh.cli("leaks").stdout, r"^no findings after \d+ sweeps")
        self.assertEqual(self.mesh.cli("leaks", "check").returncode, 0)
        suspects = {series: value for series, value in self.alpha.metrics().items()
                    if series.startswith("peermesh_resource_leak_suspects") and value}
        self.assertEqual(suspects, {})

    def test_a_check_waits_for_two_more_sweeps(self):
        before = self.json("leaks")["sweeps"]
        after = self.json("leaks", "check")["sweeps"]
        self.assertGreaterEqual(int(after), int(before) + 2)

    def test_a_check_looks_for_as_long_as_it_is_told(self):
        begin = time.monotonic()
        self.mesh.cli("leaks", "check", "--soak", "6s")
        self.assertGreaterEqual(time.monotonic() - begin, 6)

    def test_resources_name_clients_and_peers(self):
        channel = harness.tls_channel(self.alpha, self.mesh.client("edge-app"))
        self.addCleanup(channel.close)
        stub = harness.messaging_pb2_grpc.MessagingServiceStub(channel)
        self.keep(self.alpha.subscribe("leak.report", stub=stub))
        owners = {row["owner"] for row in self.json("resources", "--by", "peer")["rows"]}
        self.assertEqual([owner.partition(" (")[0] for owner in owners if "edge-app" in owner], ["client edge-app"])
        self.assertIn(f"peer beta ({self.beta.id[:8]})", owners)
        text = self.mesh.cli("resources", "--by", "peer").stdout
        self.assertRegex(text, r"(?m)^\d+ .*client edge-app")

    def test_resources_are_counted_as_the_metrics_count_them(self):
        rows = {row["kind"]: int(row["live"]) for row in self.json("resources")["rows"]}
        self.assertEqual(rows["thread"], self.alpha.metric("peermesh_resource_live", kind="thread"))
        self.assertEqual(self.json("resources", "--kind", "thread", "--older", "1h").get("rows", []), [])
        self.assertEqual({row["kind"] for row in self.json("resources", "--kind", "thread", "--by", "site")["rows"]},
                         {"thread"})

    def test_the_level_is_changed_while_the_peer_runs(self):
        self.addCleanup(self.mesh.cli, "leaks", "level", "track")
        self.assertEqual(self.mesh.cli("leaks", "level").stdout, "track\n")
        self.assertEqual(self.json("leaks", "level", "stacks")["previous"], "track")
        self.assertEqual(self.json("leaks", "level")["level"], "stacks")
        self.assertEqual(self.alpha.metric("peermesh_ledger_level"), 2)
        self.assertNotEqual(self.mesh.cli("leaks", "level", "all", check=False).returncode, 0)

    def test_a_dump_is_one_document_with_a_schema(self):
        place = self.mesh.dir / "leaks.json"
        self.mesh.cli("leaks", "dump", "-o", place)
        for text in (self.mesh.cli("leaks", "dump").stdout, place.read_text()):
            dump = json.loads(text)
            self.assertEqual(dump["schema"], "peermesh.leaks.dump.v1")
            self.assertIn("sweeps", dump["report"])
            self.assertGreater(len(dump["resources"]["rows"]), 5)
            self.assertTrue(all(row["live"] == "1" for row in dump["resources"]["rows"]), "each for itself")

    def test_an_unknown_finding_is_not_found(self):
        done = self.mesh.cli("leaks", "show", 99, check=False)
        self.assertEqual(done.returncode, NOT_FOUND)
        self.assertIn("[UNKNOWN_FINDING]", done.stderr)

    def test_a_signal_writes_the_report_to_the_log(self):
        size = self.alpha.log.stat().st_size
        self.alpha.process.send_signal(signal.SIGUSR1)
        harness.wait_for(lambda: re.search(r"ledger.*report.*verdicts=0", self.alpha.log.read_text()[size:]), 5,
                         "the report in the log")
        self.assertTrue(self.alpha.running)

    def test_a_wrong_suppression_refuses_the_start_and_names_its_line(self):
        place = self.beta.dir / "suppressions"
        self.addCleanup(place.unlink)
        self.beta.end()
        place.write_text("# accepted\ntimer * cohort 2099-01-31 issue 12\ntimer * cohort soon because\n")
        with self.assertRaises(harness.Ended) as ended:
            self.beta.launch()
        self.assertIn(f"{place}, line 3: expected kind, site, rule", ended.exception.log)
        place.write_text("timer * cohort 2099-01-31 issue 12\n")
        self.beta.launch()

    def test_pages_are_html_without_scripts(self):
        for path in ("debug/resources", "debug/resources?by=peer", "debug/resources?by=each", "debug/fds", "debug/threads"):
            with self.subTest(path):
                page = Structure(self.alpha.page(path))
                self.assertIn("table", page.elements)
                self.assertEqual(page.elements & {"script", "img", "iframe", "object", "link", "form", "input"}, set())
                self.assertFalse([name for name in page.attributes if name.startswith("on")])

    def test_pages_are_json_for_programs(self):
        for path, schema in (("resources?", "resources"), ("resources?by=peer&", "listing"), ("fds?", "fds"),
                             ("threads?", "threads")):
            self.assertEqual(json.loads(self.alpha.page(f"debug/{path}format=json"))["schema"],
                             f"peermesh.debug.{schema}.v1")

    def test_threads_of_ours_are_claimed(self):
        threads = json.loads(self.alpha.page("debug/threads?format=json"))["threads"]
        audit = [one for one in threads if one["name"] == "pm-audit"]
        self.assertEqual([one["claimed"] for one in audit], [True])


if __name__ == "__main__":
    harness.main()
