/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/spool_oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 400, READ_RECORDS = 10000, READ_BYTES = 8 << 20 };

struct bytes oracle_key(const struct oracle_record *record, uint8_t key[ORACLE_KEY_BYTES])
{
    uint64_t mixed = disk_mix(record->content);
    memcpy(key, &record->content, sizeof record->content);
    memcpy(key + sizeof record->content, &mixed, sizeof mixed);
    return bytes_of(key, record->keyed ? ORACLE_KEY_BYTES : 0);
}

/* Begins with its number; every sixteenth is long. */
struct bytes oracle_body(const struct oracle_record *record, uint8_t body[ORACLE_BODY_MAX])
{
    uint64_t mixed = disk_mix(record->content + (UINT64_C(1) << 40));
    size_t length = sizeof record->content + mixed % 300;
    if (record->content % 16 == 0)
        length += mixed % (ORACLE_BODY_MAX - 400);
    memset(body, (int)(mixed >> 56), length);
    /* Every second one, and all that are long, cannot be compressed: quotas are met. */
    for (size_t i = 0; record->content % 2 == 0 && i < length; i++) {
        mixed = mixed * 6364136223846793005u + 1442695040888963407u;
        body[i] = (uint8_t)(mixed >> 56);
    }
    memcpy(body, &record->content, sizeof record->content);
    return bytes_of(body, length);
}

static size_t slot_of(uint64_t incarnation, int lane, uint64_t seq)
{
    return (size_t)(disk_mix(incarnation ^ disk_mix(seq << 2 ^ (uint64_t)lane)) %
                    (4 * ORACLE_RECORDS));
}

static void index_add(struct oracle *oracle, size_t record)
{
    const struct oracle_record *of = &oracle->records[record];
    size_t at = slot_of(of->incarnation, of->lane, of->seq);
    while (oracle->index[at] != 0)
        at = (at + 1) % (4 * ORACLE_RECORDS);
    oracle->index[at] = record + 1;
}

void oracle_add(struct oracle *oracle, const struct oracle_record *record)
{
    if (oracle->count == ORACLE_RECORDS)
        abort();
    oracle->records[oracle->count] = *record;
    index_add(oracle, oracle->count++);
}

const struct oracle_record *oracle_find(const struct oracle *oracle, uint64_t incarnation, int lane,
                                        uint64_t seq)
{
    for (size_t at = slot_of(incarnation, lane, seq); oracle->index[at] != 0;
         at = (at + 1) % (4 * ORACLE_RECORDS)) {
        const struct oracle_record *record = &oracle->records[oracle->index[at] - 1];
        if (record->incarnation == incarnation && record->lane == lane && record->seq == seq)
            return record;
    }
    return NULL;
}

/* ---- what the spool says ---- */

struct survey {
    struct oracle *oracle;
    struct crash *crash;
    const struct spool_stream *stream;
};

static bool matches(const struct oracle_record *record, struct bytes body)
{
    uint8_t expected[ORACLE_BODY_MAX];
    return bytes_equal(oracle_body(record, expected), body);
}

static bool take_held(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct survey *survey = ctx;
    const struct spool_stream *stream = survey->stream;
    const struct oracle_record *record =
        oracle_find(survey->oracle, stream->incarnation, stream->lane, seq);
    (void)err;
    if (record == NULL)
        crash_corrupt(survey->crash, "lane %d seq %" PRIu64 ": a record that nobody submitted",
                      stream->lane, seq);
    else if (!matches(record, body))
        crash_corrupt(survey->crash, "lane %d seq %" PRIu64 ": %zu bytes, not those submitted",
                      stream->lane, seq, body.length);
    else
        survey->oracle->now[record - survey->oracle->records] = ORACLE_HELD;
    return true;
}

static void take_lost(struct survey *survey, const struct spool_found *found)
{
    struct oracle *oracle = survey->oracle;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct oracle_record *record = &oracle->records[i];
        if (record->incarnation == survey->stream->incarnation &&
            record->lane == survey->stream->lane && record->seq >= found->first &&
            record->seq - found->first < found->count)
            oracle->now[i] = (uint8_t)(ORACLE_LOST + found->lost);
    }
}

static bool survey_stream(struct survey *survey, struct spool *spool, struct err *err)
{
    const struct spool_stream *stream = survey->stream;
    uint64_t from = 1;
    for (;;) {
        struct spool_found found = {0};
        if (!spool_read(spool, stream->incarnation, stream->lane, from, READ_RECORDS, READ_BYTES,
                        take_held, survey, &found, err))
            return false;
        if (found.count == 0)
            return true;
        if (found.lost != SPOOL_HELD)
            take_lost(survey, &found);
        from = found.first + found.count;
    }
}

/* Those in grace too: what is still held must be what was submitted. */
static bool take_newest(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                        struct err *err)
{
    struct survey *survey = ctx;
    (void)err;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        const struct oracle_record *record = oracle_find(survey->oracle, incarnation, lane, seq);
        if (record != NULL && matches(record, body))
            return true;
    }
    crash_corrupt(survey->crash, "seq %" PRIu64 ": not a record that was submitted", seq);
    return true;
}

bool oracle_survey(struct oracle *oracle, struct spool *spool, struct crash *crash, struct err *err)
{
    static struct spool_stream streams[STREAMS_MAX];
    struct survey survey = {oracle, crash, NULL};
    size_t count = spool_streams(spool, streams, STREAMS_MAX);
    memset(oracle->now, ORACLE_NONE, oracle->count);
    if (count > STREAMS_MAX)
        return err_set(err, ERR_FULL, "%zu streams", count);
    for (size_t i = 0; i < count; i++) {
        survey.stream = &streams[i];
        if (!survey_stream(&survey, spool, err))
            return false;
    }
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (!spool_newest(spool, lane, ORACLE_RECORDS, take_newest, &survey, err))
            return false;
    }
    return true;
}

/* ---- what it may say ---- */

/* Records that the step had not yet submitted were nowhere. */
static uint8_t state_at(const struct oracle *oracle, unsigned step, size_t record)
{
    const struct oracle_step *at = &oracle->steps[step];
    return record < at->records ? at->state[record] : ORACLE_NONE;
}

static bool has_cause(const struct oracle_step *step, uint8_t before, uint8_t now)
{
    if (now == before)
        return true;
    if (now == ORACLE_NONE)
        return step->may_settle;
    if (now == ORACLE_HELD)
        return step->may_return;
    return (step->may_lose >> (now - ORACLE_LOST) & 1) != 0;
}

void oracle_step_done(struct oracle *oracle, struct crash *crash, unsigned step, int64_t now_ms)
{
    struct oracle_step *to = &oracle->steps[step];
    to->now_ms = now_ms;
    to->records = oracle->count;
    memcpy(to->state, oracle->now, oracle->count);
    for (size_t i = 0; i < oracle->count; i++) {
        uint8_t before = step > 0 ? state_at(oracle, step - 1, i) : to->state[i];
        if (step > 0 && i >= oracle->steps[step - 1].records)
            before = ORACLE_HELD; /* what was submitted in the step */
        if (!has_cause(to, before, to->state[i]))
            crash_lost(crash, "without a cut: lane %d seq %" PRIu64 " went from state %u to %u",
                       oracle->records[i].lane, oracle->records[i].seq, before, to->state[i]);
    }
}

static void complain(const struct oracle *oracle, struct crash *crash, size_t index, uint8_t before,
                     uint8_t after)
{
    const struct oracle_record *record = &oracle->records[index];
    uint8_t now = oracle->now[index];
    static const char what[] = "lane %d seq %" PRIu64 " of step %u: state %u, where it was %u "
                               "before the step and %u after it";
    if (now == ORACLE_HELD)
        crash_doubled(crash, what, record->lane, record->seq, record->step, now, before, after);
    else
        crash_lost(crash, what, record->lane, record->seq, record->step, now, before, after);
}

void oracle_judge(const struct oracle *oracle, struct crash *crash, unsigned step, bool done)
{
    size_t not_before = 0, not_after = 0;
    for (size_t i = 0; i < oracle->count; i++) {
        uint8_t before = state_at(oracle, step - 1, i), after = state_at(oracle, step, i);
        uint8_t now = oracle->now[i];
        if (now != after && (done || now != before))
            complain(oracle, crash, i, before, after);
        if (oracle->steps[step].in_parts && oracle->records[i].step != step)
            continue;
        not_before += now != before;
        not_after += now != after;
    }
    if (!done && not_before > 0 && not_after > 0)
        crash_corrupt(crash, "%zu records as before the step, %zu as after it: half of it was done",
                      not_after, not_before);
}

void oracle_resume(struct oracle *oracle, struct crash *crash, unsigned step, bool done)
{
    size_t kept = 0;
    const struct oracle_step *from = &oracle->steps[step];
    uint32_t note = from->note;
    size_t keys_from = from->keys_from;
    /* What was submitted after the cut, or in the step at hand without success, never was. */
    for (size_t i = 0; i < oracle->count; i++) {
        struct oracle_record *record = &oracle->records[i];
        bool before = record->step < step || (record->step == step && done);
        if (i == from->keys_from)
            keys_from = kept;
        if (!before && (record->step > step || oracle->now[i] == ORACLE_NONE))
            continue;
        oracle->now[kept] = oracle->now[i];
        oracle->records[kept] = *record;
        oracle->records[kept++].step = 0;
    }
    if (from->keys_from >= oracle->count)
        keys_from = kept;
    oracle->count = kept;
    memset(oracle->index, 0, sizeof oracle->index);
    for (size_t i = 0; i < kept; i++)
        index_add(oracle, i);
    memset(&oracle->steps[0], 0, sizeof oracle->steps[0]);
    oracle->steps[0].note = note;
    oracle->steps[0].keys_from = keys_from;
    oracle_step_done(oracle, crash, 0, oracle->steps[step].now_ms);
}
