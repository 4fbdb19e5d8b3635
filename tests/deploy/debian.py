"""A fresh Debian 12, as a directory or an archive, from where this host gets its own packages."""

import os
import pathlib
import shutil
import subprocess
import unittest

PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# What mmdebstrap and apt say when a mirror cannot be had, as opposed to a package.
UNREACHABLE = ("Temporary failure", "Could not connect", "Could not resolve", "Failed to fetch", "Unable to connect",
               "Network is unreachable")


def missing():
    if os.geteuid() != 0:
        return "only root can make and enter a root file system"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed (deploy/install-deps test)"
    return ""


def make(target, packages):
    """A minbase with these packages; skips the test if no mirror can be reached."""
    sources = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
    sources = sources if sources.exists() else pathlib.Path("/etc/apt/sources.list")
    options = [f"--aptopt={path}" for path in sorted(pathlib.Path("/etc/apt/apt.conf.d").iterdir()) if "Acquire::" in path.read_text()]
    done = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", target, sources,
                           *options], capture_output=True, text=True, timeout=900)
    if done.returncode != 0 and any(text in done.stderr for text in UNREACHABLE):
        raise unittest.SkipTest(f"no Debian mirror can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def enter(root, *words, environment=(), seconds=120):
    """Runs a program in it, in a mount and process namespace of its own."""
    script = 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && root=$1 && shift && exec chroot "$root" "$@"'
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "bash", "-c", script, "bash",
                           str(root), *words], env={**PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **dict(environment)},
                          capture_output=True, text=True, timeout=seconds)
