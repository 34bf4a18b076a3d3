/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/access.h"

#include "fleet/api_desired.h"
#include "storage/fleetdb_changes.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

enum { NOW_MS = 1000000 };

struct made {
    char text[ACCESS_TOKEN_CHARS + 1];
    uint8_t sha256[32];
};

static enum err_code add(struct temp_fleet *fleet, struct made *made, const char *name,
                         enum fleetdb_token_scope scope, const char *place)
{
    struct err err = {0};
    access_token_make(made->text, made->sha256);
    const struct fleetdb_token_order order = {.name = name,
                                              .sha256 = made->sha256,
                                              .role = FLEETDB_OPERATOR,
                                              .scope = scope,
                                              .places = &place,
                                              .place_count = place != NULL};
    bool ok = fleetdb_token_add(fleet->db, &order, "uid 7", NOW_MS, &err);
    assert_true(ok == (err.code == ERR_NONE));
    return err.code;
}

static struct fleetdb_scope scope_of(struct temp_fleet *fleet, const struct made *made)
{
    struct fleetdb_token token;
    assert_true(fleetdb_token_find(fleet->db, made->sha256, &token, NULL));
    return (struct fleetdb_scope){.token = token.token};
}

static bool holds(struct temp_fleet *fleet, struct fleetdb_scope scope, const char *id)
{
    struct fleetdb_device device;
    bool by_id = false, by_row = false;
    assert_true(fleetdb_scope_holds_id(fleet->db, scope, id, &by_id, NULL));
    if (!fleetdb_device_find(fleet->db, id, &device, NULL))
        return by_id;
    assert_true(fleetdb_scope_holds(fleet->db, scope, device.device, &by_row, NULL));
    assert_int_equal(by_id, by_row);
    return by_id;
}

static int64_t rows(struct temp_fleet *fleet, const char *who);

/* ---- tokens ---- */

static void a_token_is_text_that_nobody_guesses(void **state)
{
    struct made one, other;
    (void)state;
    access_token_make(one.text, one.sha256);
    access_token_make(other.text, other.sha256);
    assert_int_equal(strlen(one.text), ACCESS_TOKEN_CHARS);
    assert_memory_equal(one.text, "muster_", 7);
    assert_string_not_equal(one.text, other.text);
    assert_memory_not_equal(one.sha256, other.sha256, 32);
}

static enum access_answer show(struct access *access, const char *header, int64_t at_ms,
                               struct api_caller *ret_caller)
{
    int64_t wait_ms = 0;
    struct err err = {0};
    const struct access_claim claim = {.authorization = header, .now_ms = at_ms, .boot_ms = at_ms};
    enum access_answer answer = access_identify(access, &claim, ret_caller, &wait_ms, &err);
    assert_true((answer == ACCESS_KNOWN) == (err.text[0] == '\0'));
    return answer;
}

static void a_header_is_read_strictly(void **state)
{
    struct temp_fleet *fleet = *state;
    static const char *const wrong[] = {"",
                                        "Bearer",
                                        "Bearer ",
                                        "Bearer muster_",
                                        "Basic dXNlcjpwYXNz",
                                        "muster_",
                                        "Bearer muster_\xff"};
    struct metrics metrics = {0};
    struct access access;
    struct api_caller caller = {0};
    struct made made;
    char header[200];
    assert_int_equal(add(fleet, &made, "robot", FLEETDB_SCOPE_FLEET, NULL), ERR_NONE);
    access_init(&access, fleet->db, &metrics, 100);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(show(&access, wrong[i], NOW_MS, &caller), ACCESS_UNKNOWN);
    (void)snprintf(header, sizeof header, "Bearer %s ", made.text);
    assert_int_equal(show(&access, header, NOW_MS, &caller), ACCESS_UNKNOWN);
    (void)snprintf(header, sizeof header, "Bearer %s0", made.text);
    assert_int_equal(show(&access, header, NOW_MS, &caller), ACCESS_UNKNOWN);
    assert_string_equal(caller.name, "");
    (void)snprintf(header, sizeof header, "bEARER  %s", made.text);
    assert_int_equal(show(&access, header, NOW_MS, &caller), ACCESS_KNOWN);
    assert_string_equal(caller.name, "token robot");
    assert_int_equal(caller.role, API_OPERATOR);
    assert_true(fleetdb_scope_is_whole(caller.scope));
    assert_int_equal(metrics.values[METRIC_HTTP_UNKNOWN], sizeof wrong / sizeof wrong[0] + 2);
}

static void its_last_use_is_kept_to_a_minute(void **state)
{
    struct temp_fleet *fleet = *state;
    struct metrics metrics = {0};
    struct access access;
    struct api_caller caller;
    struct made made;
    struct fleetdb_token token;
    char header[200];
    static const int64_t at_ms[] = {NOW_MS, NOW_MS + 59999, NOW_MS + 60000};
    static const int64_t kept_ms[] = {NOW_MS, NOW_MS, NOW_MS + 60000};
    assert_int_equal(add(fleet, &made, "robot", FLEETDB_SCOPE_FLEET, NULL), ERR_NONE);
    access_init(&access, fleet->db, &metrics, 100);
    (void)snprintf(header, sizeof header, "Bearer %s", made.text);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(show(&access, header, at_ms[i], &caller), ACCESS_KNOWN);
        assert_true(fleetdb_token_find(fleet->db, made.sha256, &token, NULL));
        assert_int_equal(token.used_ms, kept_ms[i]);
    }
}

static void a_name_is_given_once(void **state)
{
    struct temp_fleet *fleet = *state;
    struct made made, again;
    bool good = true;
    assert_int_equal(add(fleet, &made, "robot", FLEETDB_SCOPE_FLEET, NULL), ERR_NONE);
    assert_int_equal(add(fleet, &again, "robot", FLEETDB_SCOPE_FLEET, NULL), ERR_CONFLICT);
    const int64_t row = scope_of(fleet, &made).token;
    assert_true(fleetdb_token_good(fleet->db, row, NOW_MS, &good, NULL));
    assert_true(good);
    assert_true(fleetdb_token_revoke(fleet->db, "robot", "uid 7", NOW_MS, NULL));
    assert_true(fleetdb_token_good(fleet->db, row, NOW_MS, &good, NULL));
    assert_false(good);
    assert_int_equal(add(fleet, &again, "robot", FLEETDB_SCOPE_FLEET, NULL), ERR_CONFLICT);
    struct err err = {0};
    assert_false(fleetdb_token_revoke(fleet->db, "robot", "uid 7", NOW_MS, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(fleetdb_token_revoke(fleet->db, "nobody", "uid 7", NOW_MS, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(rows(fleet, "uid 7"), 2); /* added, and revoked */
}

static void a_part_that_is_none_makes_no_token(void **state)
{
    struct temp_fleet *fleet = *state;
    struct made made;
    struct fleetdb_token token;
    (void)temp_fleet_device_at(fleet, "term-1", "m1", "north");
    assert_int_equal(add(fleet, &made, "a", FLEETDB_SCOPE_MERCHANT, "north"), ERR_NOT_FOUND);
    assert_int_equal(add(fleet, &made, "a", FLEETDB_SCOPE_REGION, "m1"), ERR_NOT_FOUND);
    assert_false(fleetdb_token_find(fleet->db, made.sha256, &token, NULL));
    assert_int_equal(rows(fleet, "uid 7"), 0);
    assert_int_equal(add(fleet, &made, "a", FLEETDB_SCOPE_REGION, "north"), ERR_NONE);
}

/* ---- parts ---- */

static void a_part_is_where_devices_stand(void **state)
{
    struct temp_fleet *fleet = *state;
    const struct fleetdb_scope whole = {0};
    struct made merchant, region, empty;
    (void)temp_fleet_device_at(fleet, "term-1", "m1", "north");
    (void)temp_fleet_device_at(fleet, "term-2", "m1", "south");
    (void)temp_fleet_device_at(fleet, "term-3", "m2", "south");
    (void)temp_fleet_device_at(fleet, "term-4", "m3", "");
    assert_int_equal(add(fleet, &merchant, "m", FLEETDB_SCOPE_MERCHANT, "m2"), ERR_NONE);
    assert_int_equal(add(fleet, &region, "r", FLEETDB_SCOPE_REGION, "south"), ERR_NONE);
    assert_int_equal(add(fleet, &empty, "e", FLEETDB_SCOPE_REGION, NULL), ERR_NONE);
    static const struct {
        const char *id;
        bool merchant, region;
    } expected[] = {{"term-1", false, true},
                    {"term-2", false, true},
                    {"term-3", true, true},
                    {"term-4", false, false},
                    {"term-5", false, false}};
    /* The store of m1 is where it was last said to be. */
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(holds(fleet, whole, expected[i].id));
        assert_int_equal(holds(fleet, scope_of(fleet, &merchant), expected[i].id),
                         expected[i].merchant);
        assert_int_equal(holds(fleet, scope_of(fleet, &region), expected[i].id),
                         expected[i].region);
        assert_false(holds(fleet, scope_of(fleet, &empty), expected[i].id));
    }
}

static size_t listed(struct temp_fleet *fleet, struct fleetdb_scope scope)
{
    struct api_desired desired = {.db = fleet->db, .trust = fleet->trust};
    const struct api_module module = api_desired_module(&desired);
    const struct api api = {&module, 1};
    const struct api_caller caller = {.name = "token t", .role = API_VIEWER, .scope = scope};
    struct api_request request = {.method = "GET", .path = "/api/v1/documents", .caller = &caller};
    struct api_answer answer;
    void *ctx = NULL;
    unsigned status = 0;
    const struct api_route *route = api_route_find(&api, &request, &ctx, &status);
    assert_non_null(route);
    assert_true(api_allows(route, &caller, NULL));
    api_run(route, ctx, &request, &answer);
    assert_int_equal(answer.status, 200);
    size_t count = json_array_size(json_object_get(answer.json, "documents"));
    api_answer_done(&answer);
    return count;
}

static void what_is_sealed_to_others_is_not_listed(void **state)
{
    struct temp_fleet *fleet = *state;
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct made made;
    int64_t row = 0;
    temp_fleet_upload(fleet, "content", encoding.blob);
    for (int i = 0; i < 3; i++) {
        char id[16], merchant[16];
        (void)snprintf(id, sizeof id, "term-%d", i);
        (void)snprintf(merchant, sizeof merchant, "m%d", i);
        struct fleetdb_document document = {.name = "wifi",
                                            .device = temp_fleet_device_at(fleet, id, merchant, ""),
                                            .epoch = 1,
                                            .version = 1,
                                            .length = 7,
                                            .header = bytes_of("header", 6),
                                            .encodings = &encoding,
                                            .encoding_count = 1};
        assert_true(fleetdb_document_add(fleet->db, &document, &row, NULL));
    }
    temp_fleet_publish(fleet, "bins", 1, "for all");
    assert_int_equal(add(fleet, &made, "part", FLEETDB_SCOPE_MERCHANT, "m1"), ERR_NONE);
    assert_int_equal(listed(fleet, (struct fleetdb_scope){0}), 4);
    assert_int_equal(listed(fleet, scope_of(fleet, &made)), 2);
}

/* ---- the audit ---- */

struct seen {
    const char *who;
    int64_t count, last;
};

static bool see(void *ctx, const struct fleetdb_change_row *change, struct err *err)
{
    struct seen *seen = ctx;
    (void)err;
    if (seen->last != 0)
        assert_true(change->change < seen->last);
    seen->last = change->change;
    seen->count += seen->who == NULL || strcmp(change->who, seen->who) == 0;
    return true;
}

static int64_t rows(struct temp_fleet *fleet, const char *who)
{
    struct seen seen = {.who = who};
    const struct fleetdb_changes_asked asked = {.limit = 1000};
    assert_true(fleetdb_changes_each(fleet->db, &asked, see, &seen, NULL));
    return seen.count;
}

static int64_t asked_for(struct temp_fleet *fleet, struct fleetdb_changes_asked asked)
{
    struct seen seen = {0};
    assert_true(fleetdb_changes_each(fleet->db, &asked, see, &seen, NULL));
    return seen.count;
}

static void changes_are_told_to_whom_they_concern(void **state)
{
    struct temp_fleet *fleet = *state;
    struct made made;
    const int64_t one = temp_fleet_device_at(fleet, "term-1", "m1", "");
    const int64_t two = temp_fleet_device_at(fleet, "term-2", "m2", "");
    assert_true(fleetdb_audit(fleet->db, NOW_MS, "ops", "label", one, "", NULL));
    assert_true(fleetdb_audit(fleet->db, NOW_MS, "ops", "label", two, "", NULL));
    assert_int_equal(add(fleet, &made, "part", FLEETDB_SCOPE_MERCHANT, "m1"), ERR_NONE);
    const struct fleetdb_scope part = scope_of(fleet, &made);
    struct fleetdb_changes_asked asked = {.limit = 10};
    assert_int_equal(asked_for(fleet, asked), 5); /* two stores, two devices, a token */
    asked.device = two;
    assert_int_equal(asked_for(fleet, asked), 1);
    asked.scope = part;
    assert_int_equal(asked_for(fleet, asked), 0);
    asked.device = one;
    assert_int_equal(asked_for(fleet, asked), 1);
    asked.device = 0;
    assert_int_equal(asked_for(fleet, asked), 1);
    asked = (struct fleetdb_changes_asked){.limit = 2};
    assert_int_equal(asked_for(fleet, asked), 2);
    asked.before = 2;
    assert_int_equal(asked_for(fleet, asked), 1);
}

static void who_is_not_said_is_musterd_itself(void **state)
{
    struct temp_fleet *fleet = *state;
    assert_true(fleetdb_audit(fleet->db, NOW_MS, NULL, "tidy", 0, "by itself", NULL));
    assert_int_equal(rows(fleet, "musterd"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_text_that_nobody_guesses),    TEST(a_header_is_read_strictly),
        TEST(its_last_use_is_kept_to_a_minute),       TEST(a_name_is_given_once),
        TEST(a_part_that_is_none_makes_no_token),     TEST(a_part_is_where_devices_stand),
        TEST(what_is_sealed_to_others_is_not_listed), TEST(changes_are_told_to_whom_they_concern),
        TEST(who_is_not_said_is_musterd_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
