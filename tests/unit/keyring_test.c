/* SPDX-License-Identifier: Apache-2.0 */
/* The key slots beside loaders that are scripts: right ones, wrong ones, and some that never end.
 */
#include "base/file_internal.h"
#include "tests/unit/keyring_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_key_is_placed_once(void **state)
{
    struct keyring_world *world = *state;
    assert_int_equal(keyring_world_state_now(world).state, MUSTER__ITEM_STATE__ITEM_PLACING);
    world->proving = true;
    assert_int_equal(keyring_world_state_now(world).state, MUSTER__ITEM_STATE__ITEM_PLACING);
    world->proving = false;
    keyring_world_look(world);
    assert_string_equal(keyring_world_text_of(world, "calls"), "inventory\nload tmk\ninventory\n");
    assert_string_equal(keyring_world_text_of(world, "given"), KEYRING_BLOCK "\n");
    assert_null(strstr(keyring_world_text_of(world, "seen"),
                       "B82679114F")); /* neither argv nor environment */
    assert_non_null(strstr(keyring_world_text_of(world, "seen"), "MUSTER_KEY_KCV=aes-cmac:08793e"));
    keyring_world_assert_ok(world);
    unsigned events = world->events;
    keyring_world_look(world);
    assert_string_equal(keyring_world_text_of(world, "calls"),
                        "inventory\nload tmk\ninventory\ninventory\n");
    assert_int_equal(world->events, events);
    keyring_world_close(world); /* each start tells it once: what was told may be lost */
    keyring_world_open(world);
    keyring_world_look(world);
    keyring_world_look(world);
    assert_int_equal(world->events, events + 1);
    keyring_world_assert_ok(world);
}

/* Nobody asks: the timer does. */
static void another_key_is_noticed_by_the_timer(void **state)
{
    struct keyring_world *world = *state;
    char slots[128], right[256];
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    (void)snprintf(right, sizeof right, "%s", keyring_world_text_of(world, "slots"));
    keyring_world_close(world);
    (void)snprintf(slots, sizeof slots, "%s/slots", world->dir);
    static const char other[] = "slot tmk usage P0 version 1 kcv aes-cmac:FFFFFF\n";
    assert_true(file_write(slots, bytes_of(other, strlen(other)), 0600, NULL));
    world->settings.check_every_ms = 10;
    world->placed = 0;
    keyring_world_open(world);
    while (world->placed == 0)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    keyring_world_settle(world);
    assert_string_equal(keyring_world_text_of(world, "slots"), right);
    keyring_world_assert_ok(world);
}

static void a_loader_that_says_no_is_not_asked_again(void **state)
{
    struct keyring_world *world = *state;
    keyring_world_script(world, "[ \"$1\" = load ] || exec echo end\n"
                                "echo x >>\"$(dirname \"$0\")/calls\"\n"
                                "echo \"why no room, not for $(cat)\"; exit 1\n");
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_LOADER,
                                 "no room, not for ****");
    assert_null(strstr(world->text, "B82679114F"));
    keyring_world_look(world);
    assert_string_equal(keyring_world_text_of(world, "calls"), "x\n");
    keyring_world_check(world); /* but when somebody wants to know */
    assert_string_equal(keyring_world_text_of(world, "calls"), "x\nx\n");
    keyring_world_good_loader(world);
    keyring_world_check(world);
    keyring_world_assert_ok(world);
}

/* Another system places it: told how the slot differs, and not a single load. */
static void an_observed_slot_is_compared_and_never_touched(void **state)
{
    struct keyring_world *world = *state;
    char slots[128];
    static const char other[] = "slot tmk usage P0 version 1 kcv aes-cmac:FFFFFF\n",
                      right[] = "slot tmk usage P0 version 1 kcv aes-cmac:08793E\n";
    (void)snprintf(slots, sizeof slots, "%s/slots", world->dir);
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    keyring_world_look(world);
    struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_int_equal(said.refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    assert_non_null(strstr(said.reason, "nothing is in it; observed only"));
    assert_int_equal(said.keys, 1);
    assert_false(said.converged);
    assert_non_null(
        strstr(world->text, "slot tmk: key version 1 of tmk.key is not in it: nothing"));
    assert_true(file_write(slots, bytes_of(other, strlen(other)), 0600, NULL));
    keyring_world_check(world);
    said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_non_null(strstr(world->text, "a key of another check value is in it"));
    assert_true(file_write(slots, bytes_of(right, strlen(right)), 0600, NULL));
    keyring_world_check(world);
    keyring_world_assert_ok(world);
    assert_null(strstr(keyring_world_text_of(world, "calls"), "load"));
    assert_int_equal(world->keyring->book.floors.count, 0);
    /* It is the fleet's from now on. */
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_REPAIR;
    assert_true(file_write(slots, bytes_of("", 0), 0600, NULL));
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    assert_non_null(strstr(keyring_world_text_of(world, "calls"), "load tmk"));
}

/* The same, and ops are asked: about what is known to differ alone. */
static void a_proposed_slot_is_asked_about(void **state)
{
    struct keyring_world *world = *state;
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_PROPOSE;
    keyring_world_look(world);
    struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_PROPOSED);
    assert_string_equal(said.reason, "nothing is in it; proposed to ops, not placed here");
    assert_false(said.converged);
    assert_null(strstr(keyring_world_text_of(world, "calls"), "load"));
    world->wanted.sha256[0]++; /* another block: the loader has not been asked since */
    said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_UNKNOWN);
    keyring_world_script(world, "exit 1\n");
    keyring_world_check(world);
    said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_UNKNOWN);
    assert_false(said.converged);
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    keyring_world_check(world);
    said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_UNKNOWN);
}

static void a_wrong_check_value_is_told(void **state)
{
    struct keyring_world *world = *state;
    keyring_world_script(
        world, "[ \"$1\" = load ] || exec echo end\ncat >/dev/null; echo kcv aes-cmac:08793F\n");
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_KCV, "another check value");
    keyring_world_script(world, "[ \"$1\" = load ] || exec echo end\ncat >/dev/null; echo done\n");
    keyring_world_check(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_KCV, "no key check value");
    /* It says the right one, and its inventory does not. */
    keyring_world_script(
        world, "[ \"$1\" = load ] || exec echo end\ncat >/dev/null; echo kcv aes-cmac:08793E\n");
    keyring_world_check(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_KCV, "does not hold its key");
}

static void a_loader_that_hangs_is_killed(void **state)
{
    struct keyring_world *world = *state;
    keyring_world_close(world);
    world->settings.limit_ms = 300;
    keyring_world_open(world);
    keyring_world_script(
        world, "echo $$ >\"$(dirname \"$0\")/pid\"\ntail -f /dev/null & tail -f /dev/null\n");
    keyring_world_look(world);
    const struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_int_equal(said.refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    assert_non_null(strstr(said.reason, "did not end in time"));
    assert_int_not_equal(kill(atoi(keyring_world_text_of(world, "pid")), 0), 0);
}

/* One that cannot be loaded now keeps no other from its slot, and throws no doubt on what is right.
 */
static void one_that_cannot_be_loaded_starves_no_other(void **state)
{
    struct keyring_world *world = *state;
    char script[1024];
    world->others = 2;
    world->other[0] = world->other[1] = world->wanted;
    (void)snprintf(world->wanted.name, sizeof world->wanted.name, "a.key");
    (void)snprintf(world->wanted.placement.slot, sizeof world->wanted.placement.slot, "a");
    (void)snprintf(world->other[1].name, sizeof world->other[1].name, "z.key");
    (void)snprintf(world->other[1].placement.slot, sizeof world->other[1].placement.slot, "z");
    (void)snprintf(script, sizeof script,
                   "cd %s\necho \"$*\" >>calls\n"
                   "if [ \"$*\" = 'load a' ]; then echo why out of room just now; exit 6; fi\n"
                   "[ \"$1\" != load ] || { cat >/dev/null; touch \"$2\"; echo kcv "
                   "aes-cmac:08793E; exit; }\n"
                   "for s in tmk z; do [ ! -e $s ] || echo slot $s version 1 kcv aes-cmac:08793E; "
                   "done; echo end\n",
                   world->dir);
    keyring_world_script(world, script);
    keyring_world_look(world);
    assert_string_equal(keyring_world_text_of(world, "calls"),
                        "inventory\nload a\ninventory\nload tmk\ninventory\nload z\n"
                        "inventory\n");
    struct keyring_said said = keyring_world_state_now(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_OK); /* tmk.key */
    assert_int_equal(said.keys, 1);
    assert_false(said.converged);
    assert_non_null(strstr(world->text, "out of room just now"));
    const unsigned events = world->events;
    keyring_world_look(world);
    keyring_world_look(world);
    assert_int_equal(world->events, events);
    assert_non_null(strstr(keyring_world_text_of(world, "calls"),
                           "load z\ninventory\ninventory\nload a\ninventory\ninventory\nload a\n"));
    keyring_world_good_loader(world); /* which knows of one slot, the newest */
    world->others = 0;
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
}

/* Nobody knows what is in the slots: that is what is said, and nothing else. */
static void a_dead_loader_is_told(void **state)
{
    struct keyring_world *world = *state;
    world->none = true;
    keyring_world_script(world, "echo slot pik own; echo slot tak own; echo end\n");
    keyring_world_look(world);
    assert_true(world->asked);
    assert_int_equal(world->slots, 2);
    assert_string_equal(world->why, "");
    keyring_world_script(world, "echo why the reader is unplugged; exit 6\n");
    keyring_world_look(world);
    assert_non_null(strstr(world->text, "what is in the key slots is not known"));
    assert_non_null(strstr(world->text, "the reader is unplugged"));
    assert_false(world->asked);
    assert_int_equal(world->slots, 2);
    assert_non_null(strstr(world->why, "the reader is unplugged"));
    assert_int_equal(keyring_world_state_now(world).keys, 2);
    keyring_world_script(world, "echo end\n"); /* none is an answer as well */
    keyring_world_look(world);
    assert_true(world->asked);
    assert_int_equal(world->slots, 0);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
    world->asked = false;
    keyring_world_check(world); /* a person wants to know: all is told again */
    assert_true(world->asked);
    const unsigned events = world->events;
    keyring_untold(world->keyring); /* what was told was not kept */
    keyring_world_look(world);
    assert_int_equal(world->events, events + 1);
}

/* Chatter beside the answer is not part of it, and an answer that was cut is none. */
static void a_cut_answer_is_none(void **state)
{
    struct keyring_world *world = *state;
    char script[1024];
    keyring_world_script(world, "yes slot | head -c 20000; echo; echo end\n");
    keyring_world_look(world);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "says more than is read"));
    assert_int_equal(keyring_world_state_now(world).refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    keyring_world_script(world, "echo slot tmk version 1\n");
    keyring_world_look(world);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "does not end"));
    (void)snprintf(
        script, sizeof script,
        "yes chatter | head -c 20000 >&2\ncd %s\n"
        "if [ \"$1\" = load ]; then cat >/dev/null; touch in; echo kcv aes-cmac:08793E\n"
        "else [ ! -e in ] || echo slot tmk version 1 kcv aes-cmac:08793E; echo end; fi\n",
        world->dir);
    keyring_world_script(world, script);
    keyring_world_look(world);
    keyring_world_assert_ok(world);
}

/* More key blocks than there is room for are not passed over in silence. */
static void more_keys_than_are_looked_after_are_told(void **state)
{
    struct keyring_world *world = *state;
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    world->surplus = 3;
    keyring_world_look(world);
    assert_false(keyring_world_state_now(world).converged);
    assert_non_null(strstr(world->why, "3 key blocks more"));
    assert_non_null(strstr(world->text, "3 key blocks more"));
}

/* What may pass is tried again with the next look. */
static void a_loader_in_trouble_is_tried_again(void **state)
{
    struct keyring_world *world = *state;
    static const char *const scripts[] = {
        "exit 6\n", "echo slot tmk colour red\n", "kill -9 $$\n",
        "[ \"$1\" = load ] || exec echo end\necho why the reader is unplugged; exit 6\n"};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        keyring_world_script(world, scripts[i]);
        keyring_world_look(world);
        const struct keyring_said said = keyring_world_state_now(world);
        assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_PLACING);
        assert_int_equal(said.refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    }
    assert_non_null(strstr(keyring_world_state_now(world).reason, "the reader is unplugged"));
    assert_int_equal(unlink(world->loader), 0);
    keyring_world_look(world);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "cannot be run"));
    keyring_world_good_loader(world);
    keyring_world_look(world);
    keyring_world_assert_ok(world);
}

static void the_header_is_held_against_what_was_signed(void **state)
{
    struct keyring_world *world = *state;
    memcpy(world->wanted.placement.usage, "K0", 3);
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_HEADER, "another usage");
    assert_string_equal(keyring_world_text_of(world, "calls"), "inventory\n");
    memcpy(world->wanted.placement.usage, "P0", 3);
    world->sealed.data[world->sealed.length - 1] ^= 1;
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_CONTENT_SEALED, "changed since");
}

/* The floor stays where the terminal is switched off and the slot is emptied. */
static void an_older_version_is_never_placed(void **state)
{
    struct keyring_world *world = *state;
    char path[128];
    world->wanted.placement.key_version = 1;
    keyring_world_look(world);
    keyring_world_assert_ok(world);
    keyring_world_close(world);
    (void)snprintf(path, sizeof path, "%s/slots", world->dir);
    assert_int_equal(unlink(path), 0);
    keyring_world_open(world);
    world->wanted.placement.kcv[0] ^= 1; /* another key under the version */
    world->wanted.sha256[0] ^= 1;
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_VERSION, "not above 1");
    world->wanted.placement.kcv[0] ^= 1; /* the one that was placed goes back into its place */
    keyring_world_look(world);
    keyring_world_assert_ok(world);
}

static void what_a_cut_left_beside_the_book_goes(void **state)
{
    struct keyring_world *world = *state;
    char beside[PATH_MAX];
    keyring_world_close(world);
    assert_true(file_name_beside(world->book, beside, NULL));
    assert_true(file_write(beside, bytes_of("half", 4), 0600, NULL));
    keyring_world_open(world);
    assert_false(file_exists(beside));
}

/* What the maker of a security module might give with it. */
#define MAKER                                                                                      \
    "cd %s\n"                                                                                      \
    "case $1 in\n"                                                                                 \
    "ready) [ ! -e unplugged ];;\n"                                                                \
    "list) [ ! -e list ] || cat list; echo pik P0 T 0 -;;\n"                                       \
    "load) cat >given; [ ! -e refuses ] || exit 1\n"                                               \
    "      echo $2 P0 A $3 08793E >list; echo 08793E;;\n"                                          \
    "esac\n"

static void use_the_sample(struct keyring_world *world)
{
    char text[8192], maker[128], program[1024];
    static const char place[] = "/opt/maker/bin/keys";
    struct buf sample = {.limit = sizeof text - 1};
    assert_true(file_read(SAMPLES "/key-loader", sizeof text - 1, &sample, NULL));
    assert_true(buf_append(&sample, "", 1, NULL));
    char *at = strstr((char *)sample.data, place);
    assert_non_null(at);
    *at = '\0';
    (void)snprintf(maker, sizeof maker, "%s/maker", world->dir);
    (void)snprintf(text, sizeof text, "%s%s%s", (char *)sample.data, maker, at + strlen(place));
    keyring_world_script(world, text);
    (void)snprintf(program, sizeof program, MAKER, world->dir);
    keyring_world_write_script(maker, program);
    buf_done(&sample);
}

static void put(const struct keyring_world *world, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_true(file_write(path, bytes_of("", 0), 0600, NULL));
}

static void take(const struct keyring_world *world, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_int_equal(unlink(path), 0);
}

/* packaging/sample/key-loader as it is but for where the maker's program stands. */
static void the_sample_loader_places_a_key(void **state)
{
    struct keyring_world *world = *state;
    use_the_sample(world);
    put(world, "unplugged");
    keyring_world_look(world);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "gave no reason"));
    assert_int_equal(keyring_world_state_now(world).refusal, MUSTER__REFUSAL__REFUSAL_NONE);
    take(world, "unplugged");
    put(world, "refuses");
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_LOADER, "does not take this");
    take(world, "refuses");
    keyring_world_check(world);
    keyring_world_assert_ok(world);
    assert_string_equal(keyring_world_text_of(world, "given"), KEYRING_BLOCK "\n");
    assert_string_equal(keyring_world_text_of(world, "list"), "tmk P0 A 1 08793E\n");
    memcpy(world->wanted.placement.slot, "pik", 4); /* the application's own */
    world->wanted.sha256[0] = 9;
    keyring_world_look(world);
    keyring_world_assert_refused(world, MUSTER__REFUSAL__REFUSAL_KEY_LOADER,
                                 "which only it changes");
}

/* Just now. */
static void sign_on(struct keyring_world *world, unsigned acquirer, bool approved)
{
    const struct keyring_sign_on now = {
        .acquirer = acquirer, .approved = approved, .boot_ms = clock_boot_ms(&clock_real)};
    keyring_signed_on(world->keyring, &now);
}

/* Nobody signs on any more: that is noticed with time, also over a restart. */
static void own_keys_are_stale_with_age(void **state)
{
    struct keyring_world *world = *state;
    world->none = true;
    keyring_world_close(world);
    world->settings.sign_on_limit_ms = 1;
    world->settings.check_every_ms = 5;
    keyring_world_open(world);
    keyring_world_script(world, "echo slot pik own; echo end\n");
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
    sign_on(world, 1, true);
    while (strstr(world->text, "the last sign-on to acquirer 1 that was approved") == NULL)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    keyring_world_settle(world);
    keyring_world_close(world);
    world->settings.check_every_ms = 3600000;
    keyring_world_open(world);
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 1);
}

static void without_a_loader_it_says_so(void **state)
{
    struct keyring_world *world = *state;
    keyring_world_close(world);
    world->settings.loader = "";
    world->none = true;
    keyring_world_open(world);
    keyring_world_look(world);
    assert_int_equal(world->events, 0);
    world->none = false;
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).state, MUSTER__ITEM_STATE__ITEM_PLACING);
    assert_non_null(strstr(keyring_world_state_now(world).reason, "no key loader is set"));
    assert_int_equal(world->events, 1);
}

static void own_keys_are_stale_after_a_failed_sign_on(void **state)
{
    struct keyring_world *world = *state;
    world->none = true;
    keyring_world_script(world, "echo slot pik own; echo end\n");
    keyring_world_look(world);
    sign_on(world, 1, true);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
    sign_on(world, 1, false);
    assert_int_equal(keyring_world_state_now(world).keys, 1);
    assert_non_null(strstr(world->text, "the newest sign-on to acquirer 1 was not"));
    keyring_world_close(world);
    keyring_world_open(world);
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 1);
    sign_on(world, 1, true);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
}

static int64_t hours_since_boot(void *ctx)
{
    return *(const int64_t *)ctx * 3600000;
}

/* Switched off at the wall, with no time to keep anything: what the last check knew is kept. */
static void a_power_cut_makes_no_sign_on_younger(void **state)
{
    struct keyring_world *world = *state;
    int64_t hours = 1;
    const struct clock clock = {
        .wall_ms = hours_since_boot, .boot_ms = hours_since_boot, .ctx = &hours};
    const struct keyring_sign_on good = {.acquirer = 1, .approved = true, .boot_ms = 3600000};
    const struct keyring_sign_on of_before = {.acquirer = 1, .approved = true, .boot_ms = 0};
    struct buf book = {.limit = 8192};
    keyring_world_close(world);
    world->clock = &clock;
    world->none = true;
    world->settings.sign_on_limit_ms = 20 * 3600000;
    keyring_world_script(world, "echo slot pik own; echo end\n");
    keyring_world_open(world);
    keyring_signed_on(world->keyring, &good);
    hours = 20;
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 0);
    assert_true(file_read(world->book, 8192, &book, NULL));
    hours = 23;
    keyring_world_close(world);
    assert_true(file_write(world->book, buf_bytes(&book), 0640, NULL));
    buf_done(&book);
    hours = 2; /* of the next boot: 21 h, and three that nobody knows of */
    keyring_world_open(world);
    world->keyring->boot_id[0] ^= 1;
    keyring_world_look(world);
    assert_int_equal(keyring_world_state_now(world).keys, 1);
    assert_non_null(strstr(world->text, "the last sign-on to acquirer 1"));
    keyring_signed_on(world->keyring, &of_before); /* handed over late: it is no younger */
    assert_int_equal(keyring_world_state_now(world).keys, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_power_cut_makes_no_sign_on_younger, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(more_keys_than_are_looked_after_are_told,
                                        keyring_world_set_up, keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_cut_answer_is_none, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_dead_loader_is_told, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_loaded_starves_no_other,
                                        keyring_world_set_up, keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_key_is_placed_once, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(another_key_is_noticed_by_the_timer, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_loader_that_says_no_is_not_asked_again,
                                        keyring_world_set_up, keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_proposed_slot_is_asked_about, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(an_observed_slot_is_compared_and_never_touched,
                                        keyring_world_set_up, keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_check_value_is_told, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_loader_that_hangs_is_killed, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(a_loader_in_trouble_is_tried_again, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(the_header_is_held_against_what_was_signed,
                                        keyring_world_set_up, keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(an_older_version_is_never_placed, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(the_sample_loader_places_a_key, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(own_keys_are_stale_with_age, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(what_a_cut_left_beside_the_book_goes, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(without_a_loader_it_says_so, keyring_world_set_up,
                                        keyring_world_tear_down),
        cmocka_unit_test_setup_teardown(own_keys_are_stale_after_a_failed_sign_on,
                                        keyring_world_set_up, keyring_world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
