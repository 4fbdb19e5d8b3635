"""deploy/compose.yaml as tests see it: anchors merged, each service with what the image adds."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PEERS = ("alpha", "beta", "gamma")


def load():
    import yaml
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def instructions():
    """The Dockerfile as (instruction, rest) pairs, continued lines joined; stage by stage in one list."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = (line.strip() for line in text.splitlines())
    return [tuple(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


def final_stage():
    found = instructions()
    start = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def image_environment():
    words = " ".join(rest for name, rest in final_stage() if name == "ENV").split()
    return dict(word.split("=", 1) for word in words)


def known_variables():
    """PEERMESH_ and the path of every setting, as config::VariableName makes it from config.proto."""
    text = (ROOT / "protos/peermesh/config/v1/config.proto").read_text()
    messages = {name: re.findall(r"^\s+(?:repeated )?([\w.]+) (\w+) = \d+;", body, re.MULTILINE)
                for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)}

    def paths(message, prefix):
        for kind, field in messages[message]:
            if kind in messages:
                yield from paths(kind, f"{prefix}_{field}")
            else:
                yield f"{prefix}_{field}".upper()

    return set(paths("Config", "PEERMESH"))
