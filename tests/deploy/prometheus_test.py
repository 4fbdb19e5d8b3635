"""Rules, alerts and the dashboard, by Prometheus' own tool: what fires and when, what never does, and that every name in
them is one that a peer exports."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import alert_cases
import harness

try:
    import yaml
except ImportError:
    yaml = None

ROOT = pathlib.Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/peermesh.json"
FILES = [RULES / "recording.yaml", RULES / "alerts.yaml"]
PROMTOOL = harness.find_tool("promtool", "prometheus/usr/bin")
# Made by Prometheus itself, or by promtool's input alone.
FROM_PROMETHEUS = {"up"}
KEYWORDS = {"sum", "max", "min", "avg", "rate", "increase", "changes", "histogram_quantile", "by", "and", "or", "on", "unless", "without",
            "ignoring", "group_left", "time", "min_over_time", "max_over_time", "clamp_min", "count", "label_replace", "topk", "bool"}


def promtool(*words, **options):
    return subprocess.run([PROMTOOL, *map(str, words)], capture_output=True, text=True, timeout=120, **options)


def rules(path):
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules(RULES / "alerts.yaml")}


def names_in(expression):
    """Series that an expression reads."""
    text = re.sub(r"\{[^}]*\}", "", re.sub(r'"[^"]*"', "", expression))  # no matchers
    text = re.sub(r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)", "", text)  # no labels
    text = re.sub(r"\[[^\]]*\]", "", text)  # no durations
    return {word for word in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text)} - KEYWORDS


def targets():
    """The panels of the dashboard, rows opened, and each of their queries."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for inner in [panel, *panel.get("panels", [])]:
            for target in inner.get("targets", []):
                yield inner, target["expr"]


def plain(expression):
    """A query of Grafana as Prometheus gets it."""
    for variable, value in {"$__rate_interval": "5m", "$__range": "1h", "$job": ".+", "$instance": ".+"}.items():
        expression = expression.replace(variable, value)
    return expression


@unittest.skipIf(PROMTOOL is None, "promtool is not there (deploy/install-deps test)")
@unittest.skipIf(yaml is None, "python3-yaml is not installed (deploy/install-deps test)")
class Rules(unittest.TestCase):
    def run_tests(self, tests):
        """Against the rules without their annotations: templates are looked at elsewhere."""
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            for path in FILES:
                content = yaml.safe_load(path.read_text())
                for group in content["groups"]:
                    for rule in group["rules"]:
                        rule.pop("annotations", None)
                (place / path.name).write_text(yaml.safe_dump(content))
            content = {"rule_files": [path.name for path in FILES], "evaluation_interval": "1m", "tests": tests}
            (place / "test.yaml").write_text(yaml.safe_dump(content))
            done = promtool("test", "rules", "test.yaml", cwd=place)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @staticmethod
    def series(lines):
        split = (line.replace("@", alert_cases.PEER).rpartition("}") for line in lines)
        return [{"series": name + brace, "values": values.strip()} for name, brace, values in split]

    def test_promtool_finds_nothing_wrong(self):
        done = promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = promtool("check", "config", RULES / "prometheus.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_fires_when_it_should_and_not_before(self):
        self.assertEqual(set(alert_cases.FIRES), set(alerts()), "an alert without a case, or the other way round")
        for name, (lines, quiet, fires, labels) in alert_cases.FIRES.items():
            with self.subTest(alert=name):
                expected = {"job": "peermesh", "instance": "a:9464", **labels, "severity": alerts()[name]["labels"]["severity"]}
                expected = {label: value for label, value in expected.items() if value is not None}
                for label in re.findall(r"\$labels\.(\w+)", str(alerts()[name]["annotations"])):
                    self.assertIn(label, expected, "an annotation names a label that the alert does not have")
                self.run_tests([{"interval": "1m", "input_series": self.series(lines), "alert_rule_test": [
                    {"eval_time": f"{quiet}m", "alertname": name, "exp_alerts": []},
                    {"eval_time": f"{fires}m", "alertname": name, "exp_alerts": [{"exp_labels": expected}]}]}])

    def test_nothing_fires_in_a_life_that_only_looks_like_trouble(self):
        self.run_tests([
            {"interval": "1m", "name": life, "input_series": self.series(lines), "alert_rule_test": [
                {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []}
                for alert in alerts() for minute in range(30, alert_cases.MINUTES, 45)]}
            for life, lines in alert_cases.QUIET.items()])

    def test_an_alert_says_what_is_wrong_and_has_a_page(self):
        page = (ROOT / "docs/operations.md").read_text()
        for name, rule in alerts().items():
            with self.subTest(alert=name):
                self.assertRegex(name, "^PeerMesh[A-Z]")
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook_url"})
                self.assertTrue(rule["annotations"]["runbook_url"].endswith("#" + name.lower()))
                self.assertRegex(page, rf"(?m)^#+ {name}$")

    def test_no_alert_follows_a_slope(self):
        for name, rule in alerts().items():
            self.assertNotRegex(rule["expr"], r"\b(deriv|predict_linear|delta|holt_winters)\b", name)


@unittest.skipIf(PROMTOOL is None, "promtool is not there (deploy/install-deps test)")
@unittest.skipIf(yaml is None, "python3-yaml is not installed (deploy/install-deps test)")
class Dashboard(unittest.TestCase):
    def test_prometheus_understands_every_query(self):
        expressions = [plain(expression) for _, expression in targets()]
        self.assertGreater(len(expressions), 20)
        content = {"groups": [{"name": "dashboard", "rules": [
            {"record": f"panel:number_{number}:query", "expr": expression} for number, expression in enumerate(expressions)]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(content, file)
            file.flush()
            done = promtool("check", "rules", "--lint=all", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_panel_can_be_read(self):
        panels = json.loads(DASHBOARD.read_text())["panels"]
        flat = [inner for panel in panels for inner in [panel, *panel.get("panels", [])]]
        self.assertEqual(len({panel["id"] for panel in flat}), len(flat))
        taken = set()
        for panel in flat:
            with self.subTest(panel=panel["title"]):
                place = panel["gridPos"]
                cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
                self.assertFalse(cells & taken, "it lies on another panel")
                self.assertLessEqual(place["x"] + place["w"], 24)
                taken |= cells
                if panel["type"] != "row":
                    self.assertTrue(panel["description"].endswith("."))
                    self.assertIn("unit", panel["fieldConfig"]["defaults"])
                    self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})

    def test_every_query_is_of_the_chosen_peers(self):
        for panel, expression in targets():
            self.assertIn('job=~"$job"', expression, panel["title"])


@unittest.skipIf(yaml is None, "python3-yaml is not installed (deploy/install-deps test)")
class Names(unittest.TestCase):
    def test_everything_read_is_exported_or_recorded(self):
        with harness.Mesh() as mesh:
            page = mesh.start("alpha").page("metrics")
        # A family may have no series yet: the ledger learns its baseline for ten minutes.
        exported = set(re.findall(r"(?m)^(?:# TYPE )?([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ]", page))
        recorded = {rule["record"] for rule in rules(FILES[0])}
        read = {name for path in FILES for rule in rules(path) for name in names_in(rule["expr"])}
        read |= {name for _, expression in targets() for name in names_in(plain(expression))}
        self.assertLessEqual({"peermesh_messages_total", "process_open_fds"}, read, "the parser of expressions works")
        self.assertEqual(read - exported - recorded - FROM_PROMETHEUS, set())


@unittest.skipIf(PROMTOOL is None, "promtool is not there (deploy/install-deps test)")
@unittest.skipIf(yaml is None, "python3-yaml is not installed (deploy/install-deps test)")
class RealSeries(unittest.TestCase):
    """What a real peer exports, against what rules, dashboards of others and limits expect of it."""

    @classmethod
    def setUpClass(cls):
        with harness.Mesh() as mesh:
            alpha = mesh.start("alpha")
            cls.at_start = alpha.metrics()
            mesh.cli("status")
            alpha.publish(("metrics.test", b"x"))
            cls.page, cls.later = alpha.page("metrics"), alpha.metrics()

    def grpc(self, side, what):
        return {series: value for series, value in self.later.items() if series.startswith(f"grpc_{side}_{what}")}

    def test_promtool_finds_nothing_wrong_with_the_page(self):
        done = promtool("check", "metrics", input=self.page)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_series_are_the_same_before_and_after_the_first_calls(self):
        self.assertEqual({series for series in self.later if series.startswith("grpc_")},
                         {series for series in self.at_start if series.startswith("grpc_")})

    def test_calls_have_the_names_and_labels_of_other_servers(self):
        for side in ("server", "client"):
            for what in ("started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"):
                series = self.grpc(side, what)
                self.assertGreater(len(series), 4, f"{side} {what}")
                for name in series:
                    self.assertRegex(name, r'\{grpc_type="(unary|client_stream|server_stream|bidi_stream)",'
                                           r'grpc_service="[\w.]+",grpc_method="\w+"\}$')
            codes = {re.search(r'grpc_code="(\w+)"', name)[1] for name in self.grpc(side, "handled_total")}
            self.assertEqual(len(codes), 17)
            self.assertLessEqual({"OK", "Canceled", "Unavailable", "Internal", "DeadlineExceeded"}, codes)

    def test_every_code_that_a_rule_asks_for_is_one(self):
        codes = {re.search(r'grpc_code="(\w+)"', name)[1] for name in self.grpc("server", "handled_total")}
        asked = re.findall(r'grpc_code=~?"([^"]+)"', "".join(path.read_text() for path in FILES))
        self.assertTrue(asked)
        self.assertLessEqual({code for group in asked for code in group.split("|")}, codes)

    def test_a_call_is_counted_once(self):
        publish = 'grpc_type="unary",grpc_service="peermesh.v1.MessagingService",grpc_method="Publish"'
        for what, value in ((f"started_total{{{publish}}}", 1), (f'handled_total{{{publish},grpc_code="OK"}}', 1),
                            (f'handled_total{{{publish},grpc_code="Internal"}}', 0), (f"msg_received_total{{{publish}}}", 1),
                            (f"msg_sent_total{{{publish}}}", 1), (f"handling_seconds_count{{{publish}}}", 1)):
            self.assertEqual(self.later[f"grpc_server_{what}"], value, what)

    def test_kinds_with_a_bound_tell_it_and_their_alert_fires_on_a_real_peers_series(self):
        kinds = {re.search('kind="(\\w+)"', series)[1]: value for series, value in self.later.items()
                 if series.startswith("peermesh_resource_limit{") and value}
        self.assertLessEqual({"session": 4096, "subscription": 65536, "peer_watch": 256, "link": 96, "channel": 192}.items(),
                             kinds.items())
        self.assertGreater(kinds["connection"], 256)
        self.assertLessEqual(kinds["fd_connection"], self.later["process_max_fds"])
        series = []
        for name, value in self.later.items():
            metric, _, labels = name.partition("{")
            if metric not in ("peermesh_resource_live", "peermesh_resource_limit"):
                continue
            kind = re.search('kind="(\\w+)"', name)[1]
            if metric.endswith("_live") and kind == "session":
                value = kinds["session"] * 0.95
            series.append({"series": f"{metric}{{{alert_cases.PEER},{labels}", "values": f"{value}x30"})
        labels = {"job": "peermesh", "instance": "a:9464", "kind": "session", "severity": "warning"}
        Rules().run_tests([{"interval": "1m", "input_series": series, "alert_rule_test": [
            {"eval_time": "20m", "alertname": "PeerMeshResourceNearLimit", "exp_alerts": [{"exp_labels": labels}]}]}])

    def test_the_heap_is_told_by_state(self):
        states = {state: self.later[f'peermesh_heap_bytes{{state="{state}"}}'] for state in ("in_use", "mapped", "free")}
        if not harness.SANITIZED:
            self.assertGreater(states["in_use"], 100_000)
            self.assertLessEqual(states["in_use"], self.later["process_virtual_memory_bytes"])


if __name__ == "__main__":
    harness.main()
