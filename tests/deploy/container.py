#!/usr/bin/python3
"""Runs a program in an image's root file system as an engine would, without one.

    container.py ROOT [--volume SOURCE:TARGET[:ro]]... [--user UID] -- PROGRAM ARGUMENT...

The caller has made the namespaces (`unshare --mount --pid --fork`, `ip netns exec`); here the root becomes read-only,
volumes and /proc are mounted, and the program starts as nobody, without a capability and without a way to gain one.
The environment is passed on as it is.
"""

import argparse
import ctypes
import os
import subprocess

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


def mount(*words):
    subprocess.run(["mount", *words], check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--volume", action="append", default=[])
    parser.add_argument("--user", type=int, default=65532)
    parser.add_argument("words", nargs="+")
    arguments = parser.parse_args()
    root = arguments.root
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("--bind", "/dev", f"{root}/dev")
    for volume in arguments.volume:
        source, target, *options = volume.split(":")
        mount("--bind", source, root + target)
        if options:
            mount("-o", "remount,bind,ro", root + target)
    mount("-o", "remount,bind,ro", root)
    os.chroot(root)
    os.chdir("/")
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setgid(arguments.user)
    os.setuid(arguments.user)
    program = arguments.words[0]
    os.execv(program if "/" in program else f"/usr/bin/{program}", arguments.words)


if __name__ == "__main__":
    main()
