/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/losses.h"

#include "fleet/receipts.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

enum { SEQS = 200, HELD = -1 };

/* Both sides as one array: 0 nothing, HELD, or a reason. */
struct model {
    struct fleetdb_stream stream;
    struct fleetdb_losses *losses, *other;
    int64_t map[SEQS + 2];
};

static void start(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->losses = calloc(1, sizeof *model->losses);
    model->other = calloc(1, sizeof *model->other);
    assert_non_null(model->losses);
    assert_non_null(model->other);
}

static void end(struct model *model)
{
    free(model->losses);
    free(model->other);
}

static void declare(struct model *model, uint64_t first, uint64_t last, int64_t reason)
{
    const struct fleetdb_lost lost = {first, last, reason};
    uint64_t fresh = 0, expected = 0;
    assert_true(losses_add(model->losses, &model->stream, &lost, model->other, &fresh, NULL));
    assert_true(receipts_add(&model->stream, first, last, NULL));
    struct fleetdb_losses *before = model->losses;
    model->losses = model->other;
    model->other = before;
    for (uint64_t seq = first; seq <= last; seq++) {
        int64_t *at = &model->map[seq];
        expected += *at == 0;
        if (*at == 0 || *at > reason)
            *at = reason;
    }
    assert_int_equal(fresh, expected);
}

static void hold(struct model *model, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        if (losses_has(model->losses, seq))
            losses_take_out(model->losses, seq);
        model->map[seq] = HELD;
    }
    assert_true(receipts_add(&model->stream, first, last, NULL));
}

/* In their shortest form, and nothing else. */
static void check(const struct model *model)
{
    size_t at = 0;
    for (uint64_t seq = 1; seq <= SEQS; seq++) {
        assert_int_equal(receipts_has(&model->stream, seq), model->map[seq] != 0);
        assert_int_equal(losses_has(model->losses, seq), model->map[seq] > 0);
        if (model->map[seq] <= 0 || model->map[seq] == model->map[seq - 1])
            continue;
        uint64_t last = seq;
        while (model->map[last + 1] == model->map[seq])
            last++;
        assert_true(at < model->losses->count);
        assert_int_equal(model->losses->ranges[at].first, seq);
        assert_int_equal(model->losses->ranges[at].last, last);
        assert_int_equal(model->losses->ranges[at].reason, model->map[seq]);
        at++;
    }
    assert_int_equal(model->losses->count, at);
}

static void any_order_gives_the_map(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct dice dice = {seed};
        struct model model;
        start(&model);
        for (int step = 0; step < 120; step++) {
            uint64_t first = 1 + dice_below(&dice, SEQS);
            uint64_t last = first + dice_below(&dice, 1 + seed % 40);
            last = last > SEQS ? SEQS : last;
            if (dice_below(&dice, 3) == 0)
                hold(&model, first, last);
            else
                declare(&model, first, last, 1 + (int64_t)dice_below(&dice, 7));
            check(&model);
        }
        end(&model);
    }
}

/* The same pieces in two orders end in the same bytes. */
static void the_order_leaves_no_trace(void **state)
{
    (void)state;
    enum { PIECES = 40 };
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct dice dice = {seed};
        struct model there, back;
        struct {
            uint64_t first, last;
            int64_t reason;
        } pieces[PIECES];
        start(&there);
        start(&back);
        for (size_t i = 0; i < PIECES; i++) {
            pieces[i].first = 1 + dice_below(&dice, SEQS);
            pieces[i].last = pieces[i].first + dice_below(&dice, SEQS - pieces[i].first + 1);
            pieces[i].reason = (int64_t)dice_below(&dice, 8);
        }
        for (size_t i = 0; i < 2 * PIECES; i++) {
            size_t a = i % PIECES, b = PIECES - 1 - a;
            if (pieces[a].reason == 0)
                hold(&there, pieces[a].first, pieces[a].last);
            else
                declare(&there, pieces[a].first, pieces[a].last, pieces[a].reason);
            if (pieces[b].reason == 0)
                hold(&back, pieces[b].first, pieces[b].last);
            else
                declare(&back, pieces[b].first, pieces[b].last, pieces[b].reason);
        }
        /* What was held once is not lost, even where the declaration came first. */
        check(&there);
        assert_true(losses_equal(there.losses, back.losses));
        end(&there);
        end(&back);
    }
}

static void they_are_bounded(void **state)
{
    (void)state;
    struct fleetdb_stream stream = {0};
    struct fleetdb_losses *losses = calloc(1, sizeof *losses), *more = calloc(1, sizeof *more);
    struct err err = {0};
    uint64_t fresh = 0;
    assert_non_null(losses);
    assert_non_null(more);
    assert_true(receipts_add(&stream, 1, INT64_MAX - 1, NULL));
    for (size_t i = 0; i < FLEETDB_LOST_MAX; i++)
        losses->ranges[i] = (struct fleetdb_lost){10 * i + 1, 10 * i + 5, 1};
    losses->count = FLEETDB_LOST_MAX;
    /* A repeat, and what joins, still fit; what is all held is no loss. */
    struct fleetdb_lost lost = {1, 5, 1};
    assert_true(losses_add(losses, &stream, &lost, more, &fresh, NULL));
    assert_true(losses_equal(losses, more));
    assert_int_equal(fresh, 0);
    lost = (struct fleetdb_lost){1, INT64_MAX - 1, 2};
    assert_true(losses_add(losses, &stream, &lost, more, &fresh, NULL));
    assert_true(losses_equal(losses, more));
    lost = (struct fleetdb_lost){INT64_MAX, INT64_MAX, 1};
    assert_false(losses_add(losses, &stream, &lost, more, &fresh, &err));
    assert_int_equal(err.code, ERR_FULL);
    /* A record in the midst of each still has its room. */
    for (size_t i = 0; i < FLEETDB_LOST_MAX; i++)
        losses_take_out(losses, 10 * i + 3);
    assert_int_equal(losses->count, 2 * FLEETDB_LOST_MAX);
    lost = (struct fleetdb_lost){1, 2, 1};
    assert_true(losses_add(losses, &stream, &lost, more, &fresh, NULL));
    free(losses);
    free(more);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const struct fleetdb_lost wrong[] = {{0, 3, 1}, {5, 4, 1}, {1, UINT64_MAX, 1}};
    struct fleetdb_stream stream = {0};
    struct fleetdb_losses *losses = calloc(2, sizeof *losses);
    uint64_t fresh = 0;
    assert_non_null(losses);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(losses_add(&losses[0], &stream, &wrong[i], &losses[1], &fresh, NULL));
    free(losses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_map),
        cmocka_unit_test(the_order_leaves_no_trace),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
