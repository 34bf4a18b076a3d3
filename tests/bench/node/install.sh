#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches and builds the modules that package-lock.json names, into a folder outside the sources,
# unless they are there already. Two of them are C++, which takes minutes.
#   tests/bench/node/install.sh FOLDER
set -euo pipefail
folder=${1:?usage: tests/bench/node/install.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)

wanted="$(node --version) $(sha256sum <"$here/package-lock.json")"
if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

# Headers come with node, here as in Debian's libnode-dev: nothing is to be fetched for it.
prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
if [ -e "$prefix/include/node/node_api.h" ]; then
    export npm_config_nodedir=$prefix
fi
# Debian's node-gyp belongs to Debian's Python, whichever is found first.
export npm_config_python=/usr/bin/python3 npm_config_build_from_source=true \
    npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

mkdir -p "$folder"
rm -f "$folder/.installed"
cp "$here/package.json" "$here/package-lock.json" "$folder/"
echo "building the modules of the consumer in Node.js"
if ! (cd "$folder" && npm ci --omit=dev) >"$folder/install.log" 2>&1; then
    tail -n 30 "$folder/install.log" >&2
    echo "tests/bench/node/install.sh: npm ci failed, all of it in $folder/install.log" >&2
    exit 6
fi
echo "$wanted" >"$folder/.installed"
