"""A fresh Debian 12, as a directory or an archive, from where this host gets its own packages; and the package for it."""

import os
import pathlib
import shutil
import subprocess
import unittest

import harness

BUILD = pathlib.Path(os.environ["PEERMESH_BUILD"])
PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
PROGRAMS = ("peermesh", "peermeshd", "peermesh-ca")
# What mmdebstrap and apt say when a mirror cannot be had, as opposed to a package.
UNREACHABLE = ("Temporary failure", "Could not connect", "Could not resolve", "Failed to fetch", "Unable to connect",
               "Network is unreachable")


def run(*words, seconds=300, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=seconds, **options)
    assert done.returncode == 0, f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def package():
    """Our own, made now; skips the test where none can be made."""
    for tool in ("dpkg-deb", "dpkg-shlibdeps", "cmake"):
        if shutil.which(tool) is None:
            raise unittest.SkipTest(f"{tool} is not installed (deploy/install-deps test)")
    if harness.SANITIZED:
        raise unittest.SkipTest("a package holds what is released")
    run("cmake", "--build", BUILD, "--target", "deb", seconds=1200)
    return max(BUILD.glob("peermesh_*.deb"), key=lambda path: path.stat().st_mtime)


def depends(deb):
    return [word.split()[0] for word in run("dpkg-deb", "-f", deb, "Depends").split(", ")]


def libraries_packages():
    """The packages that have what the programs are linked with."""
    programs = [harness.BIN / name for name in PROGRAMS]
    paths = {line.split("=>")[1].split()[0] for line in run("ldd", *programs).splitlines() if "=> /" in line}
    names = {prefix + one.removeprefix("/usr") for one in paths for prefix in ("", "/usr")}  # /lib is a link, dpkg knows one
    done = subprocess.run(["dpkg-query", "-S", *sorted(names)], capture_output=True, text=True)
    return sorted({line.split(":")[0] for line in done.stdout.splitlines()})


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
    configuration = sorted(pathlib.Path("/etc/apt/apt.conf.d").iterdir())
    options = [f"--aptopt={path}" for path in configuration if "Acquire::" in path.read_text()]
    done = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", "bookworm",
                           target, sources, *options], capture_output=True, text=True, timeout=900)
    if done.returncode != 0 and any(text in done.stderr for text in UNREACHABLE):
        raise unittest.SkipTest(f"no Debian mirror can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def enter(root, *words, environment=(), seconds=120):
    """Runs a program in it, in a mount and process namespace of its own."""
    script = 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && root=$1 && shift && exec chroot "$root" "$@"'
    variables = {**PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **dict(environment)}
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                           "bash", "-c", script, "bash", str(root), *words],
                          env=variables, capture_output=True, text=True, timeout=seconds)
