/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sync.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

#define OBSERVE MUSTER__ASSIGN_MODE__MODE_OBSERVE
#define PROPOSE MUSTER__ASSIGN_MODE__MODE_PROPOSE
#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR

/* Content and blob are named by one byte each. */
static struct registry_item item(const char *name, uint64_t version, int content)
{
    struct registry_item made = {.version = version, .length = 1000, .blob_size = 100};
    (void)snprintf(made.name, sizeof made.name, "%s", name);
    memset(made.sha256, content, 32);
    memset(made.blob, content + 100, 32);
    return made;
}

static void want(struct sync_wants *wants, const char *name, uint64_t version, int content,
                 Muster__AssignMode mode)
{
    wants->wants[wants->count++] =
        (struct sync_want){.item = item(name, version, content), .mode = mode};
}

static void hold(struct registry_items *held, const char *name, uint64_t version, int content)
{
    held->items[held->count++] = item(name, version, content);
}

struct bench {
    struct sync_wants wants;
    struct registry_items held;
    enum sync_finding findings[REGISTRY_ITEMS];
    Muster__RepairSource sources[REGISTRY_ITEMS];
    struct registry_failure failure;
    struct sync_blobs lacks;
    int stored; /* the one blob in the store */
};

static struct sync_holding holding(const struct bench *bench)
{
    return (struct sync_holding){.list = &bench->held, .findings = bench->findings};
}

static bool missing(void *ctx, const struct registry_item *item, const struct sync_want *want,
                    struct sync_blobs *lacks)
{
    const struct bench *bench = ctx;
    (void)want;
    if (bench->stored != 0 && item->blob[0] == bench->stored + 100)
        return false;
    sync_blobs_add(lacks, item->blob, item->blob_size);
    return true;
}

static void lacks(struct bench *bench, bool build)
{
    struct sync_holding held = holding(bench);
    sync_lacks(&bench->wants, &held, build, missing, bench, &bench->lacks);
}

static size_t reports(const struct bench *bench, struct sync_report *rows, bool *converged)
{
    struct sync_report_input input = {.wants = &bench->wants,
                                      .held = holding(bench),
                                      .sources = bench->sources,
                                      .failure = &bench->failure,
                                      .lacks = &bench->lacks};
    return sync_reports(&input, rows, converged);
}

static void test_target(void **state)
{
    static struct bench b;
    static struct registry_items target;
    (void)state;
    want(&b.wants, "aid", 2, 1, REPAIR);
    want(&b.wants, "bin", 9, 2, OBSERVE);
    want(&b.wants, "capk", 3, 3, PROPOSE);
    hold(&b.held, "aid", 1, 11);
    hold(&b.held, "bin", 8, 12);
    hold(&b.held, "old", 1, 13);
    sync_target(&b.wants, &b.held, &target);
    /* aid as wanted, bin as held, capk not held and not written, old gone. */
    assert_int_equal(target.count, 2);
    assert_string_equal(target.items[0].name, "aid");
    assert_int_equal(target.items[0].version, 2);
    assert_string_equal(target.items[1].name, "bin");
    assert_int_equal(target.items[1].version, 8);
    assert_false(sync_same(&target, &b.held));
    assert_true(sync_same(&target, &target));
}

static void test_same_content_under_new_version_is_carried(void **state)
{
    static struct bench b;
    static struct registry_items target;
    (void)state;
    want(&b.wants, "aid", 2, 1, REPAIR);
    hold(&b.held, "aid", 1, 1);
    sync_target(&b.wants, &b.held, &target);
    assert_false(sync_same(&target, &b.held));
    struct sync_holding held = holding(&b);
    assert_true(sync_carries(&target.items[0], &held));
    lacks(&b, true);
    assert_int_equal(b.lacks.count, 0);
    b.findings[0] = SYNC_DAMAGED;
    assert_false(sync_carries(&target.items[0], &held));
}

static void test_lacks_damaged_first_and_each_once(void **state)
{
    static struct bench b;
    (void)state;
    want(&b.wants, "a", 2, 1, REPAIR);
    want(&b.wants, "b", 2, 1, REPAIR);
    want(&b.wants, "c", 1, 5, REPAIR);
    want(&b.wants, "d", 1, 6, OBSERVE);
    want(&b.wants, "e", 1, 7, REPAIR);
    hold(&b.held, "c", 1, 5);
    hold(&b.held, "d", 1, 8);
    b.findings[0] = SYNC_MISSING;
    b.findings[1] = SYNC_DAMAGED; /* observed: not ours to repair */
    b.stored = 7;
    lacks(&b, true);
    assert_int_equal(b.lacks.count, 2);
    assert_int_equal(b.lacks.sha256[0][0], 105);
    assert_int_equal(b.lacks.sha256[1][0], 101);
    lacks(&b, false); /* a manifest that did not pass is not fetched for */
    assert_int_equal(b.lacks.count, 1);
}

static void test_bytes_count_shared_once(void **state)
{
    static struct registry_items a, b;
    const struct registry_items *lists[] = {&a, &b};
    (void)state;
    hold(&a, "x", 1, 1);
    hold(&a, "y", 1, 2);
    hold(&b, "x", 1, 1);
    hold(&b, "z", 1, 3);
    assert_int_equal(sync_bytes(lists, 1), 2200);
    assert_int_equal(sync_bytes(lists, 2), 3300);
}

static void test_digest(void **state)
{
    /* sha256("aid" NUL, version 2 in 8 bytes, 32 times 0x01), by hashlib. */
    static const char expected[] =
        "4a4e3d699b0d18c7fe396a25a6ce82830bf8017dec70bb547556c69edc8d9491";
    static struct registry_items list;
    uint8_t digest[32];
    static const uint8_t zeros[32];
    char text[65];
    (void)state;
    sync_digest(&list, digest);
    assert_memory_equal(digest, zeros, 32);
    hold(&list, "aid", 2, 1);
    sync_digest(&list, digest);
    hex_encode(digest, 32, text);
    assert_string_equal(text, expected);
}

struct report_case {
    const char *what;
    Muster__AssignMode mode;
    uint64_t held; /* version, 0: not held; 2 is wanted */
    enum sync_finding finding;
    bool lacking;
    bool failed; /* content refused */
    Muster__ItemState state;
};

static const struct report_case report_cases[] = {
    {"as wanted", REPAIR, 2, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_OK},
    {"repaired", REPAIR, 2, SYNC_REPAIRED, false, false, MUSTER__ITEM_STATE__ITEM_REPAIRED},
    {"damaged", REPAIR, 2, SYNC_DAMAGED, false, false, MUSTER__ITEM_STATE__ITEM_DAMAGED},
    {"damaged, coming", REPAIR, 2, SYNC_DAMAGED, true, false, MUSTER__ITEM_STATE__ITEM_FETCHING},
    {"file gone", REPAIR, 2, SYNC_MISSING, false, false, MUSTER__ITEM_STATE__ITEM_MISSING},
    {"behind", REPAIR, 1, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_DRIFT},
    {"behind, coming", REPAIR, 1, SYNC_SOUND, true, false, MUSTER__ITEM_STATE__ITEM_FETCHING},
    {"not held", REPAIR, 0, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_MISSING},
    {"not held, coming", REPAIR, 0, SYNC_SOUND, true, false, MUSTER__ITEM_STATE__ITEM_FETCHING},
    {"refused", REPAIR, 1, SYNC_SOUND, false, true, MUSTER__ITEM_STATE__ITEM_REFUSED},
    {"observed, behind", OBSERVE, 1, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_DRIFT},
    {"observed, not held", OBSERVE, 0, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_MISSING},
    {"observed, equal", OBSERVE, 2, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_OK},
    {"proposed, behind", PROPOSE, 1, SYNC_SOUND, false, false, MUSTER__ITEM_STATE__ITEM_PROPOSED},
};

static void test_reports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof report_cases / sizeof report_cases[0]; i++) {
        const struct report_case *c = &report_cases[i];
        static struct bench b;
        struct sync_report rows[2];
        bool converged;
        memset(&b, 0, sizeof b);
        want(&b.wants, "bin", 2, 2, c->mode);
        if (c->held > 0)
            hold(&b.held, "bin", c->held, (int)c->held);
        b.findings[0] = c->finding;
        b.sources[0] = MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_STORE;
        b.lacks.contents = c->lacking;
        memset(b.lacks.content[0], 2, 32);
        b.failure.present = b.failure.content = c->failed;
        memcpy(b.failure.item, "bin", 4);
        memcpy(b.failure.reason, "no good", 8);
        assert_int_equal(reports(&b, rows, &converged), 1);
        if (rows[0].state != c->state)
            fail_msg("%s: state %d, expected %d", c->what, rows[0].state, c->state);
        assert_int_equal(converged, c->state == MUSTER__ITEM_STATE__ITEM_OK ||
                                        c->state == MUSTER__ITEM_STATE__ITEM_REPAIRED);
        assert_int_equal(rows[0].wanted_version, 2);
        assert_int_equal(rows[0].held_version, c->held);
        assert_int_equal(rows[0].source, c->finding == SYNC_REPAIRED ? 1 : 0);
        if (c->failed)
            assert_string_equal(rows[0].reason, "no good");
    }
}

/* What this agent cannot take is refused by itself, held or not; of somebody else's key only the
 * key slots know. */
static void test_reports_of_keys(void **state)
{
    static struct bench b;
    struct sync_report rows[4];
    struct registry_items target;
    bool converged;
    (void)state;
    want(&b.wants, "a.key", 2, 2, OBSERVE);
    want(&b.wants, "b.key", 2, 3, OBSERVE);
    want(&b.wants, "c.key", 2, 4, OBSERVE);
    for (size_t i = 0; i < 3; i++)
        b.wants.wants[i].item.kind = (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    for (size_t i = 0; i < 2; i++) {
        b.wants.wants[i].refusal = MUSTER__REFUSAL__REFUSAL_KEY_HEADER;
        memcpy(b.wants.wants[i].why, "no place", 9);
    }
    hold(&b.held, "b.key", 2, 3);
    assert_int_equal(reports(&b, rows, &converged), 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rows[i].state, MUSTER__ITEM_STATE__ITEM_REFUSED);
        assert_int_equal(rows[i].refusal, MUSTER__REFUSAL__REFUSAL_KEY_HEADER);
        assert_string_equal(rows[i].reason, "no place");
    }
    assert_int_equal(rows[2].state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_false(converged);
    sync_target(&b.wants, &b.held, &target);
    assert_int_equal(target.count, 1);
    b.wants.wants[0] = b.wants.wants[2];
    b.wants.count = 1; /* and the observed one alone keeps nothing back */
    b.held.count = 0;
    assert_int_equal(reports(&b, rows, &converged), 1);
    assert_true(converged);
}

static void test_not_wanted_and_no_manifest(void **state)
{
    static struct bench b;
    struct sync_report rows[2];
    bool converged;
    (void)state;
    hold(&b.held, "old", 1, 1);
    assert_int_equal(reports(&b, rows, &converged), 1);
    assert_int_equal(rows[0].state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_int_equal(rows[0].wanted_version, 0);
    assert_false(converged);
    assert_false(sync_may_repair(&b.wants, "old"));
    assert_true(sync_may_repair(NULL, "old"));
    b.held.count = 0;
    assert_int_equal(reports(&b, rows, &converged), 0);
    assert_true(converged); /* nothing is wanted and nothing is held */
}

/* What is built and waits is neither lacking nor failed; what is only observed waits for nothing.
 */
static void test_reports_of_what_waits(void **state)
{
    static struct bench b;
    struct sync_report rows[4];
    bool converged;
    (void)state;
    want(&b.wants, "aid", 2, 1, REPAIR);
    want(&b.wants, "bin", 9, 2, OBSERVE);
    want(&b.wants, "capk", 3, 3, REPAIR);
    hold(&b.held, "aid", 1, 11);
    hold(&b.held, "capk", 3, 3);
    struct sync_report_input input = {.wants = &b.wants,
                                      .held = holding(&b),
                                      .sources = b.sources,
                                      .failure = &b.failure,
                                      .lacks = &b.lacks,
                                      .waits = "no open transaction"};
    assert_int_equal(sync_reports(&input, rows, &converged), 3);
    assert_false(converged);
    assert_int_equal(rows[0].state, MUSTER__ITEM_STATE__ITEM_WAITING);
    assert_string_equal(rows[0].reason, "here and checked; put in force with no open transaction");
    assert_int_equal(rows[1].state, MUSTER__ITEM_STATE__ITEM_MISSING);
    assert_int_equal(rows[2].state, MUSTER__ITEM_STATE__ITEM_OK);
}

/* What is held of it opened goes along to the same sealed thing, and to nothing else. */
static void test_target_sealed(void **state)
{
    (void)state;
    struct bench bench = {0};
    struct registry_items target;
    const uint8_t zeros[32] = {0};
    hold(&bench.held, "a", 1, 1);
    bench.held.items[0].sealed = true;
    memset(bench.held.items[0].opened, 9, 32);
    want(&bench.wants, "a", 2, 1, REPAIR);
    struct sync_holding held = holding(&bench);
    assert_false(sync_carries(&bench.wants.wants[0].item, &held));
    sync_target(&bench.wants, &bench.held, &target);
    assert_memory_equal(target.items[0].opened, zeros, 32);
    bench.wants.wants[0].item.sealed = true;
    assert_true(sync_carries(&bench.wants.wants[0].item, &held));
    sync_target(&bench.wants, &bench.held, &target);
    assert_memory_equal(target.items[0].opened, bench.held.items[0].opened, 32);
    memset(bench.wants.wants[0].item.sha256, 2, 32);
    assert_false(sync_carries(&bench.wants.wants[0].item, &held));
    sync_target(&bench.wants, &bench.held, &target);
    assert_memory_equal(target.items[0].opened, zeros, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_same_content_under_new_version_is_carried),
        cmocka_unit_test(test_lacks_damaged_first_and_each_once),
        cmocka_unit_test(test_target_sealed),
        cmocka_unit_test(test_bytes_count_shared_once),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_reports_of_what_waits),
        cmocka_unit_test(test_reports_of_keys),
        cmocka_unit_test(test_not_wanted_and_no_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
