"""What the command line does around a peer: contexts, configuration, reasons, completion, programs in other languages."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness

SOURCE = pathlib.Path(__file__).parents[2]
PROGRAM = harness.BIN / "peermesh"
SECONDS = 30


class Setup(harness.MeshTest):
    @classmethod
    def set_up_mesh(cls):
        cls.alpha = cls.mesh.start("alpha")
        cls.beta = cls.mesh.start("beta", join=cls.mesh.token("beta"))
        cls.mesh.wait_linked()
        cls.config = cls.mesh.dir / "config"

    def run_cli(self, *arguments, code=0, **variables):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.mesh.dir), "XDG_CONFIG_HOME": str(self.config), **variables}
        done = subprocess.run([PROGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stderr}")
        if code != 0 and "--json" not in arguments:
            self.assertEqual(done.stdout, "")
        return done

    def chosen(self, *arguments, **variables):
        shown = json.loads(self.run_cli("context", "show", "--json", *arguments, **variables).stdout)
        return shown["chosenBy"], shown["name"]

    # Contexts.

    def test_a_context_leads_to_its_peer_and_what_comes_before_it_wins(self):
        self.addCleanup(shutil.rmtree, self.config, ignore_errors=True)
        self.run_cli("context", "add", "one", "--data-dir", self.alpha.dir, "--use", "--description", "the first")
        self.run_cli("context", "add", "two", "--socket", self.beta.facts["app_socket"])
        name = lambda *words, **variables: json.loads(self.run_cli(*words, "peers", "--json", **variables).stdout)["peers"][0]["name"]
        socket = self.beta.facts["app_socket"]
        self.assertEqual(name(), "alpha")
        self.assertEqual(name(PEERMESH_CONTEXT="two"), "beta")
        self.assertEqual(name(PEERMESH_CONTEXT="two", PEERMESH_DATA_DIR=str(self.alpha.dir)), "alpha")
        self.assertEqual(name("--context", "one", PEERMESH_SOCKET=socket), "alpha")
        self.assertEqual(name("--context", "one", "--socket", socket), "beta")
        self.assertEqual(self.chosen(), ("peermesh context use", "one"))
        self.assertEqual(self.chosen(PEERMESH_CONTEXT="two"), ("PEERMESH_CONTEXT", "two"))
        self.assertEqual(self.chosen("--socket", socket)[0], "options")
        self.assertEqual(self.run_cli("context", "ls", "--quiet").stdout, "one\ntwo\n")
        self.assertRegex(self.run_cli("context", "ls").stdout, r"(?m)^\* +one +\S+ +- +the first$")
        for path in self.config.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o700 if path.is_dir() else 0o600, path)
        self.run_cli("context", "add", "two", "--socket", socket, code=1)
        self.run_cli("context", "rm", "one")
        self.assertEqual(self.chosen(), ("default", ""))

    def test_a_context_of_a_remote_peer_needs_no_other_option(self):
        self.addCleanup(shutil.rmtree, self.config, ignore_errors=True)
        identity = self.mesh.client("laptop")
        self.run_cli("context", "add", "far", "--address", self.beta.facts["listen"], "--identity", identity, "--use")
        self.assertIn("beta", self.run_cli("peers").stdout)
        self.assertIn("does not lead there", self.run_cli("token", "ls", code=2).stderr)
        self.run_cli("context", "add", "bare", "--address", "host:1", code=2)

    def test_a_damaged_or_unknown_context_is_named_and_can_be_removed(self):
        self.addCleanup(shutil.rmtree, self.config, ignore_errors=True)
        self.run_cli("context", "add", "one", "--data-dir", self.alpha.dir, "--use")
        for text in ("", "{", "[]", '{"socket": 7}', "{}"):
            (self.config / "peermesh/contexts/one.json").write_text(text)
            self.assertIn("[BAD_CONTEXT]", self.run_cli("peers", code=1).stderr)
        self.assertIn("cannot be understood", self.run_cli("context", "ls").stdout)
        self.run_cli("context", "rm", "one")
        for words in (["--context", "one", "peers"], ["--context", "../one", "peers"], ["context", "use", "one"], ["context", "rm", "one"]):
            self.assertIn("[UNKNOWN_CONTEXT]", self.run_cli(*words, code=5).stderr)
        self.run_cli("--context", "one", "errors", "ls", code=2)

    # Configuration.

    def test_a_configuration_is_checked_by_the_daemon_itself(self):
        file = self.mesh.dir / "peer.yaml"
        file.write_text("name: gamma\nlog:\n  level: debug\n")
        self.assertIn("is good", self.run_cli("config", "check", file).stdout)
        file.write_text("name: gamma\nlog:\n  levle: debug\n")
        bad = self.run_cli("config", "check", file, code=2).stderr
        self.assertIn("[BAD_CONFIG]", bad)
        self.assertRegex(bad, r"peer\.yaml:3\b.*levle")
        error = json.loads(self.run_cli("config", "show", file, "--json", code=2).stdout)["error"]
        self.assertEqual(error["reason"], "BAD_CONFIG")
        self.run_cli("config", "check", file.with_name("absent.yaml"), code=2)

    def test_every_setting_is_shown_with_where_it_is_from(self):
        file = self.mesh.dir / "peer.yaml"
        file.write_text("name: gamma\nmetrics:\n  listen: 127.0.0.1:1\n")
        def settings(*words, **variables):
            shown = json.loads(self.run_cli("config", "show", "--json", *words, **variables).stdout)
            return {setting["path"]: (setting["value"], setting["from"]) for setting in shown["settings"]}
        shown = settings(file, PEERMESH_LOG_LEVEL="debug")
        self.assertEqual(shown["name"], ("gamma", "file, line 1"))
        self.assertEqual(shown["metrics.listen"], ("127.0.0.1:1", "file, line 3"))
        self.assertEqual(shown["log.level"], ("debug", "environment, PEERMESH_LOG_LEVEL"))
        self.assertEqual(shown["log.format"][1], "default")
        running = settings("--running", "--data-dir", self.beta.dir)
        self.assertEqual((running["name"], running["data_dir"]), (("beta", "flag"), (str(self.beta.dir), "flag")))
        file.write_text(self.run_cli("config", "show", file).stdout)
        self.assertIn("is good", self.run_cli("config", "check", file).stdout)

    # Reasons.

    def test_every_reason_in_the_sources_of_the_client_is_explained(self):
        said = set()
        for path in (SOURCE / "client").rglob("*.cc"):
            for call in re.findall(r"(?:MakeError|NotConnected)\((.*?)\);", path.read_text(), re.DOTALL):
                said.update(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', call))
        self.assertGreater(len(said), 15, "the search finds what it should")
        known = {error["reason"] for error in json.loads(self.run_cli("errors", "ls", "--json").stdout)["errors"]}
        self.assertEqual(said - known, set())
        page = set(re.findall(r"(?m)^\| `([A-Z_]+)`", (SOURCE / "docs/errors.md").read_text()))
        self.assertEqual(page - known, set())

    def test_a_reason_is_looked_up_as_people_type_it(self):
        for word in ("RATE_LIMITED", "rate-limited", "[RATE_LIMITED]"):
            self.assertRegex(self.run_cli("errors", "lookup", word).stdout, r"(?m)^exit code  8$")
        self.assertIn('Did you mean "RATE_LIMITED"?', self.run_cli("errors", "lookup", "RATE_LIMITD", code=5).stderr)

    # Completion.

    def complete(self, *words):
        """What bash offers for the last word."""
        script = (f'source <("{PROGRAM}" completion bash)\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1))\n_peermesh 2>&1\n'
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", str(PROGRAM), *map(str, words)], capture_output=True, text=True,
                              timeout=SECONDS, cwd=self.mesh.dir,
                              env={"PATH": os.environ["PATH"], "HOME": str(self.mesh.dir), "XDG_CONFIG_HOME": str(self.config)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(done.stdout.split())

    def test_bash_completes_commands_options_choices_peers_and_contexts(self):
        self.addCleanup(shutil.rmtree, self.config, ignore_errors=True)
        self.run_cli("context", "add", "one", "--data-dir", self.alpha.dir)
        where = ["--data-dir", self.alpha.dir]
        for words, offered in ((["pe"], ["peers"]), (["check", ""], ["certs", "conn", "leaks"]),
                               (["check", "conn", "--format", ""], ["json", "nagios", "prometheus"]),
                               (["check", "conn", "--format", "=", "n"], ["nagios"]),
                               (["sub", "a", "--on-overflow", "b"], ["block"]), (["peers", "--wat"], ["--watch"]),
                               (["peers", "--cont"], ["--context"]), ([*where, "peers", "ping", ""], ["alpha", "beta"]),
                               ([*where, "peers", "show", "b"], ["beta"]), (["context", "use", ""], ["one"]),
                               (["--context", ""], ["one"]), (["completion", "z"], ["zsh"]), (["snippet", "python", "p"], ["publish"])):
            with self.subTest(words):
                self.assertEqual(self.complete(*words), offered)

    def offered_by_zsh(self, line):
        """What a real, interactive zsh lists below the line when Tab is pressed."""
        folder = self.mesh.dir / "zsh"
        folder.mkdir(exist_ok=True)
        (folder / "_peermesh").write_text(self.run_cli("completion", "zsh").stdout)
        # Every candidate goes through compadd: they are written down there instead of being shown.
        (folder / ".zshrc").write_text(
            f"fpath=({folder} $fpath)\nautoload -Uz compinit\ncompinit -u -d {folder}/dump\nPS1='ready> '\n"
            'compadd() { local -a found; builtin compadd -O found "$@"; print -rl -- $found >> $ZDOTDIR/offered; builtin compadd "$@" }\n')
        offered = folder / "offered"
        offered.write_text("")
        script = ("zmodload zsh/zpty zsh/zselect; zpty shell zsh -i; zpty -r -m shell out '*ready> *'; "
                  "zpty -w -n shell \"$1\"$'\\t'; zpty -w -n shell $'\\C-e \\C-k\\C-u'; "
                  "zpty -w shell 'print finished > $ZDOTDIR/finished'; "
                  "for i in {1..500}; do [[ -s $ZDOTDIR/finished ]] && break; zpty -r -t shell out; zselect -t 2; done; zpty -d shell")
        (folder / "finished").unlink(missing_ok=True)
        done = subprocess.run(["zsh", "-f", "-c", script, "zsh", line], capture_output=True, text=True,
                              timeout=SECONDS, cwd=self.mesh.dir, env=self.shell_environment(ZDOTDIR=str(folder), TERM="xterm"))
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted(set(offered.read_text().split("\n")) - {""})

    def offered_by_fish(self, line):
        script = self.mesh.dir / "peermesh.fish"
        script.write_text(self.run_cli("completion", "fish").stdout)
        done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C $argv[1]", line], capture_output=True,
                              text=True, timeout=SECONDS, cwd=self.mesh.dir, env=self.shell_environment(TERM="xterm"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted({row.split("\t")[0] for row in done.stdout.splitlines()})

    def shell_environment(self, **variables):
        return {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(self.mesh.dir), "LC_ALL": "C.UTF-8",
                "XDG_CONFIG_HOME": str(self.config), "PEERMESH_DATA_DIR": str(self.alpha.dir), **variables}

    def check_shell(self, offered_by):
        self.addCleanup(shutil.rmtree, self.config, ignore_errors=True)
        self.run_cli("context", "add", "one", "--data-dir", self.alpha.dir)
        for line, offered in (("peermesh pe", ["peers"]), ("peermesh check ", ["certs", "conn", "leaks"]),
                              ("peermesh check conn --format ", ["json", "nagios", "prometheus"]),
                              ("peermesh sub a --on-overflow b", ["block"]), ("peermesh peers --wat", ["--watch"]),
                              ("peermesh peers ping ", ["alpha", "beta"]), ("peermesh context use ", ["one"]),
                              ("peermesh rel", ["reload"]), ("peermesh --json peers show b", ["beta"])):
            with self.subTest(line):
                self.assertEqual(offered_by(line), offered)

    @unittest.skipIf(shutil.which("zsh") is None, "zsh is not installed")
    def test_zsh_completes_the_same(self):
        self.check_shell(self.offered_by_zsh)

    @unittest.skipIf(shutil.which("fish") is None, "fish is not installed")
    def test_fish_completes_the_same(self):
        self.check_shell(self.offered_by_fish)

    # Programs in other languages.

    def snippet(self, language, program, directory, *where):
        suffix = {"python": "py", "node": "js", "go": "go"}[language]
        file = directory / f"{program}.{suffix}"
        file.write_text(self.run_cli(*where, "snippet", language, program, PEERMESH_PROTOS=str(SOURCE / "protos")).stdout)
        return file

    def try_snippets(self, words, language, directory, publish_words, stdin, **environment):
        """Both programs of a language against beta: by its socket and by mutual TLS, with nothing but what they were printed with."""
        identity = self.mesh.client("writer")
        for way in (["--data-dir", self.beta.dir], ["--address", self.beta.facts["listen"], "--identity", identity]):
            publish = self.snippet(language, "publish", directory, *way)
            subscribe = self.snippet(language, "subscribe", directory, *way)
            variables = {"PATH": os.environ["PATH"], "HOME": str(self.mesh.dir), "no_proxy": "*", **environment}
            reading = subprocess.Popen([*words, subscribe, "snippet.>", "--count", "1"], env=variables, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            self.addCleanup(reading.communicate)
            self.addCleanup(reading.kill)
            said = iter(reading.stderr.readline, "")  # Node.js warns of addresses in certificates first
            self.assertIn("subscribed\n", said)
            done = subprocess.run([*words, publish, "snippet.one", *publish_words], input=stdin, env=variables, capture_output=True,
                                  text=True, timeout=SECONDS)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(reading.communicate(timeout=SECONDS)[0], "hi\n")

    def test_the_python_programs_work_as_printed(self):
        stubs = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        self.try_snippets(["/usr/bin/python3", "-B"], "python", self.mesh.dir, [], "hi\n", PYTHONPATH=stubs)

    def test_the_node_programs_work_as_printed(self):
        if not shutil.which("node") or not shutil.which("npm"):
            self.skipTest("node and npm are not installed")
        directory = self.mesh.dir / "node"
        directory.mkdir()
        shutil.copy(SOURCE / "client/examples/node/package.json", directory)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=directory, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            self.skipTest("npm cannot install the packages")
        self.try_snippets(["node"], "node", directory, ["hi"], "")

    def test_the_go_programs_are_formatted_as_go_wants(self):
        if not shutil.which("gofmt"):
            self.skipTest("go is not installed: the Go programs are not compiled here")
        for program in ("publish", "subscribe"):
            file = self.snippet("go", program, self.mesh.dir)
            done = subprocess.run(["gofmt", "-l", file], capture_output=True, text=True, timeout=SECONDS)
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    @unittest.skipIf(any(shutil.which(tool) is None for tool in ("go", "protoc-gen-go", "protoc-gen-go-grpc")),
                     "go, protoc-gen-go and protoc-gen-go-grpc are not installed")
    def test_the_go_programs_work_as_printed(self):
        programs = {}
        for program in ("publish", "subscribe"):
            directory = self.mesh.dir / f"go-{program}"
            directory.mkdir()
            text = self.snippet("go", program, directory, "--data-dir", self.beta.dir).rename(directory / "main.go").read_text()
            steps = "".join(line.removeprefix("//\t") for line in text.splitlines(keepends=True) if line.startswith("//\t"))
            steps = steps[:steps.rindex("\n", 0, -1)]  # all but the last, which runs it
            done = subprocess.run(["bash", "-ec", steps + "\ngo build -o program ."], cwd=directory, capture_output=True, text=True,
                                  timeout=100)
            if re.search("no such host|connection refused|i/o timeout", done.stderr):
                self.skipTest("Go's modules cannot be fetched")
            self.assertEqual(done.returncode, 0, done.stderr)
            programs[program] = directory / "program"
        with subprocess.Popen([programs["subscribe"], "snippet.>"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
            self.addCleanup(reading.kill)
            self.assertEqual(reading.stderr.readline(), "subscribed\n")
            done = subprocess.run([programs["publish"], "snippet.go"], input="hi\n", capture_output=True, text=True, timeout=SECONDS)
            self.assertEqual((done.returncode, done.stderr), (0, "published 1 messages\n"))
            self.assertEqual(reading.stdout.readline(), "hi\n")
            reading.kill()


if __name__ == "__main__":
    harness.main()
