#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of one folder, each in shares on all cores, and adds up their figures.

tests/inject/run BUILD_BIN PART:SHARES...
"""

import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

FIGURE = re.compile(r"^(inject\.[a-z_.]+) (\d+) count$")


def run(job):
    program, share, scratch = job
    done = subprocess.run(
        [program, share],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": scratch},
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def jobs_of(folder, parts, scratch):
    jobs = []
    for part in parts:
        name, shares = part.split(":")
        jobs += [(f"{folder}/{name}_inject", f"{i}/{shares}", scratch) for i in range(int(shares))]
    return jobs


def main():
    # In memory: no disk is asked to keep anything here.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="muster-inject-", dir=memory) as scratch:
        return run_all(jobs_of(sys.argv[1], sys.argv[2:], scratch))


def count(figures, name, value):
    """A part's own, and with those of the other parts: inject.PART.sites is in inject.sites."""
    figures[name] = figures.get(name, 0) + value
    total = re.sub(r"^inject\.[a-z]+\.(sites|violations)$", r"inject.\1", name)
    if total != name:
        figures[total] += value


def run_all(jobs):
    figures = {"inject.sites": 0, "inject.violations": 0}
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, output in pool.map(run, jobs):
            failed = failed or code != 0
            for line in output.splitlines():
                figure = FIGURE.match(line)
                if figure:
                    count(figures, figure[1], int(figure[2]))
                else:
                    print(line)
    for name, value in figures.items():
        print(f"{name} {value} count")
    return 1 if failed or figures["inject.violations"] or not figures["inject.sites"] else 0


if __name__ == "__main__":
    sys.exit(main())
