"""The units under a real systemd: the package in a Debian that boots in a container, set up as docs/operations.md says.

systemd-nspawn gives it namespaces of its own, so every directive that shuts a daemon in does here what it does on a host.
"""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import debian
import harness

NSPAWN = harness.find_tool("systemd-nspawn", "systemd-container/usr/bin")
# Each line of /root/seen is `name value`; the last one says that the script came to its end.
SCRIPT = r"""#!/bin/bash
exec 2>/root/errors >&2
set -x
note() { printf '%s %s\n' "$1" "$2" >> /root/seen; }
shown() { systemctl show -p "$2" --value "$1"; }
until_is() {  # UNIT PROPERTY VALUE: half a minute at most
  for _ in $(seq 300); do [ "$(shown "$1" "$2")" = "$3" ] && return; sleep 0.1; done
}
echo 'PEERMESH_CA_FLAGS="--advertise 127.0.0.1:7444"' > /etc/default/peermesh-ca
sed -i 's/^#name:.*/name: alpha/' /etc/peermesh/peermesh.yaml
mkdir -p /etc/systemd/system/peermeshd.service.d
printf '[Service]\nWatchdogSec=6s\n' > /etc/systemd/system/peermeshd.service.d/soon.conf
systemctl daemon-reload
note before "$(systemctl is-enabled peermeshd),$(systemctl is-active peermeshd)"

systemctl enable --now peermesh-ca; note ca-started $?
note ca-status "$(shown peermesh-ca StatusText)"
umask 077
peermesh --ca-socket /var/lib/peermesh-ca/ca.sock token create --name alpha --quiet > /root/token
install -D -m 600 /root/token /etc/credstore/peermesh.join
systemctl enable --now peermeshd; note peer-started $?
rm /etc/credstore/peermesh.join
note peer-status "$(shown peermeshd StatusText)"
note health "$(peermesh health)"
systemctl reload peermeshd; note reloaded $?
systemctl restart peermeshd; note restarted-without-token $?
note sockets "$(stat -c %A%U /run/peermesh/app.sock) $(stat -c %A%U /run/peermesh/admin.sock)"
note keys "$(find /var/lib/peermesh /var/lib/peermesh-ca -type f -perm /077 | wc -l)"
note capabilities "$(grep CapEff /proc/$(shown peermeshd MainPID)/status | cut -f 2)"
note seccomp "$(grep Seccomp: /proc/$(shown peermeshd MainPID)/status | cut -f 2)"

kill -STOP "$(shown peermeshd MainPID)"
until_is peermeshd NRestarts 1
until_is peermeshd ActiveState active
note after-hanging "$(shown peermeshd NRestarts),$(peermesh health --wait 10s)"

systemctl stop peermeshd peermesh-ca
note peer-result "$(shown peermeshd Result),$(shown peermeshd ExecMainStatus)"
note ca-result "$(shown peermesh-ca Result),$(shown peermesh-ca ExecMainStatus)"
journalctl -b --no-pager -u peermeshd -u peermesh-ca > /root/journal
note end 0
systemctl poweroff --force
"""
UNIT = "[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/root/script\n"


class Boot(unittest.TestCase):
    def setUp(self):
        if debian.missing():
            self.skipTest(debian.missing())
        if NSPAWN is None:
            self.skipTest("systemd-nspawn is not there (deploy/install-deps test)")
        self.deb = debian.package()
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="peermesh-boot."))) / "root"

    def test_a_host_is_set_up_as_the_manual_says(self):
        debian.make(self.root, ["systemd", "systemd-sysv", *debian.depends(self.deb)])
        shutil.copy(self.deb, self.root / "root/peermesh.deb")
        done = debian.enter(self.root, "dpkg", "-i", "/root/peermesh.deb")
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.root / "root/script").write_text(SCRIPT)
        (self.root / "root/script").chmod(0o755)
        (self.root / "etc/systemd/system/script.service").write_text(UNIT)
        wants = self.root / "etc/systemd/system/default.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "script.service").symlink_to("../script.service")
        seen = self.boot()

        self.assertEqual(seen["before"], "disabled,inactive", "the package starts nothing")
        for name in ("ca-started", "peer-started", "reloaded", "restarted-without-token"):
            self.assertEqual(seen[name], "0", name)
        self.assertRegex(seen["ca-status"], r"^CA of mesh \w{16}, at 127\.0\.0\.1:7444$")
        self.assertRegex(seen["peer-status"], r"^peer alpha \(\w{8}\) of mesh \w{16}, mesh port \[::\]:7443$")
        self.assertEqual(seen["health"], "serving")
        self.assertEqual(seen["sockets"], "srw-rw----peermesh srw-------peermesh")
        self.assertEqual(seen["keys"], "0", "files that others may read")
        self.assertEqual(seen["capabilities"], "0" * 16)
        self.assertEqual(seen["seccomp"], "2")
        self.assertEqual(seen["after-hanging"], "1,serving", "the watchdog starts a peer that hangs again")
        self.assertEqual(seen["peer-result"], "success,0")
        self.assertEqual(seen["ca-result"], "success,0")

    def boot(self):
        done = subprocess.run([NSPAWN, "--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe", "--boot",
                               "--directory", self.root], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        path = self.root / "root/seen"
        if not path.exists():
            reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            self.skipTest(f"systemd does not boot here: {reason}")
        seen = dict(line.split(" ", 1) for line in path.read_text().splitlines())
        if "end" not in seen or seen.get("peer-started") != "0":
            errors = self.root / "root/errors"
            self.fail(f"{seen}\n{errors.read_text()[-4000:]}")
        return seen


if __name__ == "__main__":
    harness.main()
