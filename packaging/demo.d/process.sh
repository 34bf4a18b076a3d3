#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Telling, waiting, starting and ending.
# Sourced by packaging/demo, whose variables it uses.
# shellcheck disable=SC2034,SC2154

elapsed_ms() {
    echo $((${EPOCHREALTIME/./} / 1000 - began_ms))
}

say() {
    local ms
    ms=$(elapsed_ms)
    printf '%3d.%d s  %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$*"
}

more() {
    printf '         %s\n' "$*"
}

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# await SECONDS WHAT COMMAND...: until the command succeeds; fails when the time is over.
await() {
    local seconds=$1 what=$2 until_ms
    shift 2
    until_ms=$((${EPOCHREALTIME/./} / 1000 + seconds * 1000))
    until "$@"; do
        [ $((${EPOCHREALTIME/./} / 1000)) -lt $until_ms ] ||
            fail "waited $seconds s in vain for: $what"
        sleep 0.05
    done
}

# start NAME LOG COMMAND...: in the background, with both outputs in LOG; its input is $input.
start() {
    local name=$1 log=$2
    shift 2
    "$@" <>"${input:-/dev/null}" >>"$log" 2>&1 &
    pids["$name"]=$!
}

is_running() {
    kill -0 "${pids[$1]}" 2>/dev/null
}

# stop NAME [SIGNAL]: and wait until it is gone; its exit status is in $status.
stop() {
    local pid=${pids[$1]}
    kill -"${2:-TERM}" "$pid" 2>/dev/null || true
    status=0
    wait "$pid" 2>/dev/null || status=$?
    unset "pids[$1]"
}

# Everything, one after the other; names what did not end well, a sanitizer's complaint included.
stop_in_order() {
    local name
    ended_badly=
    for name in "${!pids[@]}"; do
        stop "$name"
        [ $status -eq 0 ] || ended_badly+=" $name ($status)"
    done
}

stop_all() {
    local name pid deadline=$((SECONDS + 10))
    for name in "${!pids[@]}"; do
        kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $deadline ]; do
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait
}

show_logs() {
    local log
    for log in "$work"/*/log "$work"/*/*.log; do
        [ -s "$log" ] || continue
        printf -- '--- %s\n' "${log#"$work"/}" >&2
        tail -n 5 "$log" >&2
    done
}

finish() {
    local code=$?
    trap - EXIT INT TERM
    [ -n "$work" ] || exit $code
    if [ "$stay" = yes ] && [ $code -eq 0 ]; then
        exit 0
    fi
    stop_all
    if [ $code -ne 0 ] && [ "$keep" = yes ]; then
        printf 'demo: everything is kept in %s\n' "$work" >&2
    else
        [ $code -eq 0 ] || [ $code -ge 128 ] || show_logs
        rm -rf "$work"
    fi
    exit $code
}
