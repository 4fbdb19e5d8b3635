#!/usr/bin/python3
"""Ends a test run: why tests were skipped, which failed, and `N passed, N failed, N skipped`. Reads CTest's JUnit file."""

import re
import sys
import xml.etree.ElementTree


def main():
    passed, failed, skipped = [], [], []
    for case in xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        name = case.get("name")
        # A test, or one check inside a test, says `SKIP: reason` on a line of its own.
        reasons = re.findall(r"^SKIP: (.+)$", case.findtext("system-out") or "", re.MULTILINE)
        if case.get("status") == "run":
            passed.append(name)
        elif case.get("status") in ("notrun", "disabled"):
            skipped.append(name)
            reasons = reasons or ["no reason given"]
        else:
            failed.append(name)
        for reason in reasons:
            print(f"skipped {'' if name in skipped else 'a part of '}{name}: {reason}")
    for name in failed:
        print(f"FAILED {name}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
