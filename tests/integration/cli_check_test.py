"""peermesh check against real daemons: what Nagios, a script and the textfile collector of Prometheus are told."""

import json
import subprocess

import harness


class Check(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()

    def setUp(self):
        super().setUp()
        self.mesh.mend()

    def check(self, *arguments, peer=None):
        done = self.mesh.cli("check", *arguments, peer=peer or self.alpha, check=False)
        return done.returncode, done.stdout

    def test_a_peer_that_answers_is_ok_in_one_line_with_figures(self):
        code, said = self.check("conn", "--peers", "1")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"^OK - alpha answers in [\d.]+ ms, 1 peer linked\|"
                               r"time=0\.\d+s;0\.5;2;0 linked=1;;1;0 missing=0;1;;0\n$")

    def test_a_peer_too_few_or_too_slow_is_critical(self):
        code, said = self.check("conn", "--peers", "2")
        self.assertEqual((code, said.partition(" ")[0]), (2, "CRITICAL"))
        code, said = self.check("conn", "--warning", "1us")
        self.assertEqual((code, said.partition(" ")[0]), (1, "WARNING"))
        code, said = self.check("conn", "--critical", "1us")
        self.assertEqual((code, said.partition(" ")[0]), (2, "CRITICAL"))

    def test_a_lost_peer_is_a_warning_and_a_peer_that_left_is_none(self):
        self.beta.kill()
        harness.wait_for(lambda: self.alpha.table()["beta"].state == harness.DEAD, 15, "beta to be dead")
        code, said = self.check("conn")
        self.assertEqual(code, 1, said)
        self.assertRegex(said, r"; beta is dead \((connection_refused|link_broken)\)\|")
        self.beta.launch()
        self.mesh.wait_linked()
        self.beta.drain()
        harness.wait_for(lambda: self.alpha.table()["beta"].state == harness.LEFT, 15, "beta to have left")
        self.assertEqual(self.check("conn")[0], 0)

    def test_a_peer_that_is_gone_is_critical_for_conn_and_unknown_for_the_others(self):
        self.beta.kill()
        for check, code, word in (("conn", 2, "CRITICAL"), ("certs", 3, "UNKNOWN"), ("leaks", 3, "UNKNOWN")):
            with self.subTest(check):
                got, said = self.check(check, peer=self.beta)
                self.assertEqual(got, code)
                self.assertRegex(said, rf"^{word} - .*\n$")
                self.assertNotIn("|", said)
        code, said = self.check("conn", "--json", peer=self.beta)
        self.assertEqual((code, json.loads(said)["status"]), (2, "CRITICAL"))

    def test_certificates_of_the_peer_and_the_ca_are_told_and_judged(self):
        code, said = self.check("certs")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"^OK - certificates expire: alpha in 6d 23h, CA in \d+d \d+h\|"
                               r"peer=\d+(\.\d+)?s;86400;7200;0 ca=\d+(\.\d+)?s;7776000;2592000;0\n$")
        self.assertEqual(self.check("certs", "--warning", "8d")[0], 1)
        self.assertEqual(self.check("certs", "--critical", "8d")[0], 2)
        self.assertIn("beta in 6d 23h", self.check("certs", "--all")[1])
        identity = self.mesh.client("monitor", "--ttl", "2d")
        done = self.mesh.cli("check", "certs", "--address", self.alpha.facts["listen"], "--identity", identity, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("identity in 1d 23h, CA in", done.stdout)

    def test_leaks_are_counted_and_judged(self):
        code, said = self.check("leaks")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"^OK - no findings after \d+ sweeps\|findings=0;1;;0 alerting=0;;1;0 descriptors=\d+;;;0\n$")

    def test_json_has_a_schema_a_code_and_figures(self):
        for check in ("conn", "certs", "leaks"):
            for way in (["--json"], ["--format", "json"]):
                code, said = self.check(check, *way)
                result = json.loads(said)
                self.assertEqual((result["schema"], result["code"], result["status"]), (f"peermesh.check.{check}.v1", code, "OK"))
                self.assertEqual(result["target"], self.alpha.facts["app_socket"])
                self.assertTrue(result["figures"])

    def test_a_textfile_is_written_whole_and_promtool_takes_it(self):
        file = self.mesh.dir / "peermesh.prom"
        promtool = harness.find_tool("promtool", "prometheus/usr/bin")
        for check, series in (("conn", "peermesh_check_conn_time_seconds"), ("certs", "peermesh_check_certs_ca_seconds"),
                              ("leaks", "peermesh_check_leaks_findings")):
            code, said = self.check(check, "--format", "prometheus", "--output", file)
            self.assertEqual((code, said), (0, ""))
            text = file.read_text()
            self.assertIn(f'peermesh_check_status{{check="{check}",target="{self.alpha.facts["app_socket"]}"}} 0\n', text)
            self.assertRegex(text, rf'(?m)^{series}{{target=".*"}} [\d.]+$')
            self.assertEqual(file.stat().st_mode & 0o777, 0o644)
            if promtool:
                done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path.name for path in self.mesh.dir.glob("peermesh.prom*")], ["peermesh.prom"])
        if not promtool:
            self.skipTest("promtool is not installed (deploy/install-deps test); the form was checked by hand")

    def test_a_mistake_is_unknown_and_never_critical(self):
        for arguments in (["conn", "--format", "xml"], ["conn", "--warning", "soon"], ["cunn"], [], ["conn", "x"]):
            code, said = self.check(*arguments)
            self.assertEqual(code, 3, arguments)
            self.assertTrue(said.startswith("UNKNOWN - "), said)
        code, said = self.check("conn", "--output", "/nonexistent/file")
        self.assertEqual((code, said), (3, ""))


if __name__ == "__main__":
    harness.main()
