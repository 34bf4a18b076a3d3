# SPDX-License-Identifier: Apache-2.0
"""Adds up what the crash programs have covered: total.py FILE...

Each file has the lines `name value` of one program. Fails when a program has left none, when a kind
of operation or a way to lose what was not synced was never tried, when there are too few images,
or when there was a breach.
"""

import collections
import os
import sys

KINDS = "create write truncate sync sync_dir chmod rename link symlink unlink mkdir".split()
MODES = "all synced names_only names_lost names_some torn torn_some some some_some".split()
NONE = ["corrupt", "lost", "doubled"]


def read(names):
    total = collections.Counter()
    for name in names:
        with open(name, encoding="ascii") as file:
            for line in file:
                what, value = line.split()
                total[what] += int(value)
    return total


def main():
    total = read(sys.argv[1:])
    wanted = 1000000 if os.environ.get("MUSTER_CRASH_FULL") == "1" else 50000
    for name in ["images", "points", "checks"] + NONE:
        print(f"crash.{name} {total[name]} count")
    covered = [f"after_{kind}" for kind in KINDS] + [f"kept_{mode}" for mode in MODES]
    missing = [name for name in covered if total[name] == 0]
    print(f"crash.kinds {sum(total[f'after_{kind}'] > 0 for kind in KINDS)} count")
    print(f"crash.modes {sum(total[f'kept_{mode}'] > 0 for mode in MODES)} count")
    if missing:
        print("crash: never tried:", " ".join(missing))
    if total["images"] < wanted:
        print(f"crash: {total['images']} distinct images, at least {wanted} are wanted")
    breaches = sum(total[name] for name in NONE)
    return 1 if missing or breaches or total["images"] < wanted else 0


if __name__ == "__main__":
    sys.exit(main())
