# SPDX-License-Identifier: Apache-2.0
"""House rules that no other tool checks. Prints every breach as file:line: what, and fails."""

import re
import subprocess
import sys

MAX_LINES = 600
CODE = re.compile(r"\.(c|h|proto|sql|py|sh|cmake|conf|service)$|(^|/)CMakeLists\.txt$")
SCRIPT = re.compile(
    r"^(packaging/(demo|setup|sample/[\w-]+|sample/tables/make-routing)"
    r"|tests/(run|house/\w+|(bench|fuzz)/run)|\.ci/run)$"
)
NAPS = re.compile(r"\b(usleep|nanosleep|uv_sleep|sleep|time\.sleep)\s*\(|^\s*sleep\s+[0-9]")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|not imple" + r"mented)\b")
MACHINE = re.compile(r"/wo" + r"rk/(main|shared)|/root/|/tmp/build|https?://[^ ]*(registry|mirror)")


def files():
    listed = subprocess.run(["tests/house/files", "."], check=True, stdout=subprocess.PIPE).stdout
    return [name for name in listed.decode().split("\0") if name]


def text_of(name):
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return None


def lines_that(pattern, name, text, what):
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.search(line):
            yield f"{name}:{number}: {what}: {line.strip()[:100]}"


def check_code(name, text):
    lines = text.splitlines()
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
        yield f"{name}:1: no SPDX line"
    if name.endswith((".c", ".h")) and len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines: does it hold one idea? (at most {MAX_LINES})"
    yield from lines_that(UNFINISHED, name, text, "unfinished")
    if name.startswith("tests/") and name != "tests/house/rules.py":
        yield from lines_that(NAPS, name, text, "tests wait for events, they do not sleep")


def check_exit_codes():
    """README.md lists the exit codes as base/exit_codes.def has them."""
    defined = re.findall(
        r'^EXIT_CODE\((\w+), (\d+), "([^"]+)"\)', text_of("base/exit_codes.def"), re.M
    )
    readme = text_of("README.md")
    if len(defined) < 5:
        yield "base/exit_codes.def: not read, its form has changed"
    for _, number, meaning in defined:
        if f"| {number} | {meaning} |" not in readme:
            yield f"README.md: exit code {number} is not listed as '| {number} | {meaning} |'"


def check_benches():
    """tests/run offers each bench that is built, and README.md speaks of no other."""
    offered = re.findall(r"^benches=\(([\w ]+)\)$", text_of("tests/run"), re.M)
    offered = set(" ".join(offered).split())
    built = set()
    for name in ("tests/bench/CMakeLists.txt", "tests/bench/peers/CMakeLists.txt"):
        found = re.findall(r"^muster_bench\((\w+)|DIRECTORY\}/bench-(\w+)", text_of(name), re.M)
        built |= {a or b for a, b in found}
    if len(built) < 5:
        yield "tests/bench: not read, its form has changed"
    for bench in sorted(offered ^ built):
        yield f"tests/run: bench {bench} is offered or built, but not both"
    for bench in re.findall(r"\bbench (\w+)`", text_of("README.md")):
        if bench not in offered:
            yield f"README.md: tests/run offers no bench {bench}"


def check_headers_are_guarded(name, text):
    if not name.endswith(".h"):
        return
    guard = name.replace("/", "_").replace(".", "_").replace("-", "_").upper()
    if f"#ifndef {guard}\n#define {guard}\n" not in text:
        yield f"{name}:1: expected the include guard {guard}"


def main():
    found = []
    names = files()
    for name in names:
        text = text_of(name)
        if text is None:
            continue
        if CODE.search(name) or SCRIPT.search(name):
            found += check_code(name, text)
            found += check_headers_are_guarded(name, text)
        if not name.endswith(".tsv") and name != "tests/house/rules.py":
            found += lines_that(MACHINE, name, text, "a path or host of one machine")
    found += check_exit_codes()
    found += check_benches()
    print("\n".join(found))
    print(f"house.files {len(names)} count")
    return 1 if found or len(names) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
