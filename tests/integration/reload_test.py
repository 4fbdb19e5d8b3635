"""SIGHUP and AdminService.Reload: what changes while a peer runs, what needs a restart, and what a mistake does."""

import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import unittest

import forge
import harness
from harness import admin_pb2

MESHSIM = os.environ.get("PEERMESH_MESHSIM", "")
CONNECTIONS = {"handshakes": {"per_second": 2000, "burst": 2000}}


class Reload(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.journal = cls.mesh.dir / "alpha.journal"
        cls.config = {"limits": dict(CONNECTIONS)}
        cls.alpha = cls.mesh.start("alpha", config=cls.config, journal=cls.journal)
        cls.mesh_id = cls.alpha.facts["mesh_id"]
        ca = cls.alpha.dir / "ca"
        cls.ca = forge.Root(cls.mesh.dir / "forged", ca / "root-key.pem", ca / "root.pem")

    def setUp(self):
        super().setUp()
        self.write(self.config)
        self.reload()

    def write(self, config):
        text = config if isinstance(config, str) else json.dumps(config)
        (self.mesh.dir / "alpha.yaml").write_text(text)

    def reload(self, config=None):
        """The report, as {setting: (old, new)} for what changed and for what needs a restart."""
        if config is not None:
            self.write(config)
        report = self.alpha.admin.Reload(admin_pb2.ReloadRequest(), timeout=10)
        self.unchanged = report.unchanged
        return [{change.setting: (change.old_value, change.new_value) for change in changes}
                for changes in (report.changed, report.needs_restart)]

    def hang_up(self, lines=1):
        """SIGHUP; what the log says from then on, when `lines` of the outcome are there."""
        before = len(self.alpha.log.read_text())
        self.alpha.process.send_signal(signal.SIGHUP)

        def said():
            text = self.alpha.log.read_text()[before:]
            return text if len(re.findall(r"reload: (?:reloaded|not reloaded)", text)) >= lines else None

        return harness.wait_for(said, 10, "the outcome of SIGHUP")

    def test_a_signal_and_a_call_do_the_same(self):
        self.write({**self.config, "drain_timeout": "7s"})
        log = self.hang_up()
        self.assertIn("setting changed setting=drain_timeout old=5s new=7s", log)
        self.assertRegex(log, r"reloaded changed=1 needs_restart=0 unchanged=\d+")
        changed, restart = self.reload(self.config)
        self.assertEqual(changed, {"drain_timeout": ("7s", "5s")})
        self.assertEqual(restart, {})
        self.assertGreater(self.unchanged, 20)
        status = self.alpha.status()
        self.assertTrue(status.HasField("last_reload_time"))
        self.assertEqual(status.last_reload_error, "")

    def test_a_command_does_the_same(self):
        self.write({**self.config, "drain_timeout": "8s", "advertise": ["elsewhere.example:1"]})
        done = self.mesh.cli("reload")
        self.assertRegex(done.stdout, r"(?m)^drain_timeout +5s +8s +now$")
        self.assertRegex(done.stdout, r"(?m)^advertise +\[\] +\[elsewhere\.example:1\] +after a restart$")
        self.assertRegex(done.stderr, r"1 setting changed; 1 setting needs a restart; \d+ settings as before\.")
        self.write({"lisen": 1})
        done = self.mesh.cli("reload", "--json", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["error"]["reason"], "RELOAD_REFUSED")
        self.assertIn("lisen", done.stderr)
        self.write(self.config)
        report = json.loads(self.mesh.cli("reload", "--json").stdout)
        self.assertEqual(report["schema"], "peermesh.reload.v1")
        self.assertEqual(report["changed"], [{"setting": "drain_timeout", "oldValue": "8s", "newValue": "5s"}])

    def test_a_flag_stays_stronger_than_the_file(self):
        changed, restart = self.reload({**self.config, "log": {"level": "error"}})  # --log-level debug
        self.assertEqual((changed, restart), ({}, {}))

    def test_a_limit_that_is_lowered_is_felt_at_once_and_one_that_is_raised_as_well(self):
        self.alpha.publish(*[("reload.news", b"x")] * 50)
        limits = {**CONNECTIONS, "application_messages": {"per_second": 1, "burst": 2}}
        changed, _ = self.reload({"limits": limits})
        self.assertEqual(changed["limits.application_messages.per_second"], ("0", "1"))
        self.assertEqual(changed["limits.application_messages.burst"], ("0", "2"))
        self.alpha.publish(("reload.news", b"x"), ("reload.news", b"x"))
        refusal = harness.refusal_of(lambda: self.alpha.publish(("reload.news", b"x")))
        self.assertEqual((refusal.reason, refusal.quota), ("RATE_LIMITED", "application:local"))
        self.reload({"limits": {**CONNECTIONS, "application_messages": {"per_second": 1000, "burst": 50}}})
        self.alpha.publish(*[("reload.news", b"x")] * 50)

    def test_the_limit_of_connections_changes_and_those_that_are_there_stay(self):
        key, certificate = self.ca.issue(self.mesh_id, role="client", usage="clientAuth")
        held = [forge.connect(self.alpha.facts["listen"], "127.0.0.1") for _ in range(3)]
        self.addCleanup(lambda: [one.close() for one in held])
        open_now = lambda: self.alpha.metric("peermesh_connections", listener="mesh")
        harness.wait_for(lambda: open_now() >= 3, 5, "the connections to be counted")
        self.reload({"limits": {**CONNECTIONS, "connections": 2, "connections_per_address": 2}})
        self.assertNotEqual(forge.handshake(self.alpha.facts["listen"], key, certificate), "")
        self.assertGreaterEqual(open_now(), 3)
        self.reload(self.config)
        self.assertEqual(forge.handshake(self.alpha.facts["listen"], key, certificate), "")

    def test_a_peer_that_is_added_as_a_seed_links(self):
        # It learns of alpha by nobody: its token names no seed, and its own are none.
        beta = self.mesh.start("beta", join=self.mesh.token("beta"))
        (beta.dir / "identity" / "seeds").unlink(missing_ok=True)
        beta.end()
        (beta.dir / "state.db").unlink()
        self.alpha.restart()  # nothing is remembered of it there, either
        harness.wait_for(lambda: self.forgotten("beta"), 5, "a table without beta")
        beta.launch()
        changed, _ = self.reload({**self.config, "seeds": [beta.facts["listen"]]})
        self.assertEqual(changed, {"seeds": ("[]", f"[{beta.facts['listen']}]")})
        self.mesh.wait_linked(10)
        changed, _ = self.reload(self.config)
        self.assertEqual(changed, {"seeds": (f"[{beta.facts['listen']}]", "[]")})
        self.assertTrue(self.mesh.linked(), "a seed that goes takes no link with it")
        beta.end()

    def forgotten(self, name):
        """Takes care that the peer is not in alpha's table, by a life without its memory if need be."""
        if name not in self.alpha.table():
            return True
        self.alpha.end()
        (self.alpha.dir / "state.db").unlink()
        self.alpha.launch()
        return False

    def test_a_certificate_that_is_replaced_on_disk_is_served(self):
        identity = self.alpha.dir / "identity"
        client = self.ca.issue(self.mesh_id, role="client", usage="clientAuth")
        _, certificate = self.ca.issue(self.mesh_id, name="alpha", key_file=identity / "key.pem", end=3)
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        self.assertNotEqual(forge.served_certificate(self.alpha.facts["listen"], *client), der)
        before = self.alpha.status().certificate_expiry.seconds
        (identity / "cert.pem").write_text(certificate.read_text())
        changed, restart = self.reload()
        self.assertEqual(set(changed), {"identity"})
        self.assertRegex(changed["identity"][1], r"^until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(restart, {})
        self.assertNotEqual(self.alpha.status().certificate_expiry.seconds, before)
        harness.wait_for(lambda: forge.served_certificate(self.alpha.facts["listen"], *client) == der, 5,
                         "the new certificate to be served")

    def refused(self, *words):
        """Nothing changes, in one sentence, and it is counted."""
        failed = self.alpha.metric("peermesh_reloads_total", result="failed")
        refusal = harness.refusal_of(lambda: self.reload())
        self.assertEqual(refusal.reason, "RELOAD_REFUSED")
        for word in words:
            self.assertIn(word, refusal.message)
        self.assertEqual(self.alpha.metric("peermesh_reloads_total", result="failed"), failed + 1)
        log = self.hang_up()
        self.assertIn("not reloaded; nothing has changed error=", log)
        self.assertNotIn("setting changed", log)
        self.assertIn(words[0], self.alpha.status().last_reload_error)
        self.alpha.publish(("reload.after", b"it goes on"))

    def test_a_broken_file_changes_nothing(self):
        for text, word in (("limits: {application_messages: {per_second: 1\n", "alpha.yaml:"),
                           (json.dumps({"limits": {"conections": 3}}), "Did you mean 'connections'?"),
                           (json.dumps({"advertise": ["here:0"], "drain_timeout": "9s"}), "advertise has 'here:0'")):
            with self.subTest(text):
                self.write(text)
                self.refused(word)
        (self.mesh.dir / "alpha.yaml").unlink()
        self.refused("cannot be read")
        changed, restart = self.reload(self.config)
        self.assertEqual((changed, restart), ({}, {}), "what was refused had no part of it taken")

    def test_an_identity_that_does_not_fit_changes_nothing(self):
        identity = self.alpha.dir / "identity"
        good = (identity / "cert.pem").read_text()
        self.addCleanup((identity / "cert.pem").write_text, good)
        self.write({**self.config, "drain_timeout": "9s"})
        _, foreign = self.ca.issue(self.mesh_id, name="alpha")
        _, expired = self.ca.issue(self.mesh_id, name="alpha", key_file=identity / "key.pem", begin=-1,
                                   end=-1 / 1440)  # a minute ago: its root is not older than this test
        for text, word in ((good[:200], "identity"), (foreign.read_text(), "does not belong to key.pem"),
                           (expired.read_text(), "expired")):
            with self.subTest(word):
                (identity / "cert.pem").write_text(text)
                self.refused(word)
        (identity / "cert.pem").write_text(good)
        self.assertEqual(self.reload()[0], {"drain_timeout": ("5s", "9s")}, "it had not been taken before")

    def test_what_needs_a_restart_is_named_each_time(self):
        before = self.alpha.flags
        config = {**self.config, "metrics": {"listen": "127.0.0.1:1"}, "advertise": ["elsewhere.example:1"],
                  "ca": {"certificate_lifetime": "3d"}, "drain_timeout": "6s"}
        for turn in (1, 2):
            changed, restart = self.reload(config)
            self.assertEqual(changed, {"drain_timeout": ("5s", "6s")} if turn == 1 else {})
            self.assertEqual(restart, {"advertise": ("[]", "[elsewhere.example:1]"),
                                       "ca.certificate_lifetime": ("7d", "3d")},
                             "metrics.listen is a flag, which is stronger")
        self.assertIn("setting needs a restart setting=ca.certificate_lifetime old=7d new=3d", self.hang_up())
        self.assertEqual(self.alpha.flags, before)

    def test_the_address_of_the_mesh_port_needs_a_restart(self):
        peer = self.mesh.peer("mover")
        config = self.mesh.dir / "mover.yaml"
        words = {"listen": "127.0.0.1:0", "metrics": {"listen": "127.0.0.1:0"}}
        config.write_text(json.dumps(words))
        with self.mesh.pipe() as (read_end, write_end):
            token = self.mesh.dir / "mover.token"
            token.write_text(self.mesh.token("mover"))
            process = subprocess.Popen(
                [harness.BIN / "peermeshd", "--name", "mover", "--data-dir", peer.dir, "--config", config, "--join",
                 token, "--log-format", "text", "--ready-fd", str(write_end)], pass_fds=[write_end],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            os.close(write_end)
            self.assertIn(b"mesh_id", os.read(read_end, 4096))
        config.write_text(json.dumps({**words, "listen": "127.0.0.1:7", "log": {"level": "error"}}))
        process.send_signal(signal.SIGHUP)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "reload: reloaded" in line:
                break
        text = "".join(lines)
        self.assertIn("setting needs a restart setting=listen old=127.0.0.1:0 new=127.0.0.1:7", text)
        self.assertIn("setting changed setting=log.level old=info new=error", text)
        # And it talks less from now on.
        process.send_signal(signal.SIGTERM)
        self.assertNotIn("stopping", process.stderr.read())
        self.assertEqual(process.wait(10), 0)

    def test_reloads_while_messages_flow_lose_none(self):
        stream = self.keep(self.alpha.subscribe("reload.flow"))
        for number in range(40):
            self.reload({**self.config, "drain_timeout": f"{5 + number % 2}s"})
            self.alpha.publish(*[("reload.flow", str(number).encode())] * 25)
        stream.wait_messages(1000)
        self.assertEqual([got.message.payload for got in stream.arrived],
                         [str(number).encode() for number in range(40) for _ in range(25)])
        self.assertEqual(stream.lost, [])

    @unittest.skipUnless(pathlib.Path(MESHSIM).is_file(), "meshsim is not built")
    def test_a_recorded_run_with_reloads_in_it_happens_again(self):
        self.reload({"limits": {**CONNECTIONS, "application_messages": {"per_second": 1, "burst": 1}},
                     "seeds": ["127.0.0.1:1"]})
        harness.refusal_of(lambda: self.alpha.publish(("a", b""), ("a", b"")))
        self.alpha.end()
        run = subprocess.run([MESHSIM, "replay", self.journal], capture_output=True, text=True, timeout=120)
        self.alpha.launch()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("as recorded", run.stdout)


class Ca(unittest.TestCase):
    def test_a_ca_outlives_sighup_and_says_what_there_is(self):
        with harness.Mesh() as mesh, mesh.pipe() as (read_end, write_end):
            process = subprocess.Popen(
                [harness.BIN / "peermesh-ca", "--init", "--data-dir", mesh.dir / "ca", "--listen", "127.0.0.1:0",
                 "--ready-fd", str(write_end)], pass_fds=[write_end], stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            os.close(write_end)
            self.assertIn(b"mesh_id", os.read(read_end, 4096))
            process.send_signal(signal.SIGHUP)
            line = next(line for line in process.stderr if "reload" in line)
            self.assertIn("every setting is a flag and needs a restart", line)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    harness.main()
