#!/usr/bin/python3
"""Checks of the sources that no compiler makes: layering of includes, banned names, sizes.

    lint.py ROOT              prints `path:line: [rule] what is wrong` and exits 1 if anything was found
    lint.py --rules           prints the names of all rules

A line may be exempted with `lint:allow(rule): reason`, on itself or on the line before; an exemption without a
reason, or one that exempts nothing, is a finding too. Comments and string literals never trip a rule about names.
"""

import os
import pathlib
import re
import sys

# Folder -> level, as in docs/architecture.md: an include points to a strictly lower level or stays at home.
LEVELS = {
    "mesh/base": 0, "metrics/ledger": 0,
    "mesh/limits": 1, "mesh/flow": 1, "mesh/membership": 1, "mesh/overlay": 1, "mesh/broadcast": 1,
    "mesh/routing": 1, "mesh/discovery": 1, "mesh/dht": 1, "mesh/identity": 1,
    "server/process": 1,
    "mesh/node": 2, "server/tls": 2, "server/store": 2, "server/config": 2,
    "server/wire": 3, "server/net": 3, "server/journal": 3, "metrics/export": 3,
    "server/link": 4,
    "server/driver": 5,
    "server/api": 6, "server/ca": 6,
    "server/observe": 7,
    "server/peer": 8,
    "server": 9,
}
# What these may include of ours, besides themselves and whatever their level allows on top of it.
CLIENT_MAY = ("client", "mesh/base", "mesh/identity", "metrics/ledger", "server/tls", "protos")
HEADER_LINES = 300
SOURCE_LINES = 600
CHECKS_PER_1000_LINES = 25

# rule -> (where, pattern, why). `where` is a predicate over the path; patterns see code without comments and strings.
IN_MESH = lambda path: path.startswith("mesh/")
IN_CPP = lambda path: path.endswith((".h", ".cc"))
NAMES = {
    "clock": (IN_MESH, r"\b(system_clock|steady_clock|high_resolution_clock|file_clock|utc_clock)\b"
              r"|\b(gettimeofday|clock_gettime|localtime|gmtime|time|clock)\s*\(|\babsl::(Now|GetCurrentTime)",
              "mesh/ is told the time; pass `now`"),
    "thread": (IN_MESH, r"\bstd::(j?thread|this_thread|\w*mutex|\w*_lock|lock_guard|condition_variable\w*"
               r"|atomic\w*|future|promise|async|barrier|latch|\w*semaphore)\b|\bpthread_|\bthread_local\b"
               r"|\babsl::\w*Mutex\w*|#\s*include\s*<(thread|mutex|shared_mutex|atomic|condition_variable|future)>",
               "mesh/ is one state machine on one thread; locks belong to server/driver"),
    "random": (IN_MESH, r"\b(random_device|default_random_engine|mt19937(_64)?|minstd_rand0?|knuth_b|random_shuffle"
               r"|\w+_distribution)\b|\bstd::(ranges::)?(shuffle|sample)\b|\b(s?rand|random|getrandom|RAND_bytes)\s*\("
               r"|#\s*include\s*<random>", "its output differs between runs or libraries; draw from Rng"),
    "io": (IN_MESH, r"\bstd::(cout|cerr|clog|cin|filesystem|\w*fstream)\b|\b(f|d)?printf\s*\(|\b(fopen|fputs|puts|perror)\s*\("
           r"|#\s*include\s*<(iostream|fstream|filesystem|unistd\.h|fcntl\.h|poll\.h|netdb\.h|sys/[^>]*|netinet/[^>]*|arpa/[^>]*)>",
           "mesh/ has no files, sockets or output; emit an effect"),
    "hash": (IN_MESH, r"\b(unordered_(multi)?(map|set)|(flat|node)_hash_(map|set))\b",
             "iteration order differs between runs; use an ordered container, or state the reason for a pure look-up"),
    "float": (IN_MESH, r"\b(float|double)\b", "no floating point decides anything in mesh/; use integers"),
    "callback": (IN_MESH, r"\bstd::(move_only_)?function\b|\babsl::(AnyInvocable|FunctionRef)\b|\bvirtual\b",
                 "no callbacks and no inheritance inside mesh/; return a value or emit an effect"),
    "throw": (IN_CPP, r"\bthrow\b", "nothing throws; return absl::Status"),
    "sleep": (lambda p: p.startswith("tests/"), r"\bsleep_(for|until)\b|\b(time\.sleep|u?sleep|nanosleep|SleepFor)\s*\(",
              "tests jump time or wait for a condition"),
    "channel": (lambda p: IN_CPP(p) and not p.startswith(("server/tls/", "tests/", "deploy/")),
                r"\b(Experimental)?Create(Custom|Insecure)?Channel(WithInterceptors|FromFd|InternalFactory)?\s*\(|\bMakeChannel\s*\(",
                "channels come from the factory in server/tls"),
    "raw-thread": (lambda p: IN_CPP(p) and not p.startswith(("metrics/ledger/", "tests/")),
                   r"\bstd::(thread\b(?!::)|jthread\b|async\s*\()|\bpthread_create\s*\(",
                   "a thread nobody booked; use ledger::Thread"),
    "raw-timer": (lambda p: IN_CPP(p) and not p.startswith(("server/link/queue.", "tests/")),
                  r"\bgrpc::Alarm\b|\b(timer_create|setitimer|ualarm|alarm)\s*\(",
                  "a timer nobody booked; use link::Queue"),
    "listen": (lambda p: p.startswith("server/"), r"\bAddListeningPort\b",
               "one failed accept() kills such a listener for good; use server/net"),
    "namespace": (IN_CPP, r"\busing\s+namespace\s+std\s*;", "name what is used"),
    "portable": (IN_CPP, r"\bstd::(source_location|views|format|ranges::views)\b|#\s*include\s*<(format|source_location)>",
                 "clang 14 must build this; use fmt, loops and __builtin_FILE()"),
    "string-view": (lambda p: p.endswith(".h"), r"\babsl::string_view\b",
                    "Debian's absl::string_view is a type of its own; use std::string_view"),
}
# Third parties that may not be seen in mesh/; the exception is identity, which may see OpenSSL.
FOREIGN = re.compile(r"(grpc|google/|prometheus|spdlog|fmt/|yaml-cpp|nlohmann|sqlite3|CLI/|civetweb|Civet|openssl/|absl/time|absl/synch)")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
ALLOW = re.compile(r"lint:allow\(([\w-]*)\)(:\s*\S+)?")
# What returns a new descriptor. It belongs into a UniqueFd in the very statement that makes it.
NEW_DESCRIPTOR = re.compile(
    r"(?<![\w.>])(?:accept4?|eventfd|epoll_create1?|signalfd|timerfd_create|inotify_init1?|memfd_create)\s*\("
    r"|(?<![\w.>])socket\s*\(\s*(?:[AP]F_|(?:\w+(?:\.|->))?\w*family\b)")
OTHER_RULES = ["raw-fd", "layering", "foreign", "size", "guard", "unfinished", "python", "allow", "checks"]


def code_only(text):
    """The text with comments, strings and character literals blanked, lines kept."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\s\\]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL)
    def blank(match):
        before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if re.match(r"\s*#\s*include\s*$", before):
            return match[0]
        return "".join(c if c == "\n" else " " for c in match[0])
    return pattern.sub(blank, text)


class Lint:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.findings = []
        self.mesh_lines = 0
        self.mesh_checks = 0

    def report(self, path, line, rule, message, lines=()):
        """Notes a finding unless the line, or the one before, holds an exemption (check_allows wants its reason)."""
        for number in (line, line - 1):
            if 1 <= number <= len(lines):
                allow = ALLOW.search(lines[number - 1])
                if allow and allow[1] == rule:
                    self.used_allows.add(number)
                    return
        self.findings.append((path, line, rule, message))

    def files(self):
        for folder, folders, names in os.walk(self.root):
            here = pathlib.Path(folder).relative_to(self.root).as_posix()
            folders[:] = sorted(f for f in folders if not f.startswith("build") and f not in
                                (".git", "node_modules", "__pycache__") and f"{here}/{f}" != "tests/lint/bad")
            for name in sorted(names):
                yield (pathlib.Path(folder) / name).relative_to(self.root).as_posix()

    def run(self):
        for path in self.files():
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue
            lines = text.splitlines()
            self.used_allows = set()
            if path != "tests/lint/lint.py":
                self.check_unfinished(path, lines)
                self.check_python(path, lines)
                if IN_CPP(path) or path.endswith(".py"):
                    code = code_only(text) if IN_CPP(path) else text
                    self.check_names(path, code.splitlines(), lines)
                    self.check_descriptors(path, code, lines)
                if IN_CPP(path):
                    self.check_includes(path, code.splitlines(), lines)
                    self.check_size(path, lines)
                    self.check_guard(path, lines)
                    self.count_checks(path, code, lines)
                if IN_CPP(path) or path.endswith(".py"):
                    self.check_allows(path, lines)
        return self.findings

    def check_unfinished(self, path, lines):
        for number, line in enumerate(lines, 1):
            found = UNFINISHED.search(line)
            if found:
                self.report(path, number, "unfinished", f"{found[0]}: finish it, or leave it out", lines)

    def check_python(self, path, lines):
        if lines and re.match(r"#!.*\benv python|#!.*\blocal\b.*python", lines[0]):
            self.report(path, 1, "python", "use /usr/bin/python3: only Debian's own has our libraries", lines)

    def check_names(self, path, code, lines):
        for rule, (applies, pattern, why) in NAMES.items():
            if not applies(path):
                continue
            for number, line in enumerate(code, 1):
                found = re.search(pattern, line)
                if found:
                    self.report(path, number, rule, f"`{found[0].strip()}`: {why}", lines)

    def check_descriptors(self, path, code, lines):
        if not IN_CPP(path) or path.startswith(("metrics/ledger/", "tests/", "deploy/")):
            return
        for found in NEW_DESCRIPTOR.finditer(code):
            begin = max(code.rfind(end, 0, found.start()) for end in ";{}") + 1
            if "UniqueFd" not in code[begin:found.start()]:
                self.report(path, code.count("\n", 0, found.start()) + 1, "raw-fd",
                            f"`{found[0].strip()}`: a descriptor nobody booked; put it into a ledger::UniqueFd", lines)

    @staticmethod
    def home(path):
        parts = path.split("/")
        if parts[0] in ("mesh", "server", "metrics") and len(parts) > 2:
            return "/".join(parts[:2])
        return parts[0]

    def check_includes(self, path, code, lines):
        home = self.home(path)
        if home.split("/")[0] in ("mesh", "server", "metrics") and home not in LEVELS:
            self.report(path, 1, "layering", f"folder {home} has no level; add it to docs/architecture.md and to LEVELS", lines)
            return
        for number, line in enumerate(code, 1):
            include = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
            if not include:
                continue
            target = include[1]
            if home.startswith("mesh/") and FOREIGN.match(target) and not (
                    home == "mesh/identity" and target.startswith("openssl/")):
                self.report(path, number, "foreign", f"mesh/ may not see <{target}>", lines)
            elif not self.may_include(home, target):
                self.report(path, number, "layering", f"{home} may not include {target}", lines)

    def may_include(self, home, target):
        top = target.split("/")[0]
        if top in ("peermesh", "google") and re.search(r"\.pb\.h$", target):
            goal = "protos" if not target.startswith("google/protobuf/") else None
        elif top in ("mesh", "server", "client", "metrics", "tests"):
            goal = self.home(target)
        else:
            goal = None
        if goal is None or goal == home or home == "tests":
            return True
        if goal == "tests":
            return False
        if home == "deploy":  # programs of somebody else, with the ledger in them
            return goal.startswith("metrics/")
        if home == "client":
            return goal in CLIENT_MAY
        if goal == "client":
            return False
        if goal == "protos":
            return home.startswith("server")
        if home == "metrics/ledger" or (home == "metrics/export" and goal not in ("mesh/base", "metrics/ledger")):
            return False
        if home.startswith("mesh/"):
            if not goal.startswith("mesh/") or (home == "mesh/node" and goal == "mesh/identity"):
                return False
        return home in LEVELS and goal in LEVELS and LEVELS[goal] < LEVELS[home]

    def check_size(self, path, lines):
        limit = HEADER_LINES if path.endswith(".h") else SOURCE_LINES
        if len(lines) > limit:
            self.report(path, limit + 1, "size", f"{len(lines)} lines, {limit} allowed: split it by idea", lines)

    def check_guard(self, path, lines):
        if not path.endswith(".h"):
            return
        guard = "PEERMESH_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
        wanted = [f"#ifndef {guard}", f"#define {guard}", f"#endif  // {guard}"]
        if any(line not in lines for line in wanted):
            self.report(path, 1, "guard", f"the header guard must be {guard}, named again after #endif", lines)

    def count_checks(self, path, code, lines):
        if IN_MESH(path):
            self.mesh_lines += len(lines)
            self.mesh_checks += len(re.findall(r"\b(PM_CHECK|static_assert)\s*\(", code))

    def check_allows(self, path, lines):
        for number, line in enumerate(lines, 1):
            allow = ALLOW.search(line)
            if not allow:
                continue
            if allow[1] not in NAMES and allow[1] not in OTHER_RULES:
                self.findings.append((path, number, "allow", f"there is no rule `{allow[1]}`"))
            elif not allow[2]:
                self.findings.append((path, number, "allow", "an exemption needs a reason after the colon"))
            elif number not in self.used_allows:
                self.findings.append((path, number, "allow", "this exempts nothing; take it out"))

    def check_density(self):
        """Invariants per 1,000 lines of mesh/; small trees say nothing about it."""
        if self.mesh_lines >= 400 and self.mesh_checks * 1000 < CHECKS_PER_1000_LINES * self.mesh_lines:
            return (f"mesh/ has {self.mesh_checks} checks in {self.mesh_lines} lines; "
                    f"{CHECKS_PER_1000_LINES} per 1,000 lines are wanted")
        return None


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    if "--rules" in sys.argv:
        print("\n".join([*NAMES, *OTHER_RULES]))
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    lint = Lint(arguments[0])
    lint.run()
    density = lint.check_density()
    if density and "--strict-checks" in sys.argv:
        lint.findings.append(("mesh", 0, "checks", density))
    elif density:
        print(f"warning: {density}")
    for path, line, rule, message in sorted(lint.findings):
        print(f"{path}:{line}: [{rule}] {message}")
    print(f"{len(lint.findings)} findings; mesh/ has {lint.mesh_checks} checks in {lint.mesh_lines} lines")
    return 1 if lint.findings else 0


if __name__ == "__main__":
    sys.exit(main())
