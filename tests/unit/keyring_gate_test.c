/* SPDX-License-Identifier: Apache-2.0 */
/* A key waits for the payment application, the gate hook, or a person. */
#include "tests/unit/keyring_world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void a_closed_gate_keeps_the_key(void **state)
{
    struct keyring_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    keyring_world_look(world);
    assert_string_equal(keyring_world_text_of(world, "calls"), "inventory\n");
    assert_int_equal(keyring_world_state_now(world).state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_non_null(strstr(keyring_world_state_now(world).reason,
                           "waits for the batch to be settled; after 60 min"));
    unsigned events = world->events;
    keyring_world_look(world);
    assert_int_equal(world->events, events);
    world->lease.reversal = true; /* nothing that matters, and no loader runs for it */
    keyring_world_leased(world);
    assert_string_equal(keyring_world_text_of(world, "calls"), "inventory\ninventory\n");
    world->lease = (struct gate_lease){.known = true};
    assert_int_equal(world->placed, 0);
    keyring_world_leased(world);
    assert_int_equal(world->placed, 1);
    assert_string_equal(keyring_world_text_of(world, "calls"),
                        "inventory\ninventory\ninventory\nload tmk\ninventory\n");
    keyring_world_assert_ok(world);
}

/* Who begins a transaction is to wait for the end of it. */
static void it_says_that_a_key_is_being_replaced(void **state)
{
    struct keyring_world *world = *state;
    keyring_look(world->keyring);
    bool placing = false;
    while (world->keyring->running) {
        placing = placing || keyring_placing(world->keyring);
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_true(placing);
    assert_false(keyring_placing(world->keyring));
    assert_int_equal(world->placed, 1);
}

/* A gate hook that says what the file `busy` says. */
static void reopen_with_hook(struct keyring_world *world)
{
    char text[256];
    keyring_world_close(world);
    (void)snprintf(text, sizeof text,
                   "echo \"$*\" >>%s/asked; [ -e %s/busy ] || exit 0\ncat %s/busy; exit 1\n",
                   world->dir, world->dir, world->dir);
    (void)snprintf(world->gate_hook, sizeof world->gate_hook, "%s/hook", world->dir);
    keyring_world_write_script(world->gate_hook, text);
    world->settings.gate_every_ms = 20;
    keyring_world_open(world);
}

static void a_gate_hook_is_asked(void **state)
{
    struct keyring_world *world = *state;
    char busy[128];
    (void)snprintf(busy, sizeof busy, "%s/busy", world->dir);
    assert_true(file_write(busy, bytes_of("four sales open\n", 16), 0600, NULL));
    reopen_with_hook(world);
    keyring_world_look(world);
    keyring_world_run_until_said(world, "waits for the gate hook: four sales open");
    assert_string_equal(keyring_world_text_of(world, "calls"), "inventory\n");
    assert_int_equal(unlink(busy), 0);
    while (world->placed == 0)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    keyring_world_settle(world);
    keyring_world_assert_ok(world);
    assert_int_equal(strncmp(keyring_world_text_of(world, "asked"), "settled\nsettled\n", 16), 0);
}

static const uint8_t *digest_of(const struct key_wanted *wanted)
{
    static uint8_t digest[32];
    keys_wanted_digest(wanted, digest);
    return digest;
}

static void a_person_is_asked_and_decides(void **state)
{
    struct keyring_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .transaction = true};
    assert_false(keyring_decide(world->keyring, digest_of(&world->wanted), "user 0"));
    keyring_world_look(world);
    assert_null(strstr(world->text, "a person should look"));
    keyring_world_close(world); /* what it has waited for is kept */
    world->settings.patience_ms = 1;
    world->settings.gate_every_ms = 1;
    keyring_world_open(world);
    keyring_world_look(world);
    keyring_world_run_until_said(world, "a person should look");
    assert_non_null(strstr(world->text, "a person should look"));
    assert_string_equal(keyring_world_text_of(world, "given"), "");
    assert_true(keyring_decide(world->keyring, digest_of(&world->wanted), "user 0"));
    assert_non_null(strstr(world->text, "user 0 has decided"));
    assert_non_null(strstr(world->text, "the open transaction"));
    keyring_world_settle(world);
    keyring_world_assert_ok(world);
    assert_false(keyring_decide(world->keyring, digest_of(&world->wanted), "user 0"));
    /* the next one waits again */
    world->wanted.placement.key_version = 2;
    world->wanted.sha256[0] = 2;
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).state, MUSTER__ITEM_STATE__ITEM_PLACING);
}

/* The other one waits on, whichever is looked at first. */
static void a_decision_is_about_one_key(void **state)
{
    struct keyring_world *world = *state;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "cd %s\necho \"$*\" >>calls\nif [ \"$1\" = load ]; then cat >given\n"
                   "echo \"slot $2 usage $MUSTER_KEY_USAGE version $MUSTER_KEY_VERSION kcv "
                   "$MUSTER_KEY_KCV\" >>slots\necho \"kcv $MUSTER_KEY_KCV\"\n"
                   "else [ ! -e slots ] || cat slots; echo end; fi\n",
                   world->dir);
    keyring_world_script(world, text); /* which keeps both */
    world->lease = (struct gate_lease){.known = true, .batch = true};
    world->others = 1;
    world->other[0] = world->wanted;
    (void)snprintf(world->other[0].name, sizeof world->other[0].name, "zpk.key");
    (void)snprintf(world->other[0].placement.slot, sizeof world->other[0].placement.slot, "zpk");
    keyring_world_look(world);
    assert_true(keyring_waits(world->keyring, digest_of(&world->wanted)));
    assert_true(keyring_decide(world->keyring, digest_of(&world->other[0]), "user 0"));
    keyring_world_settle(world);
    assert_int_equal(world->placed, 1);
    assert_non_null(strstr(keyring_world_text_of(world, "calls"), "load zpk\n"));
    assert_null(strstr(keyring_world_text_of(world, "calls"), "load tmk\n"));
    assert_true(keyring_waits(world->keyring, digest_of(&world->wanted)));
    /* Somebody else's key takes its place: that is another matter. */
    (void)snprintf(text, sizeof text, "%s/slots", world->dir);
    assert_true(file_write(text, bytes_of("", 0), 0600, NULL));
    keyring_world_look(world);
    assert_int_equal(world->placed, 1);
    world->lease.batch = false;
    keyring_world_leased(world);
    assert_int_equal(world->placed, 3);
}

static void how_long_it_has_waited_is_kept(void **state)
{
    struct keyring_world *world = *state;
    world->lease = (struct gate_lease){.known = true, .batch = true};
    keyring_world_look(world);
    struct keys_book book;
    bool lost = true;
    world->keyring->gate.since_ms -= 7000;
    keyring_world_close(world);
    assert_true(keys_book_read(world->book, &book, &lost, NULL));
    assert_true(book.waited_ms >= 7000);
    world->settings.patience_ms = 7000;
    world->settings.gate_every_ms = 3600000;
    keyring_world_open(world);
    keyring_world_look(world);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "a person should look"));
    world->lease.batch = false;
    keyring_world_leased(world);
    keyring_world_assert_ok(world);
    assert_true(keys_book_read(world->book, &book, &lost, NULL));
    assert_int_equal(book.waited_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_closed_gate_keeps_the_key, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(it_says_that_a_key_is_being_replaced, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_gate_hook_is_asked, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_decision_is_about_one_key, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_person_is_asked_and_decides, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(how_long_it_has_waited_is_kept, keyring_world_set_up,
                                        keyring_world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
