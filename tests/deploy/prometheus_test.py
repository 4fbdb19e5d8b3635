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
        unknown = read - exported - recorded - FROM_PROMETHEUS
        # A family as a whole may be missing: the ledger can be switched off.
        for family in ("peermesh_resource_", "peermesh_ledger_", "grpc_server_"):
            if not any(name.startswith(family) for name in exported):
                print(f"no {family}* from this peer")
                unknown = {name for name in unknown if not name.startswith(family)}
        self.assertEqual(unknown, set())


if __name__ == "__main__":
    harness.main()
