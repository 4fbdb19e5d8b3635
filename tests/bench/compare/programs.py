"""Load programs as processes, and what the kernel says of processes."""

import json
import os
import pathlib
import re
import select
import subprocess
import time

START_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")


class Void(Exception):
    """A run that lost, repeated, reordered or damaged a message, or did not end: it has no figures."""


def cpu_seconds(pid):
    """User and system time of a process and all its threads, in steps of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kb(pid):
    """(resident now, most ever resident)"""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) for name in ("VmRSS", "VmHWM"))


class Program:
    """A load program (load.h): ready, go, result, end."""

    def __init__(self, words):
        self.words = [str(word) for word in words]
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self._text = b""
        self.greeting = self._line(START_SECONDS)

    @property
    def pid(self):
        return self.process.pid

    def _line(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self._text:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            chunk = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                self.kill()
                complaint = self.process.stderr.read().decode(errors="replace").strip()
                how = "ended" if ready else f"said nothing for {seconds} s"
                raise Void(f"{' '.join(self.words[:2])} {how}: {complaint}")
            self._text += chunk
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def result(self, seconds=120):
        """What it printed; raises Void if it found a fault."""
        values = json.loads(self._line(seconds))
        if values.get("fault"):
            raise Void(f"{self.words[1]}: {values['fault']}")
        return values

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self, seconds=30):
        """Ends one that goes on until its input ends, and returns what it prints then."""
        self.process.stdin.close()
        return self.result(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class Group:
    """Programs that are ended together, whatever happens."""

    def __init__(self):
        self._programs = []

    def start(self, words):
        program = Program(words)
        self._programs.append(program)
        return program

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for program in self._programs:
            if program.process.poll() is None:
                program.kill() if kind else program.end()
            for pipe in (program.process.stdin, program.process.stdout, program.process.stderr):
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
