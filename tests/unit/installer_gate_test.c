/* SPDX-License-Identifier: Apache-2.0 */
/* A package waits for the payment application, the gate hook, a restart, or a person. */
#include "tests/unit/installer_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static void it_waits_until_the_batch_is_settled(void **state)
{
    struct install_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 0);
    install_assert_placing(world, "it waits for a settled batch and no reversal");
    const unsigned changes = world->changes;
    world->lease.transaction = true; /* a sale is no other state, and no other answer */
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(world->changes, changes);
    assert_int_equal(install_calls(world, "version"), 1);
    world->boot_ms += 7200000;
    installer_look_at_gate(world->installer);
    install_settle(world);
    install_assert_placing(world, "a person should look");
    assert_non_null(strstr(world->text, "4.2 waits for the open transaction"));
    assert_int_equal(world->events, 1);
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(world->events, 1);
    world->lease = (struct gate_lease){.known = true};
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

/* Terminals are switched off at night: two evenings of waiting are as long as one day. */
static void how_long_it_waits_outlives_restarts(void **state)
{
    struct install_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    install_look(world);
    world->boot_ms += 4000000;
    install_close(world); /* in the same boot */
    install_open(world);
    install_look(world);
    assert_int_equal(world->events, 0);
    world->boot_ms += 2000000;
    installer_look_at_gate(world->installer);
    install_settle(world);
    world->boot_ms += 299000;
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(world->installer->book.rows[0].age_ms, 6000000);
    install_reboot(world);
    install_look(world);
    assert_int_equal(world->events, 0);
    assert_int_equal(install_calls(world, "install"), 0);
    world->boot_ms += 902000;
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(world->events, 1);
    install_assert_placing(world, "a person should look");
    install_reboot(world); /* nor is that person asked each morning */
    install_look(world);
    install_assert_placing(world, "a person should look");
    assert_int_equal(world->events, 1);
    world->lease = (struct gate_lease){.known = true};
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 1);
    assert_string_equal(world->text, "4.2 was handed to the installer, 4.1 runs");
}

static void what_comes_in_its_place_waits_anew(void **state)
{
    struct install_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    install_look(world);
    world->boot_ms += 7000000;
    install_close(world);
    (void)snprintf(world->wanted.package_version, sizeof world->wanted.package_version, "4.3");
    install_open(world);
    install_look(world);
    world->boot_ms += 300000;
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(world->events, 0);
}

static const uint8_t *digest_of(const struct install_world *world)
{
    static uint8_t digest[32];
    package_wanted_digest(&world->wanted, digest);
    return digest;
}

static void a_person_may_decide(void **state)
{
    struct install_world *world = *state;
    assert_false(installer_decide(world->installer, digest_of(world), "user 0"));
    world->lease = (struct gate_lease){.known = true, .reversal = true};
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 0);
    assert_true(installer_decide(world->installer, digest_of(world), "user 0"));
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 1);
    assert_false(installer_decide(world->installer, digest_of(world), "user 0"));
}

/* Which would end it in the middle; nobody can decide otherwise. */
static void it_waits_for_the_end_of_a_restart(void **state)
{
    struct install_world *world = *state;
    world->restarting = true;
    install_look(world);
    install_assert_placing(world, "it waits for the end of the restart");
    assert_true(installer_decide(world->installer, digest_of(world), "user 0"));
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 0);
    world->restarting = false;
    installer_look_at_gate(world->installer);
    while (!installer_installing(world->installer))
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->ended, 0);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 1);
    assert_int_equal(world->ended, 1);
}

static void the_gate_hook_has_its_say(void **state)
{
    struct install_world *world = *state;
    install_gate(world, "echo \"gate $*\" >>calls\necho 'a batch'\nexit 1\n");
    install_look(world);
    install_assert_placing(world, "it waits for a settled batch");
    assert_int_equal(install_calls(world, "gate settled"), 1);
    assert_int_equal(install_calls(world, "install"), 0);
    install_script(world, world->gate_hook, "exit 0\n");
    world->lease = (struct gate_lease){.known = true, .batch = true}; /* both must be open */
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 0);
    world->lease.batch = false;
    installer_look_at_gate(world->installer);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

static void what_is_wanted_no_more_waits_no_more(void **state)
{
    struct install_world *world = *state;
    char path[160];
    world->lease = (struct gate_lease){.known = true, .batch = true};
    install_look(world);
    (void)snprintf(path, sizeof path, "%s/os", world->folder);
    assert_true(file_exists(path));
    world->none = true;
    install_look(world);
    assert_false(file_exists(path));
    assert_false(installer_decide(world->installer, digest_of(world), "user 0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, install_set_up, install_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_waits_until_the_batch_is_settled),  TEST(how_long_it_waits_outlives_restarts),
        TEST(what_comes_in_its_place_waits_anew),   TEST(a_person_may_decide),
        TEST(it_waits_for_the_end_of_a_restart),    TEST(the_gate_hook_has_its_say),
        TEST(what_is_wanted_no_more_waits_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
