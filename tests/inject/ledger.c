/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/inject/ledger.h"

#include "tests/inject/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 32, READ_RECORDS = 1000, READ_BYTES = 1 << 20, READS_MAX = 2000 };

struct ledger_record *ledger_add(struct ledger *ledger, unsigned call, int lane, const char *key,
                                 size_t length)
{
    if (ledger->count == LEDGER_RECORDS || length > LEDGER_BODY_BYTES)
        abort();
    struct ledger_record *record = &ledger->records[ledger->count];
    *record = (struct ledger_record){.lane = lane, .call = call, .length = length};
    (void)snprintf(record->key, sizeof record->key, "%s", key);
    memset(record->body, 'a' + (int)(ledger->count % 26), length);
    (void)snprintf(record->body, sizeof record->body, "%05zu", ledger->count++);
    record->body[5] = ' ';
    return record;
}

void ledger_answer(struct ledger *ledger, struct ledger_record *record,
                   const struct spool_record *answer)
{
    if (answer->incarnation == 0 || answer->seq == 0)
        violation("stored without an id");
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_record *other = &ledger->records[i];
        bool same_key = record->key[0] != '\0' && strcmp(other->key, record->key) == 0;
        if (other == record || !other->acked)
            continue;
        bool same_id = other->incarnation == answer->incarnation && other->lane == record->lane &&
                       other->seq == answer->seq;
        if (same_id != same_key)
            violation("lane %d seq %" PRIu64 ": one id for two records, or two for one key",
                      record->lane, answer->seq);
    }
    record->acked = true;
    record->incarnation = answer->incarnation;
    record->seq = answer->seq;
}

struct ledger_claim *ledger_claim(struct ledger *ledger, uint64_t incarnation, int lane,
                                  uint64_t first, uint64_t last)
{
    if (ledger->claim_count == LEDGER_CLAIMS)
        abort();
    struct ledger_claim *claim = &ledger->claims[ledger->claim_count++];
    *claim = (struct ledger_claim){incarnation, first, last, lane, false};
    return claim;
}

static const struct ledger_claim *claim_of(const struct ledger *ledger, uint64_t incarnation,
                                           int lane, uint64_t seq)
{
    const struct ledger_claim *found = NULL;
    for (size_t i = 0; i < ledger->claim_count; i++) {
        const struct ledger_claim *claim = &ledger->claims[i];
        if (claim->incarnation == incarnation && claim->lane == lane && seq >= claim->first &&
            seq <= claim->last && (found == NULL || claim->taken))
            found = claim;
    }
    return found;
}

/* ---- what the spool holds ---- */

struct look {
    struct ledger *ledger;
    uint64_t incarnation;
    int lane;
};

/* The first given with this body: what comes again under its key shares it. */
static struct ledger_record *record_of_body(struct ledger *ledger, struct bytes body)
{
    for (size_t i = 0; i < ledger->count; i++) {
        struct ledger_record *record = &ledger->records[i];
        if (bytes_equal(body, bytes_of(record->body, record->length)))
            return record;
    }
    return NULL;
}

static struct ledger_record *record_of_id(const struct look *look, uint64_t seq)
{
    for (size_t i = 0; i < look->ledger->count; i++) {
        struct ledger_record *record = &look->ledger->records[i];
        if (record->acked && record->incarnation == look->incarnation &&
            record->lane == look->lane && record->seq == seq)
            return record;
    }
    return NULL;
}

static bool on_held(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    const struct look *look = ctx;
    (void)err;
    struct ledger_record *record = record_of_body(look->ledger, body);
    if (record == NULL) {
        violation("lane %d seq %" PRIu64 ": a record that nobody gave", look->lane, seq);
        return true;
    }
    if (record->acked && (record->incarnation != look->incarnation || record->seq != seq ||
                          record->lane != look->lane))
        violation("lane %d seq %" PRIu64 " holds what was answered for as seq %" PRIu64, look->lane,
                  seq, record->seq);
    if (record->seen++ > 0)
        violation("lane %d seq %" PRIu64 ": doubled", look->lane, seq);
    const struct ledger_claim *claim = claim_of(look->ledger, look->incarnation, look->lane, seq);
    if (claim != NULL && claim->taken && !look->ledger->again)
        violation("lane %d seq %" PRIu64 ": its receipt is forgotten", look->lane, seq);
    return true;
}

static void on_receipted(const struct look *look, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        struct ledger_record *record = record_of_id(look, seq);
        if (claim_of(look->ledger, look->incarnation, look->lane, seq) == NULL)
            violation("lane %d seq %" PRIu64 ": receipted by nobody", look->lane, seq);
        if (record != NULL)
            record->seen++;
    }
}

static void on_lost(const struct look *look, const struct spool_found *found)
{
    for (uint64_t seq = found->first; seq < found->first + found->count; seq++) {
        struct ledger_record *record = record_of_id(look, seq);
        if ((look->ledger->may_lose[look->lane] >> found->lost & 1) == 0)
            violation("lane %d seq %" PRIu64 ": declared lost for reason %d", look->lane, seq,
                      (int)found->lost);
        if (record != NULL)
            record->seen++;
    }
}

static void look_at(struct look *look, struct spool *spool, uint64_t last_seq)
{
    uint64_t seq = 1;
    for (unsigned reads = 0; seq <= last_seq && reads < READS_MAX; reads++) {
        struct spool_found found = {0};
        struct err err = {0};
        if (!spool_read(spool, look->incarnation, look->lane, seq, READ_RECORDS, READ_BYTES,
                        on_held, look, &found, &err)) {
            violation("lane %d from %" PRIu64 ": cannot be read: %s", look->lane, seq, err.text);
            return;
        }
        if (found.count == 0)
            break;
        on_receipted(look, seq, found.first - 1);
        if (found.lost != SPOOL_HELD)
            on_lost(look, &found);
        seq = found.first + found.count;
    }
    on_receipted(look, seq, last_seq);
}

/* ---- the verdict ---- */

/* Several records of one key are answered for with one id. */
static bool first_of_its_key(const struct ledger *ledger, const struct ledger_record *record)
{
    for (const struct ledger_record *other = ledger->records; other < record; other++) {
        if (record->key[0] != '\0' && strcmp(other->key, record->key) == 0)
            return false;
    }
    return true;
}

static void check_calls(const struct ledger *ledger)
{
    for (unsigned call = 1; call <= ledger->calls; call++) {
        size_t refused = 0, seen = 0;
        for (size_t i = 0; i < ledger->count; i++) {
            const struct ledger_record *record = &ledger->records[i];
            if (record->call != call || record->acked || !first_of_its_key(ledger, record))
                continue;
            refused++;
            seen += record->seen > 0 ? 1 : 0;
        }
        if (seen != 0 && seen != refused)
            violation("call %u was refused, and %zu of its %zu records are there", call, seen,
                      refused);
    }
}

void ledger_check(struct ledger *ledger, struct spool *spool)
{
    struct spool_stream streams[STREAMS_MAX];
    size_t count = spool_streams(spool, streams, STREAMS_MAX);
    if (count > STREAMS_MAX)
        violation("%zu streams", count);
    for (size_t i = 0; i < ledger->count; i++)
        ledger->records[i].seen = 0;
    for (size_t i = 0; i < count && i < STREAMS_MAX; i++) {
        struct look look = {ledger, streams[i].incarnation, streams[i].lane};
        look_at(&look, spool, streams[i].last_seq);
    }
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_record *record = &ledger->records[i];
        if (record->acked && record->seen == 0 && first_of_its_key(ledger, record) &&
            claim_of(ledger, record->incarnation, record->lane, record->seq) == NULL)
            violation("lane %d seq %" PRIu64 ": lost", record->lane, record->seq);
    }
    check_calls(ledger);
}

struct refused {
    const struct ledger *ledger;
    unsigned call;
};

static bool on_newest(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                      struct err *err)
{
    const struct refused *refused = ctx;
    (void)incarnation, (void)err;
    for (size_t i = 0; i < refused->ledger->count; i++) {
        const struct ledger_record *record = &refused->ledger->records[i];
        if (record->call == refused->call && !record->acked &&
            bytes_equal(body, bytes_of(record->body, record->length)))
            violation("lane %d seq %" PRIu64 ": refused, and there", record->lane, seq);
    }
    return true;
}

void ledger_check_refused(const struct ledger *ledger, unsigned call, struct spool *spool)
{
    struct refused refused = {ledger, call};
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (!spool_newest(spool, lane, LEDGER_RECORDS, on_newest, &refused, NULL))
            return; /* refused altogether */
    }
}

void ledger_check_keys(struct ledger *ledger, struct spool *spool)
{
    for (size_t i = ledger->keys_from; i < ledger->count; i++) {
        struct ledger_record *record = &ledger->records[i];
        if (!record->acked || record->key[0] == '\0')
            continue;
        struct spool_record again = {.lane = record->lane,
                                     .key = bytes_of(record->key, strlen(record->key)),
                                     .body = bytes_of(record->body, record->length)};
        struct err err = {0};
        if (!spool_push(spool, &again, 1, &err))
            violation("key %s given again: %s", record->key, err.text);
        else if (!again.duplicate || again.incarnation != record->incarnation ||
                 again.seq != record->seq)
            violation("key %s given again: %s", record->key,
                      again.duplicate ? "another id" : "stored twice");
    }
}
