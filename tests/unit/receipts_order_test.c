/* SPDX-License-Identifier: Apache-2.0 */
/* Genuine receipts in any order, twice, or never; forged ones in between; the spool opened again
 * now and then. What is gone at the end is exactly what genuine receipts cover, nothing else. */
#include "tests/unit/receipts_world.h"
#include "tests/unit/testing.h"

#include <string.h>

enum { INCARNATIONS = 3, LANES = 3, RECORDS = 40, RECEIPTS = 24, STEPS = 60, ROUNDS = 5 };

enum fate { HELD, RECEIPTED, GIVEN_UP };

struct model {
    struct receipts_world world;
    uint64_t seed;
    uint64_t incarnations[INCARNATIONS];
    uint64_t last[INCARNATIONS][LANES];
    enum fate fates[INCARNATIONS][LANES][RECORDS + 1]; /* [seq] */
    struct buf envelopes[RECEIPTS];
    struct plan { /* what the receipt says, stream by stream */
        bool said[INCARNATIONS][LANES];
        uint64_t cumulative[INCARNATIONS][LANES];
        struct spool_range range[INCARNATIONS][LANES], refused[INCARNATIONS][LANES];
    } plans[RECEIPTS];
};

static uint64_t below(struct model *model, uint64_t bound)
{
    model->seed = model->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (model->seed >> 33) % bound;
}

static void push_all(struct model *model)
{
    struct err err = {0};
    for (size_t i = 0; i < INCARNATIONS; i++) {
        struct spool_record records[LANES * RECORDS];
        size_t count = 0;
        if (i > 0)
            temp_spool_reopen(&model->world.temp);
        model->incarnations[i] = spool_incarnation(model->world.temp.spool);
        for (int lane = 1; lane <= LANES; lane++) {
            uint64_t last = 1 + below(model, RECORDS);
            model->last[i][lane - 1] = last;
            for (uint64_t seq = 1; seq <= last; seq++)
                records[count++] =
                    (struct spool_record){.lane = lane, .body = bytes_of("record", 6)};
        }
        assert_true(spool_push(model->world.temp.spool, records, count, &err));
    }
}

/* Something from `low` to `high`, or nothing. */
static struct spool_range some(struct model *model, uint64_t low, uint64_t high)
{
    if (low > high || below(model, 2) == 0)
        return (struct spool_range){0, 0};
    uint64_t first = low + below(model, high - low + 1);
    return (struct spool_range){first, first + below(model, high - first + 1)};
}

static struct buf seal_plan(struct model *model, const struct plan *plan, int64_t issued_ms)
{
    enum { STREAMS = INCARNATIONS * LANES };
    Muster__StreamReceipt streams[STREAMS];
    Muster__StreamReceipt *list[STREAMS];
    Muster__SeqRange ranges[STREAMS], refused[STREAMS];
    Muster__SeqRange *range_list[STREAMS], *refused_list[STREAMS];
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    char device[] = "term-0001";
    for (size_t i = 0; i < STREAMS; i++) {
        size_t incarnation = i / LANES, lane = i % LANES;
        size_t at = receipt.n_streams;
        if (!plan->said[incarnation][lane])
            continue;
        streams[at] = (Muster__StreamReceipt)MUSTER__STREAM_RECEIPT__INIT;
        ranges[at] = refused[at] = (Muster__SeqRange)MUSTER__SEQ_RANGE__INIT;
        ranges[at].first = plan->range[incarnation][lane].first;
        ranges[at].last = plan->range[incarnation][lane].last;
        refused[at].first = plan->refused[incarnation][lane].first;
        refused[at].last = plan->refused[incarnation][lane].last;
        range_list[at] = &ranges[at];
        refused_list[at] = &refused[at];
        streams[at].incarnation = model->incarnations[incarnation];
        streams[at].lane = (Muster__Lane)(lane + 1);
        streams[at].cumulative = plan->cumulative[incarnation][lane];
        streams[at].ranges = &range_list[at];
        streams[at].n_ranges = ranges[at].first > 0;
        streams[at].refused = &refused_list[at];
        streams[at].n_refused = refused[at].first > 0;
        list[at] = &streams[at];
        receipt.n_streams++;
    }
    receipt.device = device;
    receipt.issued_ms = issued_ms;
    receipt.streams = list;
    return receipts_sealed(&receipt, "receipt", "term-0001", model->world.receipt);
}

static void make_receipts(struct model *model)
{
    memset(model->plans, 0, sizeof model->plans);
    for (size_t i = 0; i < RECEIPTS; i++) {
        struct plan *plan = &model->plans[i];
        for (size_t inc = 0; inc < INCARNATIONS; inc++) {
            for (size_t lane = 0; lane < LANES; lane++) {
                uint64_t last = model->last[inc][lane];
                plan->said[inc][lane] = below(model, 3) == 0;
                plan->cumulative[inc][lane] = below(model, 4) == 0 ? below(model, last + 1) : 0;
                plan->range[inc][lane] = some(model, plan->cumulative[inc][lane] + 1, last);
                if (below(model, 6) == 0)
                    plan->refused[inc][lane] = some(model, 1, last);
            }
        }
        model->envelopes[i] = seal_plan(model, plan, (int64_t)i);
    }
}

static void apply(struct model *model, const struct plan *plan)
{
    for (size_t inc = 0; inc < INCARNATIONS; inc++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            enum fate *fates = model->fates[inc][lane];
            const struct spool_range *range = &plan->range[inc][lane];
            const struct spool_range *refused = &plan->refused[inc][lane];
            for (uint64_t seq = 1; plan->said[inc][lane] && seq <= model->last[inc][lane]; seq++) {
                if (seq <= plan->cumulative[inc][lane] ||
                    (range->first <= seq && seq <= range->last))
                    fates[seq] = RECEIPTED;
                if (refused->first <= seq && seq <= refused->last && fates[seq] == HELD)
                    fates[seq] = GIVEN_UP;
            }
        }
    }
}

static bool take(struct model *model, struct bytes envelope)
{
    struct arena arena = {0};
    struct receipts_taken taken;
    struct err err = {0};
    bool ok = receipts_take(model->world.temp.spool, model->world.trust, "term-0001", envelope, 0,
                            &arena, &taken, &err);
    arena_done(&arena);
    return ok;
}

/* A claim to all there is, spoilt in one way or another. */
static void take_forged(struct model *model)
{
    struct plan all = {0};
    for (size_t inc = 0; inc < INCARNATIONS; inc++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            all.said[inc][lane] = true;
            all.cumulative[inc][lane] = model->last[inc][lane];
        }
    }
    struct buf genuine = seal_plan(model, &all, 100);
    size_t signature = genuine.length - 64;
    uint64_t way = below(model, 4);
    if (way == 0)
        genuine.data[below(model, signature - 16)] ^= (uint8_t)(1u << below(model, 8));
    else if (way == 1)
        genuine.data[signature + below(model, 64)] ^= (uint8_t)(1u << below(model, 8));
    else if (way == 2)
        genuine.length -= 1 + below(model, genuine.length - 1);
    else
        genuine.data[0] ^= 0x18; /* another field */
    if (take(model, buf_bytes(&genuine)))
        fail_msg("a receipt spoilt in way %d was taken", (int)way);
    buf_done(&genuine);
}

struct seen {
    enum fate fates[RECORDS + 1];
    uint64_t from;
};

static bool see(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct seen *seen = ctx;
    assert_true(seq >= seen->from && seq <= RECORDS && body.length == 6);
    seen->fates[seq] = HELD;
    (void)err;
    return true;
}

static void check_stream(struct model *model, size_t inc, size_t lane)
{
    struct seen seen = {.from = 1};
    struct err err = {0};
    for (uint64_t seq = 1; seq <= RECORDS; seq++)
        seen.fates[seq] = RECEIPTED;
    while (seen.from <= RECORDS) {
        struct spool_found found = {0};
        if (!spool_read(model->world.temp.spool, model->incarnations[inc], (int)lane + 1, seen.from,
                        RECORDS, 65536, see, &seen, &found, &err))
            fail_msg("%s", err.text);
        if (found.count == 0)
            break;
        assert_true(found.lost == SPOOL_HELD || found.lost == SPOOL_LOST_CONFLICT);
        for (uint64_t i = 0; i < found.count; i++)
            seen.fates[found.first + i] = found.lost == SPOOL_HELD ? HELD : GIVEN_UP;
        seen.from = found.first + found.count;
    }
    for (uint64_t seq = 1; seq <= model->last[inc][lane]; seq++)
        if (seen.fates[seq] != model->fates[inc][lane][seq])
            fail_msg("incarnation %zu, lane %zu, seq %d: is %d, should be %d", inc, lane + 1,
                     (int)seq, (int)seen.fates[seq], (int)model->fates[inc][lane][seq]);
}

static void check(struct model *model)
{
    for (size_t inc = 0; inc < INCARNATIONS; inc++)
        for (size_t lane = 0; lane < LANES; lane++)
            check_stream(model, inc, lane);
}

static void step(struct model *model)
{
    struct err err = {0};
    size_t removed = 0;
    uint64_t what = below(model, 12);
    if (what == 0)
        temp_spool_reopen(&model->world.temp);
    else if (what == 1)
        assert_true(spool_forget(model->world.temp.spool, &removed, &err));
    else if (what <= 5)
        take_forged(model);
    else {
        size_t which = (size_t)below(model, RECEIPTS * 3 / 4); /* some are never heard */
        assert_true(take(model, buf_bytes(&model->envelopes[which])));
        apply(model, &model->plans[which]);
    }
}

static void test_any_order_and_any_repeats_give_what_genuine_receipts_say(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        static struct model model;
        memset(&model, 0, sizeof model);
        model.seed = round;
        receipts_world_open(&model.world);
        push_all(&model);
        make_receipts(&model);
        for (int i = 0; i < STEPS; i++) {
            step(&model);
            if (i % 8 == 0)
                check(&model);
        }
        check(&model);
        for (size_t i = 0; i < RECEIPTS; i++)
            buf_done(&model.envelopes[i]);
        receipts_world_close(&model.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order_and_any_repeats_give_what_genuine_receipts_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
