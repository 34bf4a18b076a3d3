# SPDX-License-Identifier: Apache-2.0
"""Who may use whom (ARCHITECTURE.md), read from the includes and from what the programs need.

may_use_test.py SOURCE BUILD first plants one breach of each rule in a tree of its own, to see that
it would be found, then checks the real tree and the built programs.
"""

import os
import re
import subprocess
import sys
import tempfile

MAY_USE = {
    "base": set(),
    "proto": {"base"},
    "storage": {"base"},
    "agent": {"proto", "storage", "base"},
    "fleet": {"proto", "storage", "base"},
}

# A foreign header, and the only files of ours that may include it.
KEPT_TO = {
    "sqlite3.h": r"storage/",
    "libpq-fe.h": r"storage/",
    "mosquitto.h": r"base/mqtt\w*\.[ch]$",
    "microhttpd.h": r"fleet/",
    "curl/curl.h": r"fleet/",
    "glib.h": r"(fleet/zone|storage/erase_words)\.c$",
    "csv.h": r"fleet/csv_text\.c$",
    "sodium.h": r"fleet/ed25519\.c$",
    "p11-kit/p11-kit.h": r"(fleet/|agent/key)token\w*\.[ch]$",
    "p11-kit/uri.h": r"fleet/token\w*\.[ch]$",
}

# A terminal's wall clock may say anything: nothing may wait, age or expire by it. Who asks it at
# all, to stamp, to show, or to compare it with what is proved.
WALL_CLOCK = re.compile(r"fleet/|base/(clock\.[ch]|log\.c|mqtt\.c)$|"
                        r"agent/(agent_\w+|link|link_broker|link_content|linkport)\.c$")

# Nor may libmuster, which a payment application links, pull these in by whatever it includes.
NOT_IN_CLIENT = {"uv.h", "sqlite3.h", "mosquitto.h"}

# A program, and the libraries that must not be loaded with it.
NOT_NEEDED = {
    "muster-agent": {"libmosquitto", "libsodium", "libmicrohttpd", "libcurl"},
    "muster-link": {"libsqlite3", "libsodium", "libmicrohttpd", "libcurl"},
    "muster": {"libsqlite3", "libsodium", "libmosquitto", "libuv"},
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.M)
CLIENT = re.compile(r"add_library\(muster_client STATIC([^)]*)\)")


def read_tree(root):
    """{"base/buf.c": ["base/buf.h", "stdlib.h"], ...} of all our folders."""
    tree = {}
    for folder in MAY_USE:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(where, name)
                    with open(path, encoding="utf-8") as file:
                        tree[os.path.relpath(path, root)] = INCLUDE.findall(file.read())
    return tree


def breach_of_layers(path, header):
    """Why `path` may not include `header`, or None."""
    mine, theirs = path.split("/")[0], header.split("/")[0]
    if theirs in MAY_USE and theirs != mine and theirs not in MAY_USE[mine]:
        return f"{mine} may not use {theirs}"
    for kept, where in KEPT_TO.items():
        if header == kept and not re.match(where, path):
            return f"{kept} belongs to {where}"
    return None


def all_included(tree, path):
    """Every header that `path` includes, directly or through ours."""
    seen, waiting = set(), [path]
    while waiting:
        for header in tree.get(waiting.pop(), []):
            if header not in seen:
                seen.add(header)
                waiting.append(header)
    return seen


def client_files(root):
    with open(os.path.join(root, "agent", "CMakeLists.txt"), encoding="utf-8") as file:
        found = CLIENT.search(file.read())
    return [f"agent/{name}" for name in found.group(1).split()] if found else []


def clock_breaches(root, paths):
    found = []
    for path in sorted(paths):
        if WALL_CLOCK.match(path):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            if re.search(r"\b(clock_wall_ms|CLOCK_REALTIME|gettimeofday)\b", file.read()):
                found.append(f"{path} asks the wall clock, which may say anything")
    return found


def breaches(root):
    tree = read_tree(root)
    found = clock_breaches(root, tree)
    for path, headers in sorted(tree.items()):
        for header in headers:
            why = breach_of_layers(path, header)
            if why:
                found.append(f"{path} includes {header}: {why}")
            elif "/" not in header and os.path.exists(
                os.path.join(root, os.path.dirname(path), header)
            ):
                found.append(f"{path} includes {header}: ours are included by folder")
    client = client_files(root)
    if not client:
        found.append("agent/CMakeLists.txt: the sources of muster_client are not found")
    for path in client:
        if path not in tree:
            found.append(f"{path}: a source of muster_client that is not there")
        for header in sorted(all_included(tree, path) & NOT_IN_CLIENT):
            found.append(f"{path} comes to include {header}: not in libmuster")
    return found


def needed_by(program):
    listed = subprocess.run(["readelf", "-dW", program], check=True, stdout=subprocess.PIPE)
    return re.findall(r"\(NEEDED\).*\[([^]]+)\]", listed.stdout.decode())


def unwanted(needed, refused):
    return sorted(name for name in needed if name.split(".")[0] in refused)


def link_breaches(build):
    found = []
    for program, refused in NOT_NEEDED.items():
        path = os.path.join(build, "bin", program)
        if not os.path.exists(path):
            found.append(f"bin/{program} has not been built")
            continue
        needed = needed_by(path)
        if not needed:
            found.append(f"bin/{program} needs no library at all: was it read?")
        found += [f"bin/{program} needs {name}" for name in unwanted(needed, refused)]
    return found


# ---- the checker itself ----

CLEAN = {
    "agent/CMakeLists.txt": "add_library(muster_client STATIC\n  client.c)\n",
    "agent/agent.c": '#include "proto/seal.h"\n#include "storage/spool.h"\n#include <uv.h>\n',
    "agent/client.c": '#include "agent/client.h"\n',
    "agent/client.h": '#include "base/buf.h"\n',
    "base/buf.h": "#include <stdint.h>\n",
    "base/mqtt.c": "#include <mosquitto.h>\n",
    "base/stream.h": "#include <uv.h>\n",
    "fleet/daemon.c": '#include "storage/spool.h"\n#include <microhttpd.h>\n',
    "proto/seal.h": '#include "base/buf.h"\n',
    "storage/spool.h": '#include "base/buf.h"\n#include <sqlite3.h>\n',
}

# A file, what is added to it, and what must be said then.
PLANTED = [
    ("agent/agent.c", '#include "fleet/daemon.h"', "agent may not use fleet"),
    ("fleet/daemon.c", '#include "agent/agent.h"', "fleet may not use agent"),
    ("proto/seal.h", '#include "storage/spool.h"', "proto may not use storage"),
    ("storage/spool.h", '#include "proto/seal.h"', "storage may not use proto"),
    ("base/buf.h", '#include "proto/seal.h"', "base may not use proto"),
    ("base/buf.h", "  #  include <agent/agent.h>", "base may not use agent"),
    ("proto/seal.h", '#include "fleet/daemon.h"', "proto may not use fleet"),
    ("agent/agent.c", "#include <sqlite3.h>", "sqlite3.h belongs to"),
    ("fleet/daemon.c", "#include <libpq-fe.h>", "libpq-fe.h belongs to"),
    ("base/buf.h", "#include <mosquitto.h>", "mosquitto.h belongs to"),
    ("agent/agent.c", "#include <mosquitto.h>", "mosquitto.h belongs to"),
    ("agent/agent.c", "#include <microhttpd.h>", "microhttpd.h belongs to"),
    ("fleet/daemon.c", "#include <p11-kit/p11-kit.h>", "p11-kit/p11-kit.h belongs to"),
    ("agent/client.h", "#include <uv.h>", "agent/client.c comes to include uv.h"),
    ("agent/client.c", '#include "base/stream.h"', "agent/client.c comes to include uv.h"),
    ("agent/agent.c", '#include "client.h"', "ours are included by folder"),
    ("storage/spool.h", "int64_t now = clock_wall_ms(clock);", "asks the wall clock"),
    ("agent/client.c", "clock_gettime(CLOCK_REALTIME, &now);", "asks the wall clock"),
    ("agent/CMakeLists.txt", None, "the sources of muster_client are not found"),
]


def plant(root, path, added):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "a" if added is not None else "w", encoding="utf-8") as file:
        file.write((added or "") + "\n")


def missed():
    """What the checker says wrongly of trees whose breaches are known."""
    found = []
    for path, added, expected in [(None, None, None)] + PLANTED:
        with tempfile.TemporaryDirectory(prefix="may_use.") as root:
            for name, text in CLEAN.items():
                plant(root, name, text)
            if path:
                plant(root, path, added)
            said = breaches(root)
        if path is None and said:
            found.append(f"a clean tree is refused: {said}")
        if path and not any(expected in line for line in said):
            found.append(f"{added} in {path} is not found: {said}")
    if unwanted(["libmosquitto.so.1", "libc.so.6"], {"libmosquitto"}) != ["libmosquitto.so.1"]:
        found.append("a library that must not be needed is not found")
    return found


def main():
    source, build = sys.argv[1:3]
    found = [f"may_use_test.py: {line}" for line in missed()]
    found += breaches(source) + link_breaches(build)
    print("\n".join(found))
    print(f"may_use.files {len(read_tree(source))} count")
    print(f"may_use.planted {len(PLANTED)} count")
    return 1 if found or len(read_tree(source)) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
