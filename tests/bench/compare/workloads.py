"""What is measured: each workload runs on one system and returns its figures.

A figure is a number with a unit and a direction. `goal` is what PeerMesh is to reach against NATS (or, for `own`
figures, by itself) and what it dreams of: ratios, PeerMesh's figure divided by the other's.
"""

import dataclasses
import pathlib
from typing import Callable, Optional

from harness import let_pass
from programs import Group, Void, cpu_seconds, memory_kb

MANY_SUBSCRIBERS, MANY_PUBLISHERS, MANY_SERVERS = 32, 8, 8
MANY_SUBSCRIPTIONS = 10_000
SLOW_MICROSECONDS = 1000  # what one message costs the slow subscriber
PACED_RATE = 100_000  # messages a second
SETTLE_SECONDS = 15  # after the start, until memory at rest is looked at


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    better: str = "higher"
    goal: Optional[tuple] = None  # (wanted, dreamt of) against NATS
    chain: Optional[tuple] = None  # the same against the chain
    own: Optional[tuple] = None  # the same of the figure itself


RATE = "msg/s"


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    run: Callable  # (system, bench) -> {figure name: value, "cpu": {...}, "memory": {...}, ...}
    figures: tuple
    size: int = 128
    servers: int = 2
    tls: bool = False
    chain: bool = False  # the raw chain runs it, too
    tuned: bool = False  # settings are tried first
    growth: Optional[tuple] = None  # (what grows, how much of it): asked for by --growth


class Bench:
    """What a run needs to know: where programs are, how long runs are, and the settings found best."""

    def __init__(self, programs, scale):
        self.programs, self.scale = pathlib.Path(programs), scale
        self.settings = {}  # (system name, payload size) -> setting
        self.load_rate = 0  # messages a second, half of what NATS carries

    def count(self, full):
        return max(int(full * self.scale), 200)

    def words(self, system, role, *targets):
        words = [self.programs / system.program, role, *system.options()]
        for target in targets:
            words += ["--target", system.targets()[target]]
        return words


class Meter:
    """CPU time and memory of the servers over a span."""

    def __init__(self, system):
        self.pids = system.processes()
        for pid in self.pids.values():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts anew
        self.before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        self.resident = {name: memory_kb(pid)[0] for name, pid in self.pids.items()}

    def cpu(self):
        return {name: cpu_seconds(pid) - self.before[name] for name, pid in self.pids.items()}

    def memory(self):
        """Peak since the beginning, kB."""
        return {name: memory_kb(pid)[1] for name, pid in self.pids.items()}

    def growth(self):
        """By how much that is more than at the beginning, kB."""
        return {name: max(peak - self.resident[name], 0) for name, peak in self.memory().items()}


def merged(cpu):
    """With many servers the ones that do the same are one line."""
    servers = {name: value for name, value in cpu.items() if name.startswith("server")}
    if len(servers) <= 2:
        return cpu
    rest = {name: value for name, value in cpu.items() if name not in servers}
    others = sum(value for name, value in servers.items() if name != "server1")
    return {"server1": servers["server1"], f"server2-{len(servers)}": others, **rest}


def carry(system, bench, *, size, messages, subscribers=1, publishers=1, at=(1,), subjects=1, rate=0, setting=None,
          slow=False):
    """Publishers at the first server, subscribers at others: every message to every subscriber. Returns figures."""
    system.begin()
    setting = setting or bench.settings.get((system.name, size))
    flow = system.flow(setting, publishers, subscribers)
    # To one subscriber; another tenth before them and one after them are not timed.
    each = max(messages // publishers, 20)
    load = ["--bytes", size, "--messages", each, "--warm-up", each // 10, "--publishers", publishers,
            "--subjects", subjects]
    with Group() as group:
        sub = group.start([*bench.words(system, "sub", *at), *load, *flow, "--connections", subscribers])
        if slow:
            laggard = group.start([*bench.words(system, "sub", *at), *load, "--lossy", "--delay-us", SLOW_MICROSECONDS])
            laggard.go()
        pub = group.start([*bench.words(system, "pub", 0), *load, *flow, *(["--rate", rate] if rate else [])])
        system.expect(subjects * len(at))
        meter = Meter(system)
        sub.go()
        pub.go()
        took, gave = sub.result(), pub.result()
        cpu, memory, growth = meter.cpu(), meter.memory(), meter.growth()
        resident = {"pub": memory_kb(pub.pid)[1], "sub": memory_kb(sub.pid)[1]}
        lagged = laggard.stop() if slow else None
        cut = system.check(laggards=int(slow))
    cpu.update(pub=gave["cpu_s"], sub=took["cpu_s"])
    millions = took["total"] / 1e6
    return {"rate": took["messages"] / took["seconds"], "mb_s": took["messages"] * size / took["seconds"] / 1e6,
            "cpu": {name: value / millions for name, value in merged(cpu).items()},
            "cpu_all": sum(cpu.values()) / millions, "memory": {**memory, **resident},
            "growth": growth,
            **({"slow_taken": lagged["total"], "slow_cut": cut} if slow else {})}


# Messages that take NATS a second or two here.
FULL = {128: 2_000_000, 1024: 500_000, 16 << 10: 40_000, 256 << 10: 3_000}


def one_to_one(size):
    return lambda system, bench, setting=None: carry(system, bench, size=size, messages=bench.count(FULL[size]),
                                                     setting=setting)


def fan_out(system, bench):
    return carry(system, bench, size=128, messages=bench.count(200_000), subscribers=MANY_SUBSCRIBERS)


def to_many_servers(system, bench):
    others = range(1, len(system.targets()))
    return carry(system, bench, size=128, messages=bench.count(300_000), subscribers=len(others), at=others)


def fan_in(system, bench):
    return carry(system, bench, size=128, messages=bench.count(1_000_000), publishers=MANY_PUBLISHERS)


def many_subscriptions(system, bench):
    """Beside each run one with a single subscription: what the others cost a publish."""
    messages = bench.count(600_000)
    one = carry(system, bench, size=128, messages=messages)
    many = carry(system, bench, size=128, messages=messages, subjects=bench.count(MANY_SUBSCRIPTIONS))
    return {**many, "one": one["rate"], "cost": many["cpu_all"] / one["cpu_all"], "cost_time": one["rate"] / many["rate"]}


def slow_beside_fast(system, bench):
    messages = max(bench.count(4_000_000), 1_000_000)  # seconds: a slow one may hold up the others for moments
    alone = carry(system, bench, size=128, messages=messages)
    beside = carry(system, bench, size=128, messages=messages, slow=True)
    return {**beside, "alone": alone["rate"], "share": beside["rate"] / alone["rate"],
            "server_growth": beside["growth"]["server2"] / 1024}


def paced(system, bench):
    return carry(system, bench, size=128, messages=bench.count(PACED_RATE * 4), rate=PACED_RATE)


def ask(system, bench, group):
    """Round trips with programs of `group`, first server to second and back, one at a time."""
    load = ["--bytes", 128, "--messages", bench.count(5_000), "--warm-up", bench.count(500)]
    answer = group.start([*bench.words(system, "answer", 1), *load])
    asking = group.start([*bench.words(system, "ask", 0), *load])
    return answer, asking


def echo(system, bench):
    system.begin()
    with Group() as group:
        answer, asking = ask(system, bench, group)
        system.expect(2)
        meter = Meter(system)
        answer.go()
        asking.go()
        result = asking.result()
        cpu, memory = meter.cpu(), meter.memory()
        cpu.update(answer=answer.stop()["cpu_s"], ask=result["cpu_s"])
        millions = result["messages"] / 1e6
        return {**latencies(result), "cpu": {name: value / millions for name, value in cpu.items()}, "memory": memory}


def latencies(result):
    return {name: result[f"{name}_us"] for name in ("p50", "p90", "p99", "p999")}


def echo_loaded(system, bench):
    """The same beside a publisher and a subscriber of 128 bytes at `load_rate`, the same for every system."""
    system.begin()
    seconds = max(30 * bench.scale, 3)  # at most: it is ended with the round trips
    load = ["--bytes", 128, "--messages", int(bench.load_rate * seconds)]
    flow = system.flow(None, 1, 1)
    with Group() as group:
        sub = group.start([*bench.words(system, "sub", 1), *load, *flow])
        pub = group.start([*bench.words(system, "pub", 0), *load, *flow, "--rate", int(bench.load_rate)])
        answer, asking = ask(system, bench, group)
        system.expect(3)
        sub.go()
        pub.go()
        let_pass(0.3)  # so that the load is there
        answer.go()
        asking.go()
        result = asking.result()
        carried = pub.process.poll() is None and sub.process.poll() is None
        for program in (asking, answer, pub, sub):
            program.kill()
        if not carried:
            raise Void("the load beside the round trips ended")
        return {**latencies(result), "load": bench.load_rate}


def churn(system, bench):
    system.begin()
    with Group() as group:
        program = group.start([*bench.words(system, "churn", 1), "--bytes", 128, "--messages", bench.count(1_000)])
        meter = Meter(system)
        program.go()
        result = program.result()
        cpu, memory = meter.cpu(), meter.memory()
        cpu["application"] = result["cpu_s"]
        return {"rate": result["messages"] / result["seconds"], **latencies(result), "memory": memory,
                "cpu": {name: value / result["messages"] * 1e6 for name, value in cpu.items()}}


def at_rest(system, bench):
    """Memory of the larger of two servers that know each other and have nothing to do."""
    let_pass(max(SETTLE_SECONDS * min(bench.scale, 1), 3))
    resident = {name: memory_kb(pid)[0] for name, pid in system.processes().items()}
    return {"rss": max(resident.values()) / 1024, "memory": resident}


def to_servers(count):
    """One publisher, one subscriber on each of `count` other servers."""
    return lambda system, bench: carry(system, bench, size=128, messages=bench.count(1_000_000 // count),
                                       subscribers=count, at=range(1, 1 + count))


def with_subscriptions(count):
    return lambda system, bench: carry(system, bench, size=128, messages=bench.count(1_000_000), subjects=count)


def with_size(size):
    # A gigabyte, or as many messages as take a second or two.
    return lambda system, bench: carry(system, bench, size=size, messages=bench.count(min(2_000_000, (1 << 30) // size)))


def sizes(prefix, title, tls, goals):
    names = {128: "128", 1024: "1k", 16 << 10: "16k", 256 << 10: "256k"}
    return [Workload(f"{prefix}_{names[size]}", f"{title}, {size} B", one_to_one(size),
                     (Figure("rate", RATE, goal=goal, chain=None if tls else (0.85, 1.1)),),
                     size=size, tls=tls, chain=not tls, tuned=True) for size, goal in zip(names, goals)]


GOALS = [(2.5, 3.5), (1.5, 3), (1.4, 2.5), (1.4, 2.5)]
PERCENTILES = (Figure("p50", "us", "lower", goal=(1.0, 0.6)), Figure("p99", "us", "lower", goal=(1.0, 0.6)))
WORKLOADS = [
    Workload("at_rest", "Memory of a server at rest", at_rest, (Figure("rss", "MB", "lower", own=(22, 15)),)),
    *sizes("one", "One to one", False, GOALS),
    Workload("paced", f"{PACED_RATE:,} messages of 128 B a second", paced,
             (Figure("cpu_all", "CPU s per million", "lower", goal=(0.6, 0.4)),)),
    Workload("echo", "Round trip, nothing else", echo, PERCENTILES),
    Workload("echo_loaded", "Round trip beside half of what NATS carries", echo_loaded,
             (Figure("p50", "us", "lower"), Figure("p99", "us", "lower", goal=(1.0, 0.6)))),
    Workload("fan_out", f"One to {MANY_SUBSCRIBERS} on one server, 128 B, delivered", fan_out,
             (Figure("rate", RATE, goal=(1.0, 2)),)),
    Workload("fan_in", f"{MANY_PUBLISHERS} to one, 128 B", fan_in, (Figure("rate", RATE),)),
    Workload("subscriptions", "Distinct subjects and wildcards, 128 B", many_subscriptions,
             (Figure("rate", RATE), Figure("cost", "CPU of one subscription", "lower", own=(1.5, 1.1)),
              Figure("cost_time", "time of one subscription", "lower", own=(1.5, 1.1)))),
    Workload("slow", "A fast subscriber beside a slow one, 128 B", slow_beside_fast,
             (Figure("rate", RATE), Figure("share", "of its rate alone", own=(0.9, 1.0)),
              Figure("server_growth", "MB more memory at the server of both", "lower"))),
    Workload("churn", "Connect, subscribe, publish, receive, close", churn,
             (Figure("rate", "a second"), Figure("p50", "us", "lower"))),
    *sizes("tls", "One to one, TCP and TLS on all legs", True, GOALS),
    Workload("many_servers", f"One to {MANY_SERVERS} servers, 128 B, delivered", to_many_servers,
             (Figure("rate", RATE),), servers=1 + MANY_SERVERS),
]

# How cost grows: of one thing more and more, all else as in one_128.
COSTS = (Figure("rate", RATE), Figure("cpu_all", "CPU s per million", "lower"))
LARGEST = (1 << 20) - 1024  # a message of 1 MiB is the most that either takes, subject included
GROWTH = [
    *(Workload(f"grow_bytes_{size}", f"Payload of {size} B", with_size(size), COSTS, size=size, growth=("bytes", size))
      for size in (64, 256, 1024, 4096, 16 << 10, 64 << 10, 256 << 10, LARGEST)),
    *(Workload(f"grow_subscriptions_{count}", f"{count} subscriptions", with_subscriptions(count), COSTS,
               growth=("subscriptions", count)) for count in (1, 10, 100, 1000, 10_000)),
    *(Workload(f"grow_servers_{count}", f"Subscribers on {count} servers", to_servers(count), COSTS,
               servers=1 + MANY_SERVERS, growth=("servers", count)) for count in (1, 2, 4, 8)),
]
