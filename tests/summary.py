#!/usr/bin/python3
"""Ends a test run: why tests were skipped, which failed, and `N passed, N failed, N skipped`.

    summary.py [NAME=]FILE...      CTest's JUnit files; NAME stands before the names of the tests of a second build
    summary.py ... --skipped NAME=REASON
"""

import re
import sys
import xml.etree.ElementTree


def read(name, path, passed, failed, skipped):
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        test = f"{name} {case.get('name')}".strip()
        # A test, or one check inside a test, says `SKIP: reason` on a line of its own.
        reasons = re.findall(r"^SKIP: (.+)$", case.findtext("system-out") or "", re.MULTILINE)
        if case.get("status") == "run":
            passed.append(test)
        elif case.get("status") in ("notrun", "disabled"):
            skipped.append(test)
            reasons = reasons or ["no reason given"]
        else:
            failed.append(test)
        for reason in reasons:
            print(f"skipped {'' if test in skipped else 'a part of '}{test}: {reason}")


def main():
    passed, failed, skipped = [], [], []
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument == "--skipped":
            name, _, reason = next(arguments).partition("=")
            skipped.append(name)
            print(f"skipped {name}: {reason}")
            continue
        name, _, path = argument.rpartition("=")
        try:
            read(name, path, passed, failed, skipped)
        except FileNotFoundError:  # its tests did not even begin
            failed.append(f"{name} tests".strip())
    for name in failed:
        print(f"FAILED {name}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
