/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"
#include "storage/fleetdb_told.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <jansson.h>
#include <string.h>

/* As the API shows it. */
static json_t *told(struct world *world)
{
    struct fleetdb_device device;
    json_t *shown = json_object();
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(api_add_told(world->fleet->db, device.device, 0, shown, NULL));
    return shown;
}

static const char *text_at(const json_t *object, const char *first, const char *second)
{
    return json_string_value(json_object_get(json_object_get(object, first), second));
}

static void send_state(struct world *world, uint64_t seq, Muster__ApplyReport *apply)
{
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    report.manifest_version = 1;
    report.apply = apply;
    world_send_event(world, seq, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, WORLD_WALL_MS);
    world_settle(world);
}

static void what_waits_is_known_until_nothing_does(void **state)
{
    struct world *world = *state;
    Muster__ApplyReport apply = MUSTER__APPLY_REPORT__INIT;
    json_t *shown = told(world);
    assert_true(json_is_null(json_object_get(shown, "apply")));
    assert_true(json_is_null(json_object_get(shown, "keys")));
    json_decref(shown);

    apply.step = MUSTER__APPLY_STEP__APPLY_ASKING;
    apply.waits_for = (char *)"the batch to be settled";
    apply.waited_ms = UINT64_MAX;
    apply.why = (char *)"a clerk said 4111111111111111";
    apply.refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_HASH;
    apply.generation_digest = (ProtobufCBinaryData){.len = 7, .data = (uint8_t *)"no hash"};
    send_state(world, 5, &apply); /* and what is no digest is none */
    shown = told(world);
    assert_string_equal(text_at(shown, "apply", "step"), "asking");
    assert_string_equal(text_at(shown, "apply", "waits_for"), "the batch to be settled");
    assert_string_equal(text_at(shown, "apply", "why"), "a clerk said ****************");
    assert_string_equal(text_at(shown, "apply", "refusal"), "content_hash");
    const json_t *waited = json_object_get(json_object_get(shown, "apply"), "waited_ms");
    assert_true(json_integer_value(waited) == INT64_MAX);
    json_decref(shown);

    send_state(world, 4, NULL); /* late */
    shown = told(world);
    assert_string_equal(text_at(shown, "apply", "step"), "asking");
    json_decref(shown);
    send_state(world, 6, NULL);
    shown = told(world);
    assert_true(json_is_null(json_object_get(shown, "apply")));
    json_decref(shown);
}

static void send_keys(struct world *world, uint64_t seq, Muster__KeySlot **slots, size_t count,
                      bool known)
{
    Muster__KeyInventory inventory = MUSTER__KEY_INVENTORY__INIT;
    inventory.slots = slots;
    inventory.n_slots = count;
    inventory.sign_on_known = known;
    inventory.sign_on_age_ms = 5000;
    world_send_event(world, seq, MUSTER__EVENT_KIND__EVENT_KEYS, &inventory.base, WORLD_WALL_MS);
    world_settle(world);
}

static json_t *keys_of_all(struct world *world)
{
    struct api_fleet fleet = {.db = world->fleet->db};
    static const struct api_caller of_all = {.role = API_VIEWER};
    const struct api_request request = {.method = "GET", .caller = &of_all};
    struct api_answer answer = {.status = 200};
    assert_true(api_list_keys(&fleet, &request, &answer, NULL));
    return answer.json;
}

static void the_newest_inventory_of_keys_is_kept(void **state)
{
    struct world *world = *state;
    static uint8_t kcv[] = {0x08, 0xd7, 0xb4}, endless[17];
    Muster__KeySlot tmk = MUSTER__KEY_SLOT__INIT, pek = MUSTER__KEY_SLOT__INIT;
    Muster__KeySlot nameless = MUSTER__KEY_SLOT__INIT, longer = MUSTER__KEY_SLOT__INIT;
    Muster__KeySlot *slots[] = {&tmk, &pek, &nameless, &longer};
    tmk.slot = (char *)"tmk";
    tmk.usage = (char *)"K0";
    tmk.algorithm = (char *)"T";
    tmk.key_version = 3;
    tmk.kcv_method = MUSTER__KCV_METHOD__KCV_TDES_ECB;
    tmk.kcv = (ProtobufCBinaryData){sizeof kcv, kcv};
    tmk.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_DIFFERS;
    pek.slot = (char *)"pek";
    pek.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE;
    nameless.slot = (char *)"../x";
    longer.slot = (char *)"longer";
    longer.kcv = (ProtobufCBinaryData){sizeof endless, endless};
    json_t *nothing = keys_of_all(world);
    const json_int_t silent = json_integer_value(json_object_get(nothing, "silent"));
    assert_true(silent >= 1);
    assert_int_equal(json_array_size(json_object_get(nothing, "slots")), 0);
    json_decref(nothing);
    send_keys(world, 5, slots, 4, true);
    assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_MALFORMED), 2);
    send_keys(world, 4, slots, 1, false); /* late */

    json_t *shown = told(world);
    json_t *keys = json_object_get(shown, "keys"), *list = json_object_get(keys, "slots");
    assert_int_equal(json_integer_value(json_object_get(keys, "sign_on_age_ms")), 5000);
    assert_int_equal(json_array_size(list), 2);
    const json_t *second = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(second, "slot")), "tmk");
    assert_string_equal(json_string_value(json_object_get(second, "kcv")), "08d7b4");
    assert_string_equal(json_string_value(json_object_get(second, "kcv_method")), "tdes_ecb");
    assert_string_equal(json_string_value(json_object_get(second, "state")), "differs");
    json_decref(shown);
    shown = keys_of_all(world);
    list = json_object_get(shown, "slots");
    assert_int_equal(json_array_size(list), 2);
    second = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(second, "device")), "t1");
    assert_string_equal(json_string_value(json_object_get(second, "kcv")), "08d7b4");
    assert_int_equal(json_integer_value(json_object_get(shown, "silent")), silent - 1);
    json_decref(shown);

    send_keys(world, 6, &slots[1], 1, false);
    shown = told(world);
    keys = json_object_get(shown, "keys");
    assert_true(json_is_null(json_object_get(keys, "sign_on_age_ms")));
    assert_int_equal(json_array_size(json_object_get(keys, "slots")), 1);
    assert_string_equal(text_at(shown, "keys", "why"), "");
    json_decref(shown);

    /* A loader that does not answer: what was known stays, and why it is no news. */
    Muster__KeyInventory dead = MUSTER__KEY_INVENTORY__INIT;
    Muster__KeySlot *known[] = {&tmk};
    dead.slots = known;
    dead.n_slots = 1;
    dead.why = (char *)"the key loader: it did not end in time and was killed";
    world_send_event(world, 7, MUSTER__EVENT_KIND__EVENT_KEYS, &dead.base, WORLD_WALL_MS);
    world_settle(world);
    shown = told(world);
    assert_string_equal(text_at(shown, "keys", "why"), dead.why);
    json_decref(shown);
    /* It answers, and nothing is in the slots. */
    Muster__KeyInventory none = MUSTER__KEY_INVENTORY__INIT;
    none.asked = true;
    world_send_event(world, 8, MUSTER__EVENT_KIND__EVENT_KEYS, &none.base, WORLD_WALL_MS);
    world_settle(world);
    shown = told(world);
    assert_string_equal(text_at(shown, "keys", "why"), "");
    keys = json_object_get(shown, "keys");
    assert_int_equal(json_array_size(json_object_get(keys, "slots")), 0);
    json_decref(shown);
}

static void send_package(struct world *world, uint64_t seq, const char *name, const char *running)
{
    Muster__PackageReport report = MUSTER__PACKAGE_REPORT__INIT;
    report.name = (char *)name;
    report.wanted = (char *)"2.1.0";
    report.running = (char *)running;
    world_send_event(world, seq, MUSTER__EVENT_KIND__EVENT_PACKAGE, &report.base, WORLD_WALL_MS);
    world_settle(world);
}

static void packages_are_known_by_their_newest_word(void **state)
{
    struct world *world = *state;
    enum { PACKAGES_KEPT = 32 };
    char name[16];
    send_package(world, 5, "till", "2.1.0");
    send_package(world, 4, "till", "2.0.9"); /* late */
    send_package(world, 6, "no name", "1");
    assert_int_equal(world_refused(world, REFUSED_EVENT_DETAIL, REASON_MALFORMED), 1);
    json_t *shown = told(world);
    json_t *packages = json_object_get(shown, "packages");
    assert_int_equal(json_array_size(packages), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(packages, 0), "running")),
                        "2.1.0");
    json_decref(shown);
    for (int i = 0; i < 2 * PACKAGES_KEPT; i++) {
        (void)snprintf(name, sizeof name, "app-%d", i);
        world->now_ms++;
        world_forget_sent(world);
        send_package(world, 10 + (uint64_t)i, name, "1");
    }
    shown = told(world);
    packages = json_object_get(shown, "packages");
    assert_int_equal(json_array_size(packages), PACKAGES_KEPT);
    assert_string_equal(json_string_value(json_object_get(json_array_get(packages, 31), "name")),
                        "app-63");
    json_decref(shown);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(what_waits_is_known_until_nothing_does),
        TEST(the_newest_inventory_of_keys_is_kept),
        TEST(packages_are_known_by_their_newest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
