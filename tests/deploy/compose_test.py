"""compose.yaml, the Dockerfile and what they name agree with each other and with the programs. Nothing is built here:
image_test.py does that, and runs it."""

import json
import os
import pathlib
import re
import stat
import subprocess
import tempfile
import unittest

import compose_file
import debian
import harness

try:
    import yaml
except ImportError:
    yaml = None


def help_of(program, *words):
    return subprocess.run([harness.BIN / program, *words, "--help"], capture_output=True, text=True, timeout=10).stdout


@unittest.skipIf(yaml is None, "python3-yaml is not installed (deploy/install-deps test)")
class Compose(unittest.TestCase):
    def setUp(self):
        self.file = compose_file.load()
        self.services = self.file["services"]

    def test_it_has_a_ca_three_peers_and_prometheus(self):
        self.assertEqual(list(self.services), ["ca", *compose_file.PEERS, "prometheus"])

    def test_every_variable_is_one_that_a_program_reads(self):
        known = compose_file.known_variables()
        self.assertLessEqual({"PEERMESH_NAME", "PEERMESH_METRICS_LISTEN", "PEERMESH_LIMITS_HANDSHAKES_BURST"}, known)
        known |= set(re.findall(r"Env:(PEERMESH_\w+)", help_of("peermesh-ca")))
        for name, service in [*self.services.items(), ("the image", {"environment": compose_file.image_environment()})]:
            for variable in service.get("environment", {}):
                if variable.startswith("PEERMESH_"):
                    self.assertIn(variable, known, name)

    def test_a_peer_is_configured_by_what_it_is_told(self):
        """The daemon itself judges the values: with a token that is none it gets as far as reading it."""
        place = self.enterContext(tempfile.TemporaryDirectory())
        for name in compose_file.PEERS:
            variables = {**os.environ, **compose_file.image_environment(), **self.services[name]["environment"],
                         "PEERMESH_DATA_DIR": f"{place}/{name}", "PEERMESH_RUN_DIR": f"{place}/run", "PEERMESH_JOIN": "none"}
            done = subprocess.run([harness.BIN / "peermeshd"], env=variables, capture_output=True, text=True, timeout=10)
            self.assertEqual(done.returncode, 5, done.stderr)
            variables["PEERMESH_METRICS_LISTEN"] = "nowhere"
            done = subprocess.run([harness.BIN / "peermeshd"], env=variables, capture_output=True, text=True, timeout=10)
            self.assertEqual(done.returncode, 2, "wrong values would have been noticed")

    def test_every_flag_exists(self):
        for name in ("ca", *compose_file.PEERS):
            service = self.services[name]
            program = service.get("entrypoint", ["peermeshd"])[0]
            for word in service["command"]:
                if word.startswith("--"):
                    self.assertIn(word, help_of(program).split() + re.findall(r"--[\w-]+", help_of(program)), name)
        test = self.services["ca"]["healthcheck"]["test"]
        self.assertEqual(test, ["CMD", "peermesh", "token", "ls"])
        ca = self.services["ca"]
        default = compose_file.image_environment()["PEERMESH_DATA_DIR"]
        self.assertEqual(ca["environment"]["PEERMESH_CA_DATA_DIR"], f"{default}/ca", "where peermesh looks for one")
        self.assertIn(f"ca:{default}", ca["volumes"])

    def test_each_peer_has_a_token_of_its_own(self):
        words = self.services["ca"]["command"]
        directory = words[words.index("--bootstrap-tokens") + 1]
        self.assertEqual([words[i + 1] for i, word in enumerate(words) if word == "--bootstrap-peer"], list(compose_file.PEERS))
        for name in compose_file.PEERS:
            service = self.services[name]
            self.assertEqual(service["command"], ["--join", f"{directory}/{name}.token"])
            self.assertEqual(service["environment"]["PEERMESH_NAME"], name)
            self.assertEqual(service["environment"]["PEERMESH_ADVERTISE"], f"{name}:7443")
            self.assertIn(f"tokens:{directory}:ro", service["volumes"])
        self.assertEqual(self.file["volumes"]["tokens"]["driver_opts"]["type"], "tmpfs")

    def test_addresses_and_ports_agree(self):
        names = {"seeds": set(), "targets": set()}
        for name in compose_file.PEERS:
            variables = self.services[name]["environment"]
            names["seeds"] |= set(variables["PEERMESH_SEEDS"].split(","))
            metrics_port = variables["PEERMESH_METRICS_LISTEN"].rpartition(":")[2]
            names["targets"].add(f"{name}:{metrics_port}")
        self.assertEqual(names["seeds"], {f"{name}:7443" for name in compose_file.PEERS})
        scrape = yaml.safe_load((compose_file.DEPLOY / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
        urls = [config["url"] for job in scrape for config in job["http_sd_configs"]]
        self.assertEqual(len(urls), 1)
        self.assertIn(urls[0], {f"http://{target}/targets" for target in names["targets"]})
        exposed = {port for name, rest in compose_file.final_stage() if name == "EXPOSE" for port in rest.split()}
        self.assertEqual(exposed, {"7443", "7444", "9464"})
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name} opens {port} to the world")

    def test_volumes_and_paths_exist(self):
        used = set()
        for service in self.services.values():
            for volume in service["volumes"]:
                source, _, _ = volume.partition(":")
                if source.startswith("."):
                    self.assertTrue((compose_file.DEPLOY / source).is_dir(), source)
                else:
                    used.add(source)
        self.assertEqual(used, set(self.file["volumes"]))

    def test_one_service_makes_the_image_of_all(self):
        """Four would compile it four times, or race for its name."""
        self.assertEqual([name for name, service in self.services.items() if "build" in service], ["ca"])
        build = self.services["ca"]["build"]
        self.assertTrue((compose_file.DEPLOY / build["context"] / build["dockerfile"]).is_file())
        for name in ("ca", *compose_file.PEERS):
            self.assertEqual((self.services[name]["image"], self.services[name]["pull_policy"]), ("peermesh:local", "never"))

    def test_no_volume_is_without_a_name(self):
        """`down` would leave it behind for ever."""
        declared = json.loads(dict(compose_file.final_stage())["VOLUME"])
        for name in ("ca", *compose_file.PEERS):
            service = self.services[name]
            held = [volume.split(":")[1] for volume in service["volumes"]] + [one.split(":")[0] for one in service["tmpfs"]]
            self.assertLessEqual(set(declared), set(held), name)

    def test_the_project_has_a_name_that_every_compose_reads(self):
        self.assertNotIn("name", self.file, "compose 1.29 refuses it")
        self.assertEqual((compose_file.DEPLOY / ".env").read_text(), "COMPOSE_PROJECT_NAME=peermesh\n")

    def test_no_container_has_rights_it_does_not_need(self):
        for name in ("ca", *compose_file.PEERS):
            service = self.services[name]
            self.assertTrue(service["read_only"])
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertIn("no-new-privileges:true", service["security_opt"])
            self.assertNotIn("privileged", service)


class Dockerfile(unittest.TestCase):
    def setUp(self):
        self.final = compose_file.final_stage()
        self.one = dict(self.final)

    def test_the_final_stage_is_nobody_with_nothing(self):
        self.assertEqual(self.one["FROM"], "scratch")
        self.assertRegex(self.one["USER"], r"^\d+:\d+$")
        self.assertEqual(self.one["USER"], "65532:65532")
        self.assertFalse({"RUN", "ADD"} & {name for name, _ in self.final})

    def test_it_stops_and_is_healthy_as_the_programs_say(self):
        self.assertEqual(self.one["STOPSIGNAL"], "SIGTERM")
        self.assertTrue(self.one["HEALTHCHECK"].endswith('CMD ["/usr/bin/peermesh", "health"]'))
        self.assertIn("serving", help_of("peermesh", "health"))
        self.assertEqual(self.one["ENTRYPOINT"], '["/usr/bin/peermeshd"]')

    def test_it_is_labelled(self):
        for label in ("title", "description", "version", "revision", "licenses", "documentation"):
            self.assertIn(f"org.opencontainers.image.{label}=", self.one["LABEL"])
        version = re.search(r"project\(peermesh VERSION ([\d.]+)", (compose_file.ROOT / "CMakeLists.txt").read_text())[1]
        self.assertIn(("ARG", f"VERSION={version}"), self.final)

    def test_what_it_copies_is_there(self):
        ignored = (compose_file.ROOT / ".dockerignore").read_text().splitlines()
        self.assertIn("*", ignored)
        for name, rest in compose_file.instructions():
            words = rest.split()
            if name == "COPY" and not words[0].startswith("--from"):
                self.assertTrue((compose_file.ROOT / words[0]).exists(), words[0])
                self.assertIn(f"!{words[0]}", ignored, "the context must have it")
        self.assertTrue(os.stat(compose_file.DEPLOY / "image-root").st_mode & stat.S_IXUSR)

    def test_what_it_copies_is_enough_to_compile(self):
        """Every file that a rule names: a dry run of the build. What only an #include names is in the same folders."""
        place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        stage = compose_file.instructions()
        first, second = (i for i, (name, _) in enumerate(stage) if name == "FROM" and i < len(stage) - len(self.final))
        for source, target in (rest.split() for name, rest in stage[first:second] if name == "COPY"):
            source, target = compose_file.ROOT / source, place / "source" / target
            target = target / source.name if target.name == "." or target == place / "source" else target
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        for words in (["cmake", "-S", place / "source", "-B", place / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                       "-DPEERMESH_TESTS=OFF"], ["ninja", "-C", place / "build", "-n", *debian.PROGRAMS]):
            done = subprocess.run(words, capture_output=True, text=True, timeout=50)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)

    def test_what_it_compiles_is_what_it_contains(self):
        text = (compose_file.DEPLOY / "Dockerfile").read_text()
        programs = re.search(r"--target ([\w -]+?) *\\\n", text)[1].split()
        self.assertEqual(programs, re.search(r"for program in ([\w -]+);", text)[1].split())
        for program in programs:
            self.assertTrue((harness.BIN / program).exists(), program)


if __name__ == "__main__":
    harness.main()
