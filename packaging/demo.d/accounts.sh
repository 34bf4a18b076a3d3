#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The outside accounts: from the oracle files and the fleet database, nothing of Muster's own.
# Sourced by packaging/demo, whose variables it uses.
# shellcheck disable=SC2034,SC2154

acknowledged() {
    cat "$work"/till-*/oracle.tsv | wc -l
}

# A copy of the database file as it is on the disk, so that looking disturbs nobody.
fleet_sql() {
    rm -rf "$work/look"
    mkdir "$work/look"
    cp "$work"/fleet/fleet.db* "$work/look/"
    sqlite3 -separator $'\t' "$work/look/fleet.db" "$1"
}

in_fleet() {
    fleet_sql 'SELECT count(*) FROM result' 2>/dev/null || echo 0
}

fleet_has_all() {
    [ "$(in_fleet)" -ge "$(acknowledged)" ]
}

# declined57 RUN: results with that code, as the oracle files have them.
declined57() {
    cat "$work"/till-*/oracle.tsv | awk -F '\t' -v run="$1" '$1 == run && $5 == "57"' | wc -l
}

count_cards() {
    cat "$work"/till-*/oracle.tsv | awk -F '\t' -v run="$1" '$1 == run' | wc -l
}

# A sale is known by its till and STAN, which Muster gives no meaning to; its idempotency key may
# have been replaced by the agent's guard, when its bytes happened to spell a card number.
#   unaccounted  acknowledged, and the sale or the record id is not in the fleet database
#   double       in the fleet database more than once, or though nobody acknowledged it
#   altered      in the fleet database with another response code than was handed over
account() {
    local till of
    for till in "${tills[@]}"; do
        awk -F '\t' -v OFS='\t' -v till="$till" '{ print till, $6, $4 }' "$work/$till/oracle.tsv"
    done | sort >"$work/acknowledged.tsv"
    fleet_sql "SELECT d.name, r.stan, printf('%016x', r.incarnation) || '.1.' || r.seq
               FROM result r JOIN device d ON d.id = r.device" | sort >"$work/held.tsv"
    # What was handed over again under its key has a second record id, and is counted once.
    fleet_sql "SELECT d.name, r.stan, printf('%016x', p.incarnation) || '.1.' || p.seq
               FROM result_duplicate p JOIN result r ON r.id = p.original
               JOIN device d ON d.id = p.device" | sort >"$work/held-again.tsv"
    unaccounted=$(sort -u "$work/held.tsv" "$work/held-again.tsv" |
        comm -23 "$work/acknowledged.tsv" - | wc -l)
    for of in acknowledged held; do
        cut -f 1,2 "$work/$of.tsv" | sort >"$work/$of-sales.tsv"
    done
    double=$(comm -13 "$work/acknowledged-sales.tsv" "$work/held-sales.tsv" | wc -l)
    for till in "${tills[@]}"; do
        awk -F '\t' -v OFS='\t' -v till="$till" '{ print till, $6, $5 == "-" ? "" : $5 }' \
            "$work/$till/oracle.tsv"
    done | sort -u >"$work/codes.tsv"
    altered=$(fleet_sql "SELECT d.name, r.stan, r.code
                         FROM result r JOIN device d ON d.id = r.device" | sort -u |
        comm -13 "$work/codes.tsv" - | wc -l)
    records=$(wc -l <"$work/acknowledged.tsv")
    unique=$(uniq "$work/acknowledged-sales.tsv" | wc -l)
    cards_before=$(count_cards 1) cards_after=$(count_cards 2)
    declined_before=$(declined57 1) declined_after=$(declined57 2)
}
