/* SPDX-License-Identifier: Apache-2.0 */
/* What a message about one boot tells of the boots before it. */
#include "fleet/truetime.h"
#include "proto/unpack.h"
#include "storage/fleetdb_clock.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>

/* `count` boots, each after the one before; the last is that of t1's incarnation 7. */
static void chain_boots(struct world *world, int64_t *boots, size_t count)
{
    struct fleetdb *db = world->fleet->db;
    struct fleetdb_device t1;
    assert_true(fleetdb_device_find(db, "t1", &t1, NULL));
    assert_true(fleetdb_begin(db, NULL));
    for (size_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "boot-%-11zu", i);
        assert_true(fleetdb_boot_find(db, t1.device, bytes_of(name, 16), 1, &boots[i], NULL));
        const struct fleetdb_boot boot = {.boot = boots[i], .before = i > 0 ? boots[i - 1] : 0};
        assert_true(fleetdb_boot_write(db, &boot, NULL));
    }
    assert_true(fleetdb_boot_claim(db, t1.device, 7, boots[count - 1], NULL));
    assert_true(fleetdb_commit(db, NULL));
}

/* Each of these events of one message knows better when the boot was. */
static void send_sights(struct world *world, uint64_t first_seq, size_t count)
{
    enum { SIGHTS_MAX = 40 };
    Muster__Event events[SIGHTS_MAX];
    ProtobufCMessage *rows[SIGHTS_MAX];
    struct buf details[SIGHTS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        Muster__ClockSight sight = MUSTER__CLOCK_SIGHT__INIT;
        sight.asked_ms = sight.came_ms = 1;
        sight.fleet_ms = world_wall(world) - 1000 * (int64_t)(first_seq + i);
        assert_true(pack(&sight.base, &details[i], NULL));
        muster__event__init(&events[i]);
        events[i].kind = MUSTER__EVENT_KIND__EVENT_CLOCK;
        events[i].detail = (ProtobufCBinaryData){details[i].length, details[i].data};
        rows[i] = &events[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_EVENT,
                                   .incarnation = 7,
                                   .first_seq = first_seq,
                                   .count = count,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    collector_flush(world->collector);
    buf_done(&batch);
    for (size_t i = 0; i < count; i++)
        buf_done(&details[i]);
}

static int64_t ended_at_most(struct world *world, int64_t boot_row)
{
    struct fleetdb_boot boot;
    assert_true(fleetdb_boot_read(world->fleet->db, boot_row, &boot, NULL));
    return truetime_at(&boot, 0, TRUETIME_PPM).upper_ms;
}

/* However much one message says of its boot: what that tells of others is bounded. */
static void a_message_tells_of_so_many_boots(void **state)
{
    enum { BOOTS = 64, SIGHTS = 40 };
    struct world *world = *state;
    int64_t boots[BOOTS];
    chain_boots(world, boots, BOOTS);
    send_sights(world, 1, SIGHTS);
    const int64_t last = ended_at_most(world, boots[BOOTS - 1]);
    assert_in_range(ended_at_most(world, boots[0]) - last, 1000 * SIGHTS / 2, 1000 * SIGHTS);
    send_sights(world, SIGHTS + 1, 1);
    assert_in_range(world_wall(world) - ended_at_most(world, boots[0]), 1000 * SIGHTS,
                    1000 * (SIGHTS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_tells_of_so_many_boots, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
