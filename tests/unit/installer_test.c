/* SPDX-License-Identifier: Apache-2.0 */
/* Packages beside installers that are scripts: right ones, wrong ones, and some that never end. */
#include "tests/unit/installer_world.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTALLER MUSTER__REFUSAL__REFUSAL_PACKAGE_INSTALLER
#define VERSION MUSTER__REFUSAL__REFUSAL_PACKAGE_VERSION
#define MODEL MUSTER__REFUSAL__REFUSAL_PACKAGE_MODEL
#define NONE MUSTER__REFUSAL__REFUSAL_NONE

static void assert_refused(const struct install_world *world, Muster__Refusal refusal,
                           const char *why)
{
    const struct install_said said = install_said(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_REFUSED);
    assert_int_equal(said.refusal, refusal);
    assert_int_equal(world->refusal, refusal);
    assert_false(said.converged);
    if (strstr(said.reason, why) == NULL)
        fail_msg("%s", said.reason);
}

static void assert_runs(const struct install_world *world)
{
    const struct install_said said = install_said(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_OK);
    assert_true(said.converged);
    assert_string_equal(world->text, "4.2 runs");
}

static void assert_compared(struct install_world *world, Muster__AssignMode mode,
                            Muster__ItemState state, const char *why)
{
    world->wanted.mode = mode;
    install_look(world);
    const struct install_said said = install_said(world);
    assert_int_equal(said.state, state);
    assert_int_equal(said.converged, state == MUSTER__ITEM_STATE__ITEM_OK);
    if (strstr(said.reason, why) == NULL)
        fail_msg("%s", said.reason);
}

/* ---- as it should go ---- */

static void somebody_elses_is_asked_about_and_never_handed_over(void **state)
{
    struct install_world *world = *state;
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_PROPOSE;
    const struct install_said said = install_said(world);
    assert_int_equal(said.state, MUSTER__ITEM_STATE__ITEM_UNKNOWN);
    assert_false(said.converged);
    assert_compared(world, MUSTER__ASSIGN_MODE__MODE_PROPOSE, MUSTER__ITEM_STATE__ITEM_PROPOSED,
                    "4.1 runs, 4.2 is wanted; proposed to ops");
    assert_compared(world, MUSTER__ASSIGN_MODE__MODE_OBSERVE, MUSTER__ITEM_STATE__ITEM_DRIFT,
                    "4.1 runs, 4.2 is wanted; observed only");
    install_write(world, "running", "no version\n");
    assert_compared(world, MUSTER__ASSIGN_MODE__MODE_PROPOSE, MUSTER__ITEM_STATE__ITEM_UNKNOWN,
                    "is no version");
    install_write(world, "running", "4.2\n");
    assert_compared(world, MUSTER__ASSIGN_MODE__MODE_PROPOSE, MUSTER__ITEM_STATE__ITEM_OK, "");
    assert_int_equal(install_calls(world, "install"), 0);
    install_write(world, "running", "4.1\n"); /* the fleet's from now on */
    world->wanted.mode = MUSTER__ASSIGN_MODE__MODE_REPAIR;
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

static void a_package_is_handed_over_once_and_its_version_is_the_answer(void **state)
{
    struct install_world *world = *state;
    world->proving = true;
    install_assert_placing(world, "not asked yet");
    world->proving = false;
    install_assert_placing(world, "not asked yet");
    install_look(world);
    char expected[256];
    (void)snprintf(expected, sizeof expected,
                   "version firmware os\ninstall firmware os 4.2 %s/os\nversion firmware os\n",
                   world->folder);
    assert_string_equal(install_text(world, "calls"), expected);
    assert_string_equal(install_text(world, "got"), install_text(world, "state/image"));
    install_assert_placing(world, "it was handed to the installer; 4.1 runs, until 4.2 does");
    assert_string_equal(world->text, "4.2 was handed to the installer, 4.1 runs");
    assert_string_equal(world->running, "4.1");
    install_look(world);
    assert_int_equal(world->events, 1);
    install_reboot(world);
    install_assert_placing(world, "not asked yet");
    install_look(world);
    assert_runs(world);
    assert_int_equal(world->events, 2);
    assert_int_equal(install_calls(world, "install"), 1);
    install_reboot(
        world); /* nor is it told again by the next start, or doubted before it is asked */
    assert_true(install_said(world).converged);
    install_look(world);
    assert_runs(world);
    assert_int_equal(world->events, 2);
    char path[160];
    (void)snprintf(path, sizeof path, "%s/os", world->folder);
    assert_false(file_exists(path));
}

/* Whatever the power does next: it is not handed over again by one who does not know of it. */
static void that_it_was_taken_is_on_the_medium_before_anything_else(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->version_hook, "cp state/packages seen 2>/dev/null\ncat running\n");
    install_look(world);
    assert_non_null(strstr(install_text(world, "seen"), " 4.2 2 0 1 ")); /* PACKAGE_HANDED */
}

static void what_runs_already_is_not_handed_over(void **state)
{
    struct install_world *world = *state;
    install_write(world, "running", "4.2\nbuilt today\n");
    install_look(world);
    assert_runs(world);
    assert_int_equal(install_calls(world, "install"), 0);
}

static void what_nobody_looks_at_is_not_as_it_should_be(void **state)
{
    struct install_world *world = *state;
    world->before = PACKAGES_MAX - 1;
    install_write(world, "next", "4.2\n");
    install_look(world);
    install_assert_placing(world, "it was handed to the installer");
    world->before = PACKAGES_MAX;
    install_look(world);
    install_assert_placing(world, "has its installer look at 16 packages, and this is one more");
    world->none = true;
    install_look(world);
    assert_true(install_said(world).converged);
}

static void what_is_not_in_force_is_not_handed_over(void **state)
{
    struct install_world *world = *state;
    world->none = true;
    install_look(world);
    assert_string_equal(install_text(world, "calls"), "");
    assert_true(install_said(world).converged);
}

/* ---- what is handed over ---- */

static void a_damaged_file_is_never_handed_over(void **state)
{
    struct install_world *world = *state;
    install_write(world, "state/image", "the image of an operating systen");
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 0);
    install_assert_placing(world, "its file is damaged");
}

static void it_stays_readable_whatever_comes_meanwhile(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->hook, "rm state/image\ncat \"$4\" >got\n");
    char image[64];
    (void)snprintf(image, sizeof image, "%s", install_text(world, "state/image"));
    install_look(world);
    assert_string_equal(install_text(world, "got"), image);
}

static void another_models_package_is_never_handed_over(void **state)
{
    struct install_world *world = *state;
    (void)snprintf(world->wanted.model, sizeof world->wanted.model, "P3");
    install_look(world);
    assert_refused(world, MODEL, "it is for model P3, this one is a P2");
    assert_int_equal(install_calls(world, "install"), 0);
    install_look(world);
    assert_int_equal(world->events, 1);
    install_close(world);
    world->settings.model = "P3"; /* it was set wrongly */
    install_open(world);
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

/* ---- installers that fail ---- */

static void a_no_is_told_and_not_asked_for_twice(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->hook,
                   "echo install >>calls\necho 'wrong slot'\necho more\nexit 3\n");
    install_look(world);
    assert_refused(world, INSTALLER, "the installer said no (exit 3): wrong slot");
    install_look(world);
    install_reboot(world);
    install_look(world);
    assert_refused(world, INSTALLER, "the installer said no (exit 3): wrong slot");
    assert_int_equal(install_calls(world, "install"), 1);
    assert_int_equal(world->events, 1);
    installer_forgive(world->installer);
    install_settle(world);
    assert_int_equal(install_calls(world, "install"), 2);
    world->wanted.sha256[0] ^= 1; /* another content is another matter, and so is going back */
    install_look(world);
    world->wanted.sha256[0] ^= 1;
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 2);
}

static void wait_gone(pid_t child)
{
    char path[64], text[512];
    for (bool gone = false; !gone;) { /* an orphan is reaped by somebody else */
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        FILE *file = fopen(path, "re");
        gone = file == NULL || fgets(text, sizeof text, file) == NULL || strstr(text, ") Z ");
        if (file != NULL)
            (void)fclose(file);
    }
}

static void one_that_hangs_is_killed_with_its_children(void **state)
{
    struct install_world *world = *state;
    install_close(world);
    world->settings.hook_limit_ms = 200;
    install_script(world, world->hook, "trap '' TERM\nsleep 1000 & echo $! >child\nwait\n");
    install_open(world);
    install_look(world);
    assert_refused(world, INSTALLER, "did not end within 0 s and was killed");
    pid_t child = (pid_t)atoi(install_text(world, "child"));
    assert_true(child > 1);
    wait_gone(child);
}

static void one_that_forks_away_does_not_hold_it_up(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->hook, "echo 4.2 >next\nsetsid sleep 1000 & echo $! >child\n");
    install_look(world);
    install_assert_placing(world, "it was handed to the installer");
    (void)kill((pid_t)atoi(install_text(world, "child")), SIGKILL);
}

static void one_that_is_ended_from_outside_has_said_nothing(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->hook, "echo install >>calls\necho 4.2 >next\nkill -TERM $$\n");
    install_look(world);
    install_assert_placing(world, "the agent ended while it was handed over");
    install_look(world);
    install_reboot(world);
    install_look(world);
    assert_runs(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

static void one_that_cannot_run_leaves_no_mark(void **state)
{
    struct install_world *world = *state;
    assert_true(file_remove(world->hook, NULL));
    install_look(world);
    install_assert_placing(world, "the installer cannot be run");
    install_script(world, world->hook, "echo install >>calls\n");
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 1);
    assert_int_equal(world->installer->book.rows[0].handings, 1);
}

static void without_hooks_nothing_is_done_on_a_guess(void **state)
{
    struct install_world *world = *state;
    install_close(world);
    world->settings.version_hook = "";
    install_open(world);
    install_look(world);
    assert_in_range(uv_timer_get_due_in(&world->installer->timer), 600001, 3600000);
    install_assert_placing(world, "no version hook is set on this terminal (install.version_hook)");
    install_close(world);
    world->settings.version_hook = world->version_hook;
    world->settings.hook = "";
    install_open(world);
    install_look(world);
    install_assert_placing(world, "no installer is set on this terminal (install.hook)");
    assert_int_equal(install_calls(world, "install"), 0);
    static const char *const bad[] = {"exit 1\n", "echo 'not a version'\n", "true\n",
                                      "head -c 100 /dev/zero | tr '\\0' 1\n"};
    install_close(world);
    world->settings.hook = world->hook;
    install_open(world);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        install_script(world, world->version_hook, bad[i]);
        install_look(world);
        install_assert_placing(world, "version hook");
        assert_int_equal(install_calls(world, "install"), 0);
    }
}

/* What is only asked something leaves nothing behind, in whatever session. */
static void a_version_hook_that_forks_away_is_ended_with_it(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->version_hook,
                   "setsid sleep 1000 >/dev/null 2>&1 & echo $! >child\n"
                   "until grep -q sleep /proc/$(cat child)/cmdline; do :; done\ncat running\n");
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 1);
    pid_t child = (pid_t)atoi(install_text(world, "child"));
    assert_true(child > 1);
    wait_gone(child);
}

/* ---- what runs after it ---- */

static void another_version_after_the_limit_is_told_with_both(void **state)
{
    struct install_world *world = *state;
    install_script(world, world->hook, "echo install >>calls\n");
    install_look(world);
    world->boot_ms += 3000000;
    install_look(world);
    install_assert_placing(world, "it was handed to the installer");
    install_reboot(world); /* the time that it was on counts, not that it was off */
    world->boot_ms = 500000;
    install_look(world);
    install_assert_placing(world, "it was handed to the installer");
    world->boot_ms = 700000;
    install_look(world);
    assert_refused(world, VERSION, "minutes after it was handed over 4.1 runs, and not 4.2");
    install_look(world);
    install_reboot(world);
    install_look(world);
    assert_int_equal(world->events, 2);
    assert_int_equal(install_calls(world, "install"), 1);
    install_write(world, "running", "4.2\n"); /* late, and good */
    install_look(world);
    assert_runs(world);
}

static void a_version_that_was_given_up_is_not_installed_again(void **state)
{
    struct install_world *world = *state;
    install_look(world);
    install_reboot(world);
    install_look(world);
    assert_runs(world);
    install_write(world, "running", "4.1\n"); /* the other slot, after it did not boot */
    install_write(world, "next", "");
    install_look(world);
    assert_refused(world, VERSION, "4.2 ran, and 4.1 runs now");
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

static void what_ran_by_itself_is_put_back(void **state)
{
    struct install_world *world = *state;
    install_write(world, "running", "4.2\n");
    install_look(world);
    assert_runs(world);
    install_write(world, "running", "4.0\n"); /* somebody has been here */
    install_look(world);
    assert_int_equal(install_calls(world, "install firmware os 4.2"), 1);
}

static void going_back_and_forth_is_handed_over_each_time(void **state)
{
    struct install_world *world = *state;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(world->wanted.package_version, sizeof world->wanted.package_version,
                       i == 1 ? "4.1" : "4.2");
        install_look(world);
        install_reboot(world);
        install_look(world);
        assert_true(install_said(world).converged);
    }
    assert_int_equal(install_calls(world, "install"), 3);
}

/* ---- the disk ---- */

static void a_book_that_is_damaged_leads_to_a_question(void **state)
{
    struct install_world *world = *state;
    install_look(world);
    install_close(world);
    install_write(world, "state/packages", "muster packages 1\nos ...");
    install_reboot(world);
    install_look(world);
    assert_runs(world);
    assert_int_equal(install_calls(world, "install"), 1);
}

static void a_book_that_cannot_be_kept_lets_nothing_run(void **state)
{
    struct install_world *world = *state;
    install_close(world);
    world->settings.book = "/proc/packages";
    install_open(world);
    install_look(world);
    assert_int_equal(install_calls(world, "install"), 0);
    install_assert_placing(world, "it is not handed over");
    /* It may be that the disk was full: the next check is an hour away. */
    assert_in_range(uv_timer_get_due_in(&world->installer->timer), 1, 600000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, install_set_up, install_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(somebody_elses_is_asked_about_and_never_handed_over),
        TEST(a_package_is_handed_over_once_and_its_version_is_the_answer),
        TEST(that_it_was_taken_is_on_the_medium_before_anything_else),
        TEST(what_runs_already_is_not_handed_over),
        TEST(what_nobody_looks_at_is_not_as_it_should_be),
        TEST(what_is_not_in_force_is_not_handed_over),
        TEST(a_damaged_file_is_never_handed_over),
        TEST(it_stays_readable_whatever_comes_meanwhile),
        TEST(another_models_package_is_never_handed_over),
        TEST(a_no_is_told_and_not_asked_for_twice),
        TEST(one_that_hangs_is_killed_with_its_children),
        TEST(one_that_forks_away_does_not_hold_it_up),
        TEST(one_that_is_ended_from_outside_has_said_nothing),
        TEST(one_that_cannot_run_leaves_no_mark),
        TEST(without_hooks_nothing_is_done_on_a_guess),
        TEST(a_version_hook_that_forks_away_is_ended_with_it),
        TEST(another_version_after_the_limit_is_told_with_both),
        TEST(a_version_that_was_given_up_is_not_installed_again),
        TEST(what_ran_by_itself_is_put_back),
        TEST(going_back_and_forth_is_handed_over_each_time),
        TEST(a_book_that_is_damaged_leads_to_a_question),
        TEST(a_book_that_cannot_be_kept_lets_nothing_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
