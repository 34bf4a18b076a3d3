/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gate.h"

#include "tests/unit/testing.h"

enum { ALONE = 600, PATIENCE = 43200, NEVER = -1 };
static const struct gate_policy policy = {.alone_ms = ALONE, .patience_ms = PATIENCE};

struct moment {
    const char *name;
    struct gate_look look;
    bool open;
    bool ask;
    const char *waits_for;
    int64_t opens_after_ms; /* NEVER: it does not by itself */
};

#define KNOWN(...)                                                                                 \
    {                                                                                              \
        .known = true, __VA_ARGS__                                                                 \
    }

static const struct moment moments[] = {
    {"an idle application", {.kind = GATE_SETTLED, .lease = KNOWN(0)}, true, false, "", NEVER},
    {"a sale stops a table",
     {.kind = GATE_QUIET, .lease = KNOWN(.transaction = true)},
     false,
     false,
     "the open transaction",
     NEVER},
    {"a reversal does not",
     {.kind = GATE_QUIET, .lease = KNOWN(.reversal = true, .batch = true)},
     true,
     false,
     "",
     NEVER},
    {"but it stops a key",
     {.kind = GATE_SETTLED, .lease = KNOWN(.reversal = true)},
     false,
     false,
     "the open reversal",
     NEVER},
    {"and so does the batch",
     {.kind = GATE_SETTLED, .lease = KNOWN(.batch = true)},
     false,
     false,
     "the batch to be settled",
     NEVER},
    {"a batch for half a day asks a person",
     {.kind = GATE_SETTLED, .lease = KNOWN(.batch = true), .waited_ms = PATIENCE},
     false,
     true,
     "the batch to be settled",
     NEVER},
    {"who decides",
     {.kind = GATE_SETTLED,
      .lease = KNOWN(.batch = true, .reversal = true),
      .waited_ms = PATIENCE,
      .decided = true},
     true,
     false,
     "",
     NEVER},
    {"no application yet",
     {.kind = GATE_QUIET, .waited_ms = ALONE - 1},
     false,
     false,
     "a payment application, which has not been heard of yet",
     ALONE},
    {"nor ever", {.kind = GATE_SETTLED, .waited_ms = ALONE}, true, false, "", NEVER},
    {"no application, but a hook that says open",
     {.kind = GATE_SETTLED, .hook = GATE_HOOK_OPEN},
     true,
     false,
     "",
     NEVER},
    {"a hook that says busy, for ever",
     {.kind = GATE_QUIET, .hook = GATE_HOOK_BUSY, .waited_ms = PATIENCE + ALONE},
     false,
     true,
     "the gate hook, which says busy",
     NEVER},
    {"a hook that has not said anything yet",
     {.kind = GATE_QUIET, .hook = GATE_HOOK_BUSY, .hook_says = ""},
     false,
     false,
     "the gate hook, which says busy",
     NEVER},
    {"a hook that says with what",
     {.kind = GATE_QUIET, .hook = GATE_HOOK_BUSY, .hook_says = "a refund"},
     false,
     false,
     "a refund",
     NEVER},
    {"both must be open",
     {.kind = GATE_QUIET, .lease = KNOWN(0), .hook = GATE_HOOK_BUSY},
     false,
     false,
     "the gate hook, which says busy",
     NEVER},
    {"which terminal it is, where there are several",
     {.kind = GATE_SETTLED, .lease = KNOWN(.batch = true, .several = true, .batch_of = 2)},
     false,
     false,
     "the batch to be settled of terminal 2",
     NEVER},
    {"a sale that nobody has spoken of",
     {.kind = GATE_QUIET, .lease = KNOWN(.transaction = true, .assumed = true, .left_ms = 9)},
     false,
     false,
     "a sale that may be open: the agent has just started",
     NEVER},
    {"a batch that nobody has spoken of is none that is settled",
     {.kind = GATE_SETTLED, .lease = KNOWN(.unsaid = true)},
     false,
     false,
     "the application's word on reversal and batch",
     NEVER},
    {"nor will it be",
     {.kind = GATE_SETTLED, .lease = KNOWN(.unsaid = true), .waited_ms = PATIENCE},
     false,
     true,
     "the application's word on reversal and batch",
     NEVER},
    {"which is nothing to a table",
     {.kind = GATE_QUIET, .lease = KNOWN(.unsaid = true, .learning = true)},
     true,
     false,
     "",
     NEVER},
    {"who has just begun to speak may have other terminals",
     {.kind = GATE_SETTLED, .lease = KNOWN(.learning = true, .learned_ms = ALONE - 1)},
     false,
     false,
     "the application's other terminals, if it has any",
     NEVER},
    {"or none",
     {.kind = GATE_SETTLED, .lease = KNOWN(.learning = true, .learned_ms = ALONE)},
     true,
     false,
     "",
     NEVER},
    {"and are",
     {.kind = GATE_QUIET, .lease = KNOWN(0), .hook = GATE_HOOK_OPEN},
     true,
     false,
     "",
     NEVER},
};

static void test_moments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        const struct moment *moment = &moments[i];
        struct gate_answer answer = gate_look(&policy, &moment->look);
        print_message("%s\n", moment->name);
        assert_int_equal(answer.open, moment->open);
        assert_int_equal(answer.ask, moment->ask);
        assert_string_equal(answer.waits_for, moment->waits_for);
        int64_t opens_ms = moment->opens_after_ms == NEVER ? INT64_MAX : moment->opens_after_ms;
        assert_true(answer.opens_after_ms == opens_ms);
        /* What waits either opens by itself or asks. */
        bool asks = answer.asks_after_ms == PATIENCE;
        assert_int_equal(asks, !answer.open && opens_ms == INT64_MAX);
    }
}

/* The next look need not be later than that. */
static void test_when_it_ends_by_itself(void **state)
{
    (void)state;
    struct gate_look look = {.kind = GATE_SETTLED,
                             .lease = KNOWN(.transaction = true, .left_ms = 80, .batch = true)};
    assert_true(gate_look(&policy, &look).ends_ms == 80);
    look.lease.transaction = false;
    look.lease.left_ms = 0;
    assert_true(gate_look(&policy, &look).ends_ms == INT64_MAX);
    look.lease = (struct gate_lease)KNOWN(.learning = true, .learned_ms = 200);
    assert_true(gate_look(&policy, &look).ends_ms == ALONE - 200);
}

static void test_kinds(void **state)
{
    (void)state;
    static const Muster__DocumentKind quiet[] = {
        MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE, MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE,
        MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST,
        MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS};
    static const Muster__DocumentKind settled[] = {
        MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS, MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK,
        MUSTER__DOCUMENT_KIND__DOCUMENT_CONNECTION, MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION,
        MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE};
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++)
        assert_int_equal(gate_of(quiet[i]), GATE_QUIET);
    for (size_t i = 0; i < sizeof settled / sizeof settled[0]; i++)
        assert_int_equal(gate_of(settled[i]), GATE_SETTLED);
    assert_int_equal(gate_of((Muster__DocumentKind)999), GATE_SETTLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_when_it_ends_by_itself),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
