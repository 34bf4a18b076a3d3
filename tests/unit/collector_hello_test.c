/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"

#include "proto/limits.h"
#include "proto/unpack.h"
#include "storage/fleetdb_records.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static bool one_item(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    if (strcmp(view->name, "bins") == 0)
        *(int *)ctx = view->state;
    return true;
}

static int item_state(struct world *world)
{
    struct fleetdb_device device;
    int item = -1;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_items(world->fleet->db, device.device, one_item, &item, NULL));
    return item;
}

static void a_hello_is_welcomed(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    uint8_t nonce[16] = "0123456789abcde";
    world_send_results(world, 7, 1, 4, 0);
    world_settle(world);
    world_forget_sent(world);

    Muster__OpenStream stream = MUSTER__OPEN_STREAM__INIT, *streams[] = {&stream};
    stream.incarnation = 7;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.last_seq = 9;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    item.name = (char *)"bins";
    item.state = MUSTER__ITEM_STATE__ITEM_DAMAGED;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    report.manifest_epoch = 2;
    report.manifest_version = 3;
    report.n_items = 1;
    report.items = items;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = 8;
    hello.boot_ms = 50;
    hello.state = &report;
    hello.n_streams = 1;
    hello.streams = streams;
    world->manifest = "a sealed manifest";
    world->wants = (struct wants){.root_version = 3, .epoch = 2, .version = 9};
    world->wants.sha256[31] = 7;
    world_send_hello(world, "t1", &hello);
    world_settle(world);

    assert_int_equal(world->hellos, 1);
    assert_int_equal(world->sent, 1);
    assert_string_equal(world->topics[0], "muster/v1/down/t1/welcome");
    const Muster__Welcome *welcome = (const Muster__Welcome *)world_opened(
        world, 0, "welcome", world->fleet->director_key, &muster__welcome__descriptor, &arena);
    assert_memory_equal(welcome->nonce.data, nonce, sizeof nonce);
    assert_int_equal(welcome->wall_ms, world_wall(world));
    assert_string_equal(welcome->refusal, "");
    assert_int_equal(welcome->manifest.len, strlen(world->manifest));
    assert_int_equal(welcome->root_version, 3);
    assert_int_equal(welcome->manifest_epoch, 2);
    assert_int_equal(welcome->manifest_version, 9);
    assert_int_equal(welcome->manifest_sha256.len, 32);
    assert_int_equal(welcome->manifest_sha256.data[31], 7);
    assert_true(welcome->receipt.len > 0);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_DAMAGED);
    arena_done(&arena);
}

static bool its_rows(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    *(struct fleetdb_difference *)ctx = view->difference;
    return true;
}

static struct fleetdb_difference told_rows(struct world *world, uint64_t seq, uint64_t only_found,
                                           uint64_t only_wanted, uint64_t first)
{
    struct fleetdb_difference difference = {0};
    struct fleetdb_device device;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    item.name = (char *)"bins";
    item.difference = MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT;
    item.rows_compared = true;
    item.rows_only_found = only_found;
    item.rows_only_wanted = only_wanted;
    item.first_row = first;
    report.n_items = 1;
    report.items = items;
    world_send_event(world, seq, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
    world_settle(world);
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_items(world->fleet->db, device.device, its_rows, &difference, NULL));
    return difference;
}

/* What no table has is left out and counted; all else that was told stays. */
static void rows_that_no_terminal_counts(void **state)
{
    static const uint64_t made_up[][3] = {
        {LIMIT_COMPARED_ROWS + 1, 0, 2}, {0, UINT64_MAX, 2}, {0, 0, LIMIT_COMPARED_ROWS + 2}};
    struct world *world = *state;
    struct fleetdb_difference told =
        told_rows(world, 5, LIMIT_COMPARED_ROWS, LIMIT_COMPARED_ROWS, LIMIT_COMPARED_ROWS + 1);
    assert_true(told.rows_compared);
    assert_int_equal(told.rows_only_found, LIMIT_COMPARED_ROWS);
    for (size_t i = 0; i < 3; i++) {
        told = told_rows(world, 6 + i, made_up[i][0], made_up[i][1], made_up[i][2]);
        assert_int_equal(told.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_CONTENT);
        assert_false(told.rows_compared);
        assert_int_equal(told.rows_only_found + told.rows_only_wanted + told.first_row, 0);
        assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_TOO_MANY), i + 1);
    }
}

static bool count_item(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)view, (void)err;
    (*(size_t *)ctx)++;
    return true;
}

static size_t items_of(struct world *world)
{
    struct fleetdb_device device;
    size_t count = 0;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_items(world->fleet->db, device.device, count_item, &count, NULL));
    return count;
}

/* One name for each event, for ever. */
static void more_documents_than_a_manifest_has(void **state)
{
    struct world *world = *state;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT;
    char name[32];
    report.manifest_version = 1;
    item.name = name;
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
    for (uint64_t i = 0; i < LIMIT_MANIFEST_ITEMS + 3; i++) {
        (void)snprintf(name, sizeof name, "doc-%u", (unsigned)i);
        world_send_event(world, 2 + i, MUSTER__EVENT_KIND__EVENT_DRIFT, &item.base, WORLD_WALL_MS);
        world_settle(world);
        world_forget_sent(world);
    }
    assert_int_equal(items_of(world), LIMIT_MANIFEST_ITEMS);
    assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_TOO_MANY), 3);
    (void)snprintf(name, sizeof name, "doc-0"); /* which is one of them */
    item.state = MUSTER__ITEM_STATE__ITEM_DAMAGED;
    world_send_event(world, LIMIT_MANIFEST_ITEMS + 5, MUSTER__EVENT_KIND__EVENT_DRIFT, &item.base,
                     WORLD_WALL_MS);
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_TOO_MANY), 3);
}

/* Whatever is owed: what does not fit is said when it comes again. */
static void a_welcome_keeps_its_limits(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    enum { STREAMS = 12 };
    static char manifest[LIMIT_MANIFEST_BYTES - 100];
    static Muster__OpenStream open[STREAMS], *streams[STREAMS];
    static struct fleetdb_stream stream;
    uint8_t nonce[16] = "0123456789abcde";
    const uint64_t far = (UINT64_C(1) << 53) - 3 * FLEETDB_RANGES_MAX;
    struct fleetdb_device device;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (uint64_t s = 0; s < STREAMS; s++) {
        stream = (struct fleetdb_stream){
            .incarnation = UINT64_MAX - s, .lane = 1, .range_count = FLEETDB_RANGES_MAX};
        for (uint64_t i = 0; i < FLEETDB_RANGES_MAX; i++)
            stream.ranges[i] = (struct fleetdb_range){far + 3 * i, far + 3 * i + 1};
        assert_true(fleetdb_stream_write(world->fleet->db, device.device, &stream, 1000, NULL));
        muster__open_stream__init(&open[s]);
        open[s].incarnation = stream.incarnation;
        open[s].lane = MUSTER__LANE__LANE_TXN;
        streams[s] = &open[s];
    }
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.n_streams = STREAMS;
    hello.streams = streams;
    memset(manifest, 'x', sizeof manifest - 1);
    world->manifest = manifest;
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    assert_in_range(world->payloads[0].length, 1, LIMIT_WELCOME_BYTES);
    const Muster__Welcome *welcome = (const Muster__Welcome *)world_opened(
        world, 0, "welcome", world->fleet->director_key, &muster__welcome__descriptor, &arena);
    assert_int_equal(welcome->manifest.len, sizeof manifest - 1);
    assert_in_range(welcome->receipt.len, LIMIT_RECEIPT_BYTES * 2 / 3, LIMIT_RECEIPT_BYTES);
    arena_done(&arena);
}

static void a_hello_without_sense_gets_no_answer(void **state)
{
    struct world *world = *state;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){5, (uint8_t *)"short"};
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_HELLO, REASON_MALFORMED), 1);
    assert_int_equal(world->sent, 0);
}

static void late_events_do_not_undo_newer_ones(void **state)
{
    struct world *world = *state;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    item.name = (char *)"bins";
    report.n_items = 1;
    report.items = items;
    item.state = MUSTER__ITEM_STATE__ITEM_OK;
    world_send_event(world, 5, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
    item.state = MUSTER__ITEM_STATE__ITEM_MISSING;
    world_send_event(world, 4, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
    world_settle(world);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_OK);
    item.state = MUSTER__ITEM_STATE__ITEM_REPAIRED;
    world_send_event(world, 6, MUSTER__EVENT_KIND__EVENT_REPAIR, &item.base, WORLD_WALL_MS);
    world_settle(world);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    /* A detail that makes no sense: the event itself is kept, and receipted. */
    world_send_event(world, 7, MUSTER__EVENT_KIND__EVENT_STATE, NULL, WORLD_WALL_MS);
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_MALFORMED), 1);
    assert_int_equal(world_stream(world, 7, 2).ranges[0].last, 7);
    assert_int_equal(world->metrics.values[METRIC_MASKED], 4);
}

/* ---- one that fills the memory it is read into, with items that say nothing ---- */

enum { PADDED_MAX = 8192 };
struct padded {
    Muster__StateReport report;
    Muster__ItemReport items[PADDED_MAX], *list[PADDED_MAX];
    char reason[512], names[LIMIT_MANIFEST_ITEMS][8];
};

/* As many texts as are kept, then `more` items. */
static void padded_make(struct padded *padded, size_t more)
{
    muster__state_report__init(&padded->report);
    memset(padded->reason, 'x', sizeof padded->reason - 1);
    for (size_t i = 0; i < PADDED_MAX; i++) {
        muster__item_report__init(&padded->items[i]);
        padded->list[i] = &padded->items[i];
    }
    for (size_t i = 0; i < 50; i++) {
        (void)snprintf(padded->names[i], sizeof padded->names[i], "a%zu", i);
        padded->items[i].name = padded->names[i];
        padded->items[i].reason = padded->reason;
    }
    padded->report.items = padded->list;
    padded->report.n_items = 50 + more;
}

/* Whether what is left of the arena is less than one of its texts. */
static bool fills(const ProtobufCMessage *message, struct unpack_limits limits, size_t arena_bytes)
{
    struct arena arena = {.limit_bytes = arena_bytes};
    struct buf packed = {0};
    ProtobufCMessage *read = NULL;
    struct err why = {0};
    assert_true(pack(message, &packed, NULL));
    bool full = unpack(message->descriptor, buf_bytes(&packed), &limits, &arena, &read, &why) &&
                arena_alloc(&arena, 496) == NULL;
    arena_done(&arena);
    buf_done(&packed);
    return full;
}

static void a_detail_that_fills_its_memory_is_stored(void **state)
{
    static struct padded padded;
    struct world *world = *state;
    size_t more = 0;
    do
        padded_make(&padded, ++more);
    while (more + 50 < 4000 &&
           !fills(&padded.report.base, (struct unpack_limits){.max_bytes = 32 * 1024}, 512 * 1024));
    assert_in_range(more, 1, 3900);
    world_send_results(world, 8, 1, 5, 0);
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_STATE, &padded.report.base, 0);
    world_send_results(world, 8, 6, 10, 0);
    world_settle(world);
    assert_int_equal(world->metrics.values[METRIC_COMMIT_FAILURES], 0);
    assert_int_equal(world_results(world), 10);
    assert_int_equal(temp_fleet_number(world->fleet, "SELECT count(*) FROM event"), 1);
    assert_int_equal(items_of(world), 50);
}

static void a_hello_that_fills_its_memory_is_answered(void **state)
{
    static struct padded padded;
    struct world *world = *state;
    uint8_t nonce[16] = {1};
    size_t more = 3000;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.starts = 1;
    hello.agent_version = padded.reason;
    hello.state = &padded.report;
    do
        padded_make(&padded, ++more);
    while (more < 8000 &&
           !fills(&hello.base, (struct unpack_limits){LIMIT_HELLO_BYTES, 8192}, 1024 * 1024));
    assert_in_range(more, 3001, 7999);
    world_send_results(world, 8, 1, 5, 0);
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    assert_int_equal(world->metrics.values[METRIC_COMMIT_FAILURES], 0);
    assert_int_equal(world->hellos, 1);
    assert_int_equal(items_of(world), 50);
}

static void send_state_hello(struct world *world, uint64_t incarnation, uint64_t starts,
                             uint64_t boot_ms, Muster__ItemState state)
{
    uint8_t nonce[16] = "0123456789abcde";
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    item.name = (char *)"bins";
    item.state = state;
    report.n_items = 1;
    report.items = items;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = incarnation;
    hello.starts = starts;
    hello.boot_ms = boot_ms;
    hello.state = &report;
    world_send_hello(world, "t1", &hello);
    world_settle(world);
}

/* It is answered, for the nonce may be the device's; but what it says was true once. */
static void an_old_hello_does_not_undo_a_newer_one(void **state)
{
    struct world *world = *state;
    world_send_results(world, 7, 1, 4, 0);
    world_settle(world);
    world->now_ms += 1000;
    send_state_hello(world, 7, 1, 50, MUSTER__ITEM_STATE__ITEM_DAMAGED);
    send_state_hello(world, 7, 1, 60, MUSTER__ITEM_STATE__ITEM_OK);
    send_state_hello(world, 7, 1, 50, MUSTER__ITEM_STATE__ITEM_DAMAGED);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_OK);
    send_state_hello(world, 8, 2, 5, MUSTER__ITEM_STATE__ITEM_REPAIRED);
    send_state_hello(world, 7, 1, 60, MUSTER__ITEM_STATE__ITEM_OK);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    assert_int_equal(world->hellos, 5);
}

static bool text_of(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    (void)err;
    (void)snprintf(ctx, 64, "%s", view->text);
    return true;
}

/* It is kept with the device: a collector that starts later keeps to it too. */
static void a_device_that_pays_gets_receipts_at_its_pace(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    uint8_t nonce[16] = {7};
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = 7;
    hello.starts = 1;
    hello.receipt_pace_s = 3600;
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    collector_close(world->collector);
    world_start(world);
    world_forget_sent(world);
    for (uint64_t seq = 1; seq <= 30; seq++) {
        world_send_results(world, 7, seq, seq, 0);
        assert_in_range(collector_turn(world->collector), 3600000 - 30000, 3600000);
        world->now_ms += 1000;
    }
    assert_int_equal(world->sent, 0);
    world->now_ms += 3600000 - 30000;
    assert_int_equal(collector_turn(world->collector), -1);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world_receipt(world, 0, &arena)->streams[0]->cumulative, 30);
    hello.boot_ms = 1;
    hello.receipt_pace_s = 0;
    world_send_hello(world, "t1", &hello);
    world_send_results(world, 7, 31, 31, 0);
    world_settle(world);
    assert_true(world->sent > 1);
    world_forget_sent(world);
    world_send_results(world, 7, 32, 32, 0);
    world_settle(world);
    assert_int_equal(world->sent, 1);
    arena_done(&arena);
}

static void card_numbers_do_not_reach_the_database(void **state)
{
    struct world *world = *state;
    struct fleetdb_device device;
    char text[64] = "";
    world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_REFUSED, NULL, WORLD_WALL_MS);
    world_settle(world);
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_events(world->fleet->db, device.device, 1, text_of, text, NULL));
    assert_string_equal(text, "card **************** refused");
}

static bool refusal_of_event(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    (void)err;
    *(int *)ctx = view->refusal;
    return true;
}

static bool refusal_of_item(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    if (strcmp(view->name, "bins") == 0)
        *(int *)ctx = view->refusal;
    return true;
}

/* What a terminal refused is kept with its reason, and counted once however often it comes. */
static void what_a_terminal_refused_is_kept_and_counted(void **state)
{
    struct world *world = *state;
    struct fleetdb_device device;
    struct fleetdb_report told;
    const int reason = MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR;
    int found = 0;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    item.name = (char *)"bins";
    item.refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_HASH;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    report.manifest_epoch = 4;
    report.n_items = 1;
    report.items = items;
    world->event_refusal = reason;
    for (int i = 0; i < 2; i++) {
        world_send_event(world, 1, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
        world_settle(world);
    }
    assert_int_equal(world->metrics.terminal_refusals[reason], 1);
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(
        fleetdb_view_events(world->fleet->db, device.device, 1, refusal_of_event, &found, NULL));
    assert_int_equal(found, reason);
    assert_true(fleetdb_view_items(world->fleet->db, device.device, refusal_of_item, &found, NULL));
    assert_int_equal(found, MUSTER__REFUSAL__REFUSAL_CONTENT_HASH);
    assert_true(fleetdb_report_read(world->fleet->db, device.device, &told, NULL));
    assert_int_equal(told.manifest_epoch, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_hello_is_welcomed),
        TEST(rows_that_no_terminal_counts),
        TEST(more_documents_than_a_manifest_has),
        TEST(a_detail_that_fills_its_memory_is_stored),
        TEST(a_hello_that_fills_its_memory_is_answered),
        TEST(a_welcome_keeps_its_limits),
        TEST(a_hello_without_sense_gets_no_answer),
        TEST(an_old_hello_does_not_undo_a_newer_one),
        TEST(late_events_do_not_undo_newer_ones),
        TEST(a_device_that_pays_gets_receipts_at_its_pace),
        TEST(card_numbers_do_not_reach_the_database),
        TEST(what_a_terminal_refused_is_kept_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
