/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/publisher.h"

#include "proto/topics.h"
#include "storage/fleetdb_roots.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 3, SENT_MAX = 4096 };

/* What a broker would have been given, and how much more it takes at once. */
struct wire {
    struct temp_fleet *fleet;
    struct director director;
    struct publisher *publisher;
    char topics[SENT_MAX][TOPIC_CHARS];
    uint64_t tokens[SENT_MAX];
    size_t sent, acked, emptied;
    size_t most_under_way;
    enum err_code refuse; /* this is the answer, unless 0 */
};

static bool take(void *ctx, uint64_t token, const char *topic, struct bytes payload,
                 struct err *err)
{
    struct wire *wire = ctx;
    if (wire->refuse != ERR_NONE)
        return err_set(err, wire->refuse, "not now");
    wire->emptied += payload.length == 0;
    assert_true((token & PUBLISHER_TOKEN) != 0);
    assert_true(wire->sent < SENT_MAX);
    (void)snprintf(wire->topics[wire->sent], TOPIC_CHARS, "%s", topic);
    wire->tokens[wire->sent++] = token;
    if (wire->sent - wire->acked > wire->most_under_way)
        wire->most_under_way = wire->sent - wire->acked;
    return true;
}

static void add_root(struct wire *wire, uint64_t version)
{
    bool added = false;
    const struct fleetdb_root root = {
        .version = version, .epoch = 1, .envelope = bytes_of("root", 4)};
    assert_true(fleetdb_root_add(wire->fleet->db, &root, &added, NULL));
    assert_true(added);
}

static int open_wire(void **state)
{
    struct wire *wire = calloc(1, sizeof *wire);
    void *fleet;
    assert_non_null(wire);
    temp_fleet_open(&fleet);
    wire->fleet = fleet;
    add_root(wire, 1);
    wire->director = (struct director){
        .db = wire->fleet->db, .key = wire->fleet->director_key, .trust = wire->fleet->trust};
    const struct publisher_settings settings = {
        .director = &wire->director,
        .sink = {take, wire},
        .withdraw_after_ms = 1000,
        .window = WINDOW,
    };
    assert_true(publisher_open(&settings, &wire->publisher, NULL));
    *state = wire;
    return 0;
}

static int close_wire(void **state)
{
    struct wire *wire = *state;
    void *fleet = wire->fleet;
    publisher_close(wire->publisher);
    temp_fleet_close(&fleet);
    free(wire);
    return 0;
}

/* Acknowledges all that is under way, and what that lets out, until it is quiet. */
static void drain(struct wire *wire)
{
    while (wire->acked < wire->sent)
        publisher_puback(wire->publisher, wire->tokens[wire->acked++], true);
}

static size_t count_topics(const struct wire *wire, size_t from, const char *part)
{
    size_t count = 0;
    for (size_t i = from; i < wire->sent; i++)
        count += strstr(wire->topics[i], part) != NULL;
    return count;
}

static void assign(struct wire *wire, const char *document, size_t devices)
{
    struct err err = {0};
    struct director_outcome *outcomes = calloc(devices, sizeof *outcomes);
    char(*names)[32] = calloc(devices, sizeof *names);
    const char **ids = calloc(devices, sizeof *ids);
    for (size_t i = 0; i < devices; i++) {
        (void)snprintf(names[i], sizeof names[i], "term-%zu", i);
        ids[i] = names[i];
    }
    const struct director_order order = {.document = document, .mode = 2};
    if (!director_assign(&wire->director, &order, ids, devices, 4000, outcomes, &err))
        fail_msg("%s", err.text);
    publisher_changed(wire->publisher, outcomes, devices);
    free(ids);
    free(names);
    free(outcomes);
}

/* Of a content that does not compress to what a manifest carries itself. */
static const char *long_text(const char *label)
{
    static char text[2048];
    unsigned seed = 2463534242U;
    for (const char *c = label; *c != '\0'; c++)
        seed = seed * 31 + (unsigned char)*c;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        text[i] = (char)('!' + seed % 90);
    }
    return text;
}

static void publish(struct wire *wire, const char *name, const char *label)
{
    temp_fleet_publish(wire->fleet, name, 1, long_text(label));
}

static void enrol(struct wire *wire, size_t devices)
{
    char id[32];
    for (size_t i = 0; i < devices; i++) {
        (void)snprintf(id, sizeof id, "term-%zu", i);
        temp_fleet_device(wire->fleet, id);
    }
}

static void all_is_said_at_each_connect_within_the_window(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 10);
    publish(wire, "bins", "one");
    publish(wire, "unassigned", "two");
    assign(wire, "bins", 10);
    assert_int_equal(wire->sent, 0); /* not connected: nothing is queued either */
    for (int connects = 1; connects <= 2; connects++) {
        publisher_connected(wire->publisher);
        assert_int_equal(wire->sent - wire->acked, WINDOW);
        drain(wire);
        assert_int_equal(wire->sent, (size_t)connects * 12);
        assert_int_equal(count_topics(wire, 0, "/trust/1"), connects);
        assert_int_equal(count_topics(wire, 0, "/blob/"), connects);
        assert_int_equal(count_topics(wire, 0, "/manifest"), connects * 10);
        publisher_disconnected(wire->publisher);
    }
    assert_int_equal(wire->most_under_way, WINDOW);
    assert_int_equal(publisher_stats(wire->publisher).published, 24);
}

static void a_lost_session_loses_nothing(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 5);
    publish(wire, "bins", "one");
    assign(wire, "bins", 5);
    publisher_connected(wire->publisher);
    publisher_disconnected(wire->publisher); /* its pubacks never come */
    wire->acked = wire->sent;
    size_t before = wire->sent;
    publisher_connected(wire->publisher);
    drain(wire);
    assert_int_equal(wire->sent - before, 7);
}

static void a_change_sends_its_blob_and_then_the_manifests(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 3);
    publish(wire, "bins", "one");
    publish(wire, "aids", "two");
    assign(wire, "bins", 3);
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    assign(wire, "aids", 2);
    drain(wire);
    assert_int_equal(wire->sent - before, 3);
    assert_non_null(strstr(wire->topics[before], "/blob/"));
    assert_string_equal(wire->topics[before + 1], "muster/v1/down/term-0/manifest");
    assert_string_equal(wire->topics[before + 2], "muster/v1/down/term-1/manifest");
    assign(wire, "aids", 2); /* nothing changed */
    assert_int_equal(wire->sent - before, 3);
}

static void what_nobody_wants_is_taken_back_in_time(void **state)
{
    struct wire *wire = *state;
    struct director_outcome outcome;
    struct fleetdb_blob_sums sums;
    const char *ids[] = {"term-0"};
    enrol(wire, 1);
    publish(wire, "bins", "one");
    assign(wire, "bins", 1);
    publisher_connected(wire->publisher);
    drain(wire);
    const struct director_order order = {.document = "bins", .remove = true};
    assert_true(director_assign(&wire->director, &order, ids, 1, 100000, &outcome, NULL));
    publisher_withdraw(wire->publisher, 101000); /* unwanted for just so long: not yet */
    drain(wire);
    assert_int_equal(wire->emptied, 0);
    publisher_withdraw(wire->publisher, 101000 + 60 * 1000);
    assert_int_equal(wire->emptied, 1);
    assert_non_null(strstr(wire->topics[wire->sent - 1], "/blob/"));
    assert_true(fleetdb_blob_sums(wire->fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 1); /* until the broker says so */
    drain(wire);
    assert_true(fleetdb_blob_sums(wire->fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 0);
    assert_int_equal(publisher_stats(wire->publisher).withdrawn, 1);
    assert_false(publisher_stats(wire->publisher).walking);
}

static void a_withdrawal_waits_for_room_too(void **state)
{
    struct wire *wire = *state;
    struct director_outcome outcome;
    const char *ids[] = {"term-0"};
    enrol(wire, 1);
    publish(wire, "bins", "one");
    assign(wire, "bins", 1);
    publisher_connected(wire->publisher);
    drain(wire);
    const struct director_order order = {.document = "bins", .remove = true};
    assert_true(director_assign(&wire->director, &order, ids, 1, 4000, &outcome, NULL));
    wire->refuse = ERR_FULL;
    publisher_withdraw(wire->publisher, 100000);
    wire->refuse = ERR_NONE;
    assert_int_equal(wire->emptied, 0);
    publisher_puback(wire->publisher, 17, true);
    assert_int_equal(wire->emptied, 1);
    /* Not answered, so not done: the next session begins with it again. */
    publisher_disconnected(wire->publisher);
    wire->acked = wire->sent;
    publisher_connected(wire->publisher);
    drain(wire);
    publisher_withdraw(wire->publisher, 200000);
    drain(wire);
    assert_int_equal(wire->emptied, 2);
    assert_int_equal(publisher_stats(wire->publisher).withdrawn, 1);
}

static void the_manifest_of_a_retired_device_is_taken_back(void **state)
{
    struct wire *wire = *state;
    char path[96];
    sqlite3 *raw = NULL;
    enrol(wire, 2);
    publish(wire, "bins", "one");
    assign(wire, "bins", 2);
    (void)snprintf(path, sizeof path, "%s/fleet.db", wire->fleet->dir);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw,
                                  "UPDATE device SET life_cycle = 'retired' WHERE name = 'term-0'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(raw);
    publisher_connected(wire->publisher);
    drain(wire);
    assert_int_equal(count_topics(wire, 0, "/manifest"), 2);
    assert_int_equal(count_topics(wire, 0, "term-0/manifest"), 1);
    assert_int_equal(wire->emptied, 1);
}

static void a_full_window_is_waited_out(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 2);
    publish(wire, "bins", "one");
    assign(wire, "bins", 2);
    wire->refuse = ERR_FULL;
    publisher_connected(wire->publisher);
    assert_int_equal(wire->sent, 0);
    wire->refuse = ERR_NONE;
    publisher_puback(wire->publisher, 17, true); /* somebody else's made room */
    drain(wire);
    assert_int_equal(wire->sent, 4);
    assert_int_equal(publisher_stats(wire->publisher).failed, 0);
}

/* Each terminal with a line pays for every manifest that is given to the broker. */
static void many_changes_send_no_more_than_what_changed(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 800);
    publish(wire, "bins", "one");
    publish(wire, "aids", "two");
    assign(wire, "aids", 800);
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    wire->refuse = ERR_FULL;
    assign(wire, "bins", 700);
    assert_int_equal(publisher_stats(wire->publisher).waiting, 701);
    wire->refuse = ERR_NONE;
    publisher_puback(wire->publisher, 17, true);
    drain(wire);
    char seen[800] = {0};
    assert_non_null(strstr(wire->topics[before], "/blob/"));
    for (size_t i = before + 1; i < wire->sent; i++) {
        unsigned number;
        assert_int_equal(sscanf(wire->topics[i], "muster/v1/down/term-%u/manifest", &number), 1);
        assert_int_equal(seen[number]++, 0);
    }
    assert_int_equal(wire->sent - before, 701);
    assert_null(memchr(seen, 0, 700));
    assert_int_equal(publisher_stats(wire->publisher).waiting, 0);
}

/* A document in so many pieces that the ring does not hold them, with its list. */
static void publish_in_pieces(struct wire *wire, const char *name, size_t pieces)
{
    static uint8_t list[1024][32];
    struct err err = {0};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD,
                                        .piece_bytes = 64,
                                        .pieces_size = pieces * 64};
    struct fleetdb_document document = {.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_FILE,
                                        .scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC,
                                        .epoch = 1,
                                        .version = 1,
                                        .length = pieces * 64,
                                        .encodings = &encoding,
                                        .encoding_count = 1};
    int64_t row;
    (void)snprintf(document.name, sizeof document.name, "%s", name);
    struct buf header =
        temp_fleet_header(&(struct temp_document){.name = name, .text = "pieces", .version = 1},
                          wire->fleet->release_key);
    document.header = buf_bytes(&header);
    assert_true(fleetdb_begin(wire->fleet->db, NULL));
    for (size_t i = 0; i < pieces; i++) {
        char text[64] = {0};
        (void)snprintf(text, sizeof text, "%s %zu", name, i);
        sha256(bytes_of(text, sizeof text), list[i]);
        assert_true(
            fleetdb_blob_put(wire->fleet->db, list[i], bytes_of(text, sizeof text), 1000, NULL));
    }
    sha256(bytes_of(list, pieces * 32), encoding.blob);
    assert_true(
        fleetdb_blob_put(wire->fleet->db, encoding.blob, bytes_of(list, pieces * 32), 1000, NULL));
    if (!fleetdb_document_add(wire->fleet->db, &document, &row, &err))
        fail_msg("%s", err.text);
    assert_true(fleetdb_commit(wire->fleet->db, NULL));
    buf_done(&header);
}

/* What does not fit in the ring of news comes with a walk over blobs, before the manifest. */
static void more_blobs_than_the_ring_holds_all_go_before_the_manifest(void **state)
{
    struct wire *wire = *state;
    enum { PIECES = 600 };
    enrol(wire, 5);
    publish(wire, "bins", "one");
    assign(wire, "bins", 5);
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    publish_in_pieces(wire, "firmware", PIECES);
    assign(wire, "firmware", 2);
    drain(wire);
    assert_true(count_topics(wire, before, "/blob/") > PIECES);
    assert_int_equal(count_topics(wire, before, "/trust/"), 0);
    assert_int_equal(count_topics(wire, before, "/manifest"), 2);
    assert_non_null(strstr(wire->topics[wire->sent - 1], "term-1/manifest"));
    assert_non_null(strstr(wire->topics[wire->sent - 2], "term-0/manifest"));
    size_t distinct = 0;
    for (size_t i = before; i < wire->sent; i++) {
        bool again = false;
        for (size_t j = before; j < i && !again; j++)
            again = strcmp(wire->topics[i], wire->topics[j]) == 0;
        distinct += !again;
    }
    assert_in_range(distinct, PIECES + 1 + 2, PIECES + 1 + 2 + 1); /* bins may come along */
    assert_false(publisher_stats(wire->publisher).walking);
    assert_int_equal(publisher_stats(wire->publisher).waiting, 0);
}

static void knows_root(struct wire *wire, uint64_t version)
{
    struct fleetdb_device device;
    struct buf manifest = {0};
    Muster__Hello message = MUSTER__HELLO__INIT;
    message.root_version = version;
    assert_true(fleetdb_device_find(wire->fleet->db, "term-0", &device, NULL));
    assert_true(publisher_hello(wire->publisher, &device, &message, 5000, &manifest, NULL));
    buf_done(&manifest);
}

static void every_root_is_kept_at_the_broker_and_the_next_one_sent_first(void **state)
{
    struct wire *wire = *state;
    enrol(wire, 1);
    publish(wire, "bins", "one");
    assign(wire, "bins", 1);
    add_root(wire, 2);
    add_root(wire, 3);
    publisher_connected(wire->publisher);
    drain(wire);
    static const char *const walk[] = {"muster/v1/trust/1", "muster/v1/trust/2",
                                       "muster/v1/trust/3", "muster/v1/blob/",
                                       "muster/v1/down/term-0/manifest"};
    assert_int_equal(wire->sent, 5);
    for (size_t i = 0; i < wire->sent; i++)
        assert_non_null(strstr(wire->topics[i], walk[i]));
    size_t before = wire->sent;
    static const uint64_t needs_none[] = {0, 3, 4, UINT64_MAX};
    for (size_t i = 0; i < sizeof needs_none / sizeof *needs_none; i++)
        knows_root(wire, needs_none[i]);
    assert_int_equal(wire->sent, before);
    for (uint64_t known = 1; known < 3; known++) {
        knows_root(wire, known);
        drain(wire);
        assert_string_equal(wire->topics[wire->sent - 1], walk[known]);
        assert_int_equal(wire->sent, before + known);
    }
    add_root(wire, 4);
    publisher_root(wire->publisher, 4);
    publisher_renewed(wire->publisher, &(struct fleetdb_device){.device = 1, .id = "term-0"});
    assert_string_equal(wire->topics[before + 2], "muster/v1/trust/4");
    assert_string_equal(wire->topics[before + 3], "muster/v1/down/term-0/manifest");
}

static void hello(struct wire *wire, uint64_t held, const uint8_t *lacked, struct buf *manifest)
{
    struct err err = {0};
    struct fleetdb_device device;
    Muster__Hello message = MUSTER__HELLO__INIT;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    ProtobufCBinaryData lacks = {32, (uint8_t *)lacked};
    report.manifest_version = held;
    message.state = &report;
    message.lacks = &lacks;
    message.n_lacks = lacked != NULL;
    assert_true(fleetdb_device_find(wire->fleet->db, "term-0", &device, NULL));
    if (!publisher_hello(wire->publisher, &device, &message, 5000, manifest, &err))
        fail_msg("%s", err.text);
}

static void a_hello_gets_what_the_device_is_missing(void **state)
{
    struct wire *wire = *state;
    uint8_t mine[32], other[32];
    struct buf manifest = {0};
    enrol(wire, 1);
    publish(wire, "bins", "one");
    publish(wire, "other", "two");
    temp_fleet_upload(wire->fleet, long_text("one"), mine); /* the same content is the same blob */
    temp_fleet_upload(wire->fleet, long_text("two"), other);
    assign(wire, "bins", 1);
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    hello(wire, 0, other, &manifest); /* lacks what is not meant for it */
    assert_true(manifest.length > 0);
    assert_int_equal(wire->sent, before);
    buf_clear(&manifest);
    hello(wire, 1, mine, &manifest);
    assert_int_equal(manifest.length, 0);
    drain(wire);
    assert_int_equal(wire->sent - before, 1);
    assert_non_null(strstr(wire->topics[before], "/blob/"));
    hello(wire, 7, NULL, &manifest); /* our database was restored */
    drain(wire);
    assert_true(manifest.length > 0);
    assert_string_equal(wire->topics[before + 1], "muster/v1/down/term-0/manifest");
    buf_done(&manifest);
}

/* The other encodings of what is assigned are not meant for it: nobody would take them back. */
static void what_no_manifest_names_is_not_given_out_again(void **state)
{
    struct wire *wire = *state;
    uint8_t first[32], second[32];
    struct buf manifest = {0};
    struct fleetdb_blob_sums sums;
    struct fleetdb_encoding more = {
        .coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA, .delta = true, .base = {7}};
    bool added;
    int64_t row;
    uint64_t version;
    const struct fleetdb_wish wish = {.name = "bins", .epoch = 1, .version = 1};
    enrol(wire, 1);
    publish(wire, "bins", "one");
    temp_fleet_upload(wire->fleet, long_text("one"), first);
    temp_fleet_upload(wire->fleet, long_text("a delta from what nobody holds"), second);
    memcpy(more.blob, second, sizeof more.blob);
    assert_true(fleetdb_document_find(wire->fleet->db, &wish, &row, &version, NULL));
    assert_true(fleetdb_encoding_add(wire->fleet->db, row, &more, &added, NULL));
    assign(wire, "bins", 1);
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    hello(wire, 1, second, &manifest);
    drain(wire);
    assert_int_equal(wire->sent, before);
    assert_true(fleetdb_blob_sums(wire->fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 1);
    hello(wire, 1, first, &manifest);
    drain(wire);
    assert_int_equal(wire->sent, before + 1);
    buf_done(&manifest);
}

static void what_a_manifest_carries_goes_nowhere_else(void **state)
{
    struct wire *wire = *state;
    struct fleetdb_blob_sums sums;
    enrol(wire, 2);
    publish(wire, "bins", "one");
    temp_fleet_publish(wire->fleet, "short", 1, "a\tb\n1\t2\n");
    publisher_connected(wire->publisher);
    drain(wire);
    size_t before = wire->sent;
    assign(wire, "short", 2);
    drain(wire);
    assert_int_equal(count_topics(wire, before, "/manifest"), 2);
    assert_int_equal(count_topics(wire, before, "/blob/"), 0);
    assign(wire, "bins", 2);
    drain(wire);
    assert_int_equal(count_topics(wire, before, "/blob/"), 1);
    publisher_disconnected(wire->publisher);
    wire->acked = before = wire->sent;
    publisher_connected(wire->publisher);
    drain(wire);
    assert_int_equal(count_topics(wire, before, "/blob/"), 1);
    assert_true(fleetdb_blob_sums(wire->fleet->db, &sums, NULL));
    assert_int_equal(sums.blobs, 2);
    assert_int_equal(sums.retained, 1);
}

/* Its empty message is with the broker, and the answer is not here yet. */
static void what_is_wanted_while_it_is_taken_back_is_given_again(void **state)
{
    struct wire *wire = *state;
    struct director_outcome outcome;
    struct fleetdb_blob_sums sums;
    const char *ids[] = {"term-0"};
    enrol(wire, 1);
    publish(wire, "bins", "one");
    assign(wire, "bins", 1);
    publisher_connected(wire->publisher);
    drain(wire);
    const struct director_order order = {.document = "bins", .remove = true};
    assert_true(director_assign(&wire->director, &order, ids, 1, 4000, &outcome, NULL));
    publisher_withdraw(wire->publisher, 100000);
    assert_int_equal(wire->emptied, 1);
    size_t before = wire->sent;
    assign(wire, "bins", 1);
    drain(wire);
    assert_int_equal(count_topics(wire, before, "/blob/"), 1);
    assert_true(fleetdb_blob_sums(wire->fleet->db, &sums, NULL));
    assert_int_equal(sums.retained, 1);
    assert_int_equal(sums.unwanted, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_wire, close_wire)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_is_said_at_each_connect_within_the_window),
        TEST(a_lost_session_loses_nothing),
        TEST(a_change_sends_its_blob_and_then_the_manifests),
        TEST(what_nobody_wants_is_taken_back_in_time),
        TEST(a_withdrawal_waits_for_room_too),
        TEST(what_a_manifest_carries_goes_nowhere_else),
        TEST(what_is_wanted_while_it_is_taken_back_is_given_again),
        TEST(the_manifest_of_a_retired_device_is_taken_back),
        TEST(a_full_window_is_waited_out),
        TEST(many_changes_send_no_more_than_what_changed),
        TEST(more_blobs_than_the_ring_holds_all_go_before_the_manifest),
        TEST(what_no_manifest_names_is_not_given_out_again),
        TEST(a_hello_gets_what_the_device_is_missing),
        TEST(every_root_is_kept_at_the_broker_and_the_next_one_sent_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
