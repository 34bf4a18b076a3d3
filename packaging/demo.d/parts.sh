#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The parts of the demo: keys, broker, fleet side, acquirer, terminals.
# Sourced by packaging/demo, whose variables it uses.
# shellcheck disable=SC2034,SC2154

build() {
    [ -z "$bin" ] || return 0
    "$source_dir/packaging/setup" build
    echo "building (a minute or two the first time)"
    local log
    log=$(mktemp)
    if ! (cd "$source_dir" && cmake --preset release && cmake --build --preset release) \
        >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "the build failed, see above"
    fi
    rm -f "$log"
    bin=$source_dir/build/release/bin
}

musterctl() {
    "$bin/musterctl" --server "unix:$work/fleet/api.sock" "$@"
}

# certificate NAME CN USAGE [SUBJECT-ALT-NAME]: pki/NAME.pem and pki/NAME.key.
certificate() {
    local at=$work/pki/$1
    {
        echo "extendedKeyUsage=$3"
        [ -z "${4:-}" ] || echo "subjectAltName=$4"
    } >"$at.ext"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$at.key" -out "$at.csr" 2>/dev/null
    openssl x509 -req -in "$at.csr" -CA "$work/pki/ca.pem" -CAkey "$work/pki/ca.key" \
        -CAcreateserial -days 2 -extfile "$at.ext" -out "$at.pem" 2>/dev/null
}

make_keys() {
    local till
    mkdir "$work/pki" "$work/fleet" "$work/broker" "$work/acquirer" "$work/documents"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=demo CA" -keyout "$work/pki/ca.key" -out "$work/pki/ca.pem" 2>/dev/null
    certificate broker localhost serverAuth "DNS:localhost,IP:127.0.0.1"
    certificate musterd musterd clientAuth
    for till in "${tills[@]}"; do
        certificate "$till" "$till" clientAuth
    done
    "$bin/musterctl" keys make "$work/keys" >"$work/fleet/keys.log"
}

write_acl() {
    local till
    printf 'user musterd\ntopic readwrite muster/v1/#\n'
    for till in "${tills[@]}"; do
        printf '\nuser %s\ntopic write muster/v1/up/%s/#\ntopic read muster/v1/down/%s/#\n' \
            "$till" "$till" "$till"
        printf 'topic read muster/v1/blob/+\ntopic read muster/v1/trust/+\n'
    done
}

write_broker_settings() {
    write_acl >"$work/broker/acl"
    cat >"$work/broker/mosquitto.conf" <<END
per_listener_settings false
listener $port 127.0.0.1
cafile $work/pki/ca.pem
certfile $work/pki/broker.pem
keyfile $work/pki/broker.key
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
message_size_limit 1126400
acl_file $work/broker/acl
persistence true
persistence_location $work/broker/
user $(id -un)
END
}

broker_speaks() {
    grep -q 'mosquitto version .* running' "$work/broker/log" || ! is_running broker
}

start_broker() {
    : >"$work/broker/log"
    start broker "$work/broker/log" "$mosquitto" -c "$work/broker/mosquitto.conf"
    await 10 "the broker to start" broker_speaks
    is_running broker
}

# A port that is free now may be taken a moment later: the broker's own answer counts.
find_broker_port() {
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$((20000 + RANDOM % 12000))
        write_broker_settings
        ! start_broker || return 0
    done
    fail "no free port for the broker after $try tries: $(tail -n 1 "$work/broker/log")"
}

musterd_answers() {
    is_running musterd || fail "musterd has ended: $(tail -n 1 "$work/fleet/log")"
    [ -S "$work/fleet/api.sock" ]
}

start_fleet() {
    cat >"$work/fleet/musterd.conf" <<END
[broker]
servers = 127.0.0.1:$port
retry_first = 100ms
retry_max = 500ms
[tls]
ca = ../pki/ca.pem
certificate = ../pki/musterd.pem
key = ../pki/musterd.key
[keys]
director = ../keys/director.pem
receipt = ../keys/receipt.pem
root = ../keys/root.bin
[database]
path = fleet.db
[http]
socket = api.sock
open_to_group = no
END
    start musterd "$work/fleet/log" "$bin/musterd" --config "$work/fleet/musterd.conf"
    await 10 "musterd to answer" musterd_answers
}

# The world's own tables, which the acquirer and the cards go by. Terminals never see these files.
start_acquirer() {
    local till
    "$tables/make-routing" 2 >"$work/acquirer/bin-routing"
    {
        printf 'tid\tmid\n'
        for till in "${tills[@]}"; do
            for host in 1 2 3; do
                printf '%s\t%s\n' "$(tid_of "$till" $host)" "$(mid_of "$till")"
            done
        done
    } >"$work/acquirer/terminals"
    start acquirer "$work/acquirer/log" "$bin/world-acquirer" --socket "$work/acquirer/sock" \
        --table "$work/acquirer/bin-routing" --terminals "$work/acquirer/terminals" --seed 7
    await 10 "the acquirer to answer" test -S "$work/acquirer/sock"
}

tid_of() {
    echo "80${1#till-}000$2"
}

mid_of() {
    echo "8983100541100${1#till-}"
}

agent_answers() {
    is_running "agent $1" ||
        fail "the agent of $1 has ended: $(tail -n 1 "$work/$1/agent.log")"
    [ -S "$work/$1/run/client.sock" ]
}

start_agent() {
    start "agent $1" "$work/$1/agent.log" "$bin/muster-agent" --config "$work/$1/agent.conf"
    await 10 "the agent of $1 to answer" agent_answers "$1"
}

write_till_settings() {
    local till=$1 number=${1#till-}
    mkdir "$work/$till" "$work/$till/run" "$work/$till/state"
    cat >"$work/$till/hook" <<'END'
#!/bin/sh
# A till that cannot look cards up is worse than one with old tables.
cd "$1" && for name in bin-routing aid-list ca-keys; do
    [ ! -e "$name" ] || [ "$(wc -l <"$name")" -gt 1 ] || { echo "$name: no rows"; exit 1; }
done
END
    chmod 700 "$work/$till/hook"
    cat >"$work/$till/agent.conf" <<END
[device]
id = $till
serial = 82100000$number
model = P400
[paths]
state = state
run = run
[keys]
agent = agent.pem
sealing = sealing.pem
root = ../keys/root.bin
[uplink]
linger = 200ms
quiet = 200ms
resend = 2s
[registry]
check_every = 2s
hook = hook
[gate]
alone = 0s
END
    cat >"$work/$till/link.conf" <<END
[device]
id = $till
[broker]
servers = 127.0.0.1:$port
retry_first = 200ms
retry_max = 1s
[tls]
ca = ../pki/ca.pem
certificate = ../pki/$till.pem
key = ../pki/$till.key
[agent]
socket = run/link.sock
END
}

# What only this till may read is sealed to a key that it makes itself and the CA of devices names.
enrol_sealing_key() {
    local at=$work/pki/$1.sealing
    "$bin/muster-agent" --config "$work/$1/agent.conf" --make-sealing-key >"$at.csr" \
        2>>"$work/$1/agent.log"
    openssl x509 -req -in "$at.csr" -CA "$work/pki/ca.pem" -CAkey "$work/pki/ca.key" \
        -CAcreateserial -days 2 -copy_extensions copy -out "$at.pem" 2>/dev/null
    musterctl device sealing "$1" "$at.pem" --device-ca "$work/pki/ca.pem" >>"$work/fleet/ctl.log"
}

enrol_till() {
    local till=$1 number=${1#till-} args=() host
    "$bin/muster-agent" --config "$work/$till/agent.conf" --make-key >"$work/$till/agent.pub" \
        2>>"$work/$till/agent.log"
    for host in 1 2 3; do
        args+=(--terminal "$host:host$host:$(tid_of "$till" $host):$(mid_of "$till")")
    done
    musterctl device add "$till" --serial "82100000$number" --model P400 --merchant "m-$number" \
        --store "s-$number" --region demo --agent-key "$work/$till/agent.pub" "${args[@]}" \
        >>"$work/fleet/ctl.log"
    enrol_sealing_key "$till"
    start_agent "$till"
    start "link $till" "$work/$till/link.log" "$bin/muster-link" --config "$work/$till/link.conf"
}

publish() {
    musterctl doc publish "$1" "$2" --kind "$3" --release-key "$work/keys/release.pem" \
        >>"$work/fleet/ctl.log"
}

# assign DOCUMENT MODE till...
assign() {
    local document=$1 mode=$2 args=() till
    shift 2
    for till in "$@"; do
        args+=(--device "$till")
    done
    musterctl assign "$document" --mode "$mode" "${args[@]}" >>"$work/fleet/ctl.log"
}

publish_params() {
    local till host
    for till in "${tills[@]}"; do
        {
            printf '[routing]\ndefault = 1\n[codes]\nprofile = 1\n[batch]\nnumber = 1\n'
            for host in 1 2 3; do
                printf '[host%d]\ntid = %s\nmid = %s\n' $host "$(tid_of "$till" $host)" \
                    "$(mid_of "$till")"
            done
        } >"$work/documents/params.$till"
        musterctl doc seal "params.$till" "$work/documents/params.$till" --kind params \
            --device "$till" --device-ca "$work/pki/ca.pem" \
            --release-key "$work/keys/release.pem" >>"$work/fleet/ctl.log"
        assign "params.$till" repair "$till"
    done
}

wait_converged() {
    local args=() till
    for till in "$@"; do
        args+=(--device "$till")
    done
    musterctl get devices --wait converged --timeout 60s "${args[@]}" >>"$work/fleet/ctl.log" ||
        fail "the terminals did not converge"
}

# The version of the BIN table that the fleet knows a terminal to hold.
held_version() {
    musterctl describe device "$1" -o json |
        jq -r '.items[] | select(.name == "bin-routing") | .held_version'
}

# How many terminals have another BIN table on their disk than the newest.
count_stale() {
    local till stale=0
    for till in "${tills[@]}"; do
        cmp -s "$work/documents/bin-routing.2" "$work/$till/state/registry/current/bin-routing" ||
            stale=$((stale + 1))
    done
    echo $stale
}

# The same, as the fleet knows them.
reported_stale() {
    local till newest stale=0
    newest=$(musterctl get documents -o json |
        jq '[.documents[] | select(.name == "bin-routing") | .version] | max')
    for till in "${tills[@]}"; do
        [ "$(held_version "$till")" = "$newest" ] || stale=$((stale + 1))
    done
    echo $stale
}

reported_stale_is() {
    [ "$(reported_stale)" = "$1" ]
}

start_payment_applications() {
    local till number
    for till in "${tills[@]}"; do
        number=${till#till-}
        mkfifo "$work/$till/commands"
        input=$work/$till/commands start "app $till" "$work/$till/app.log" "$bin/world-payapp" \
            --agent "$work/$till/run/client.sock" --host "$work/acquirer/sock" \
            --registry "$work/$till/state/registry" --params "params.$till" \
            --oracle "$work/$till/oracle.tsv" --world-table "$work/acquirer/bin-routing" \
            --world-ca-keys "$tables/capk.tsv" --seed "$((10#$number))"
    done
    for till in "${tills[@]}"; do
        await 10 "the payment application of $till" app_said "$till" '^ready$'
    done
}

# They know no signals; their end of the commands is the way to tell them.
quit_apps() {
    local till
    tell_apps quit
    for till in "${tills[@]}"; do
        wait "${pids["app $till"]}" || fail "the payment application of $till did not end well"
        unset "pids[app $till]"
    done
}

app_said() {
    is_running "app $1" ||
        fail "the payment application of $1 has ended: $(tail -n 1 "$work/$1/app.log")"
    grep -q "$2" "$work/$1/app.log"
}

tell_apps() {
    local till
    for till in "${tills[@]}"; do
        echo "$1" 1<>"$work/$till/commands"
    done
}

# The line in which a payment application sums up its N-th run.
ran_line() {
    grep '^ran ' "$work/$1/app.log" | sed -n "$2p"
}

has_ran() {
    [ -n "$(ran_line "$1" "$2")" ]
}

wait_ran() {
    local till
    for till in "${tills[@]}"; do
        await 60 "$till to have all its results acknowledged" has_ran "$till" "$1"
    done
}

# total RUN WORD [till...]: a number of that run's sums, over the tills.
total() {
    local run=$1 word=$2 till sum=0 value
    shift 2
    [ $# -gt 0 ] || set -- "${tills[@]}"
    for till in "$@"; do
        value=$(ran_line "$till" "$run" | sed -n "s/.*\b$word \([0-9]*\).*/\1/p")
        sum=$((sum + value))
    done
    echo $sum
}
