/* SPDX-License-Identifier: Apache-2.0 */
/* The power goes, or the agent is killed, after every effect of handing a package over: the mark is
 * on the medium before the installer runs, so what runs is asked, and nothing is installed twice
 * that was installed. */
#include "tests/disk/disk.h"
#include "tests/unit/installer_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOTS = 3, SEEN_MAX = 4096 };

/* What the installer may have done when it stopped. */
enum outside { NOT_RUN, CUT_SHORT, COMPLETE };

struct strike {
    struct install_world *world;
    struct disk_log log;
    struct disk *disk;
    struct disk_image image;
    size_t marked; /* so many operations had been done when the installer was started */
    uint64_t seen[SEEN_MAX];
    size_t seen_count;
    unsigned images, kills;
};

/* Hands it over, as it goes when nothing happens. The step of each operation is what the installer
 * was doing: all that follows its hook has DOING_INSTALL. */
static void record(struct strike *strike)
{
    struct install_world *world = strike->world;
    install_close(world);
    disk_log_begin(&strike->log, world->state);
    strike->log.step = DOING_NOTHING;
    install_open(world);
    installer_look(world->installer);
    while (world->installer->doing != DOING_NOTHING) {
        if (strike->log.step != DOING_INSTALL)
            strike->log.step = world->installer->doing;
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    disk_log_end(&strike->log);
    install_close(world);
    assert_int_equal(install_calls(world, "install"), 1);
    while (strike->log.entries[strike->marked].step != DOING_INSTALL)
        strike->marked++;
}

/* The terminal as the cut has left it. */
static void restore(struct strike *strike, enum outside outside, bool rebooted)
{
    struct install_world *world = strike->world;
    struct err err = {0};
    assert_true(file_remove_tree(world->state, &err));
    if (!disk_image_write(&strike->image, world->state, &err))
        fail_msg("%s", err.text);
    install_write(world, "calls", "");
    install_write(world, "next", outside == COMPLETE ? "4.2\n" : "");
    install_write(world, "running", outside == COMPLETE && rebooted ? "4.2\n" : "4.1\n");
    world->boots = rebooted;
    world->boot_ms = 2000;
}

static const struct package_row *row_of(const struct install_world *world,
                                        struct packages_book *book)
{
    bool lost = false;
    struct err err = {0};
    if (!packages_book_read(world->book, book, &lost, &err) || lost)
        fail_msg("the book is damaged: %s", err.text);
    return packages_book_find(book, &world->wanted);
}

static void assert_ends_well(struct strike *strike)
{
    struct install_world *world = strike->world;
    install_reboot(world);
    install_look(world);
    if (!install_said(world).converged)
        fail_msg("after a restart: %s", install_said(world).reason);
    install_close(world);
}

static void look_at(struct strike *strike, size_t point, enum outside outside, bool rebooted)
{
    struct install_world *world = strike->world;
    struct packages_book book;
    restore(strike, outside, rebooted);
    const struct package_row *row = row_of(world, &book);
    const bool marked = row != NULL && row->step != PACKAGE_NEW;
    if (point >= strike->marked && !marked)
        fail_msg("operation %zu: the installer may have run, and nothing on the medium says so",
                 point);
    const unsigned handings = row != NULL ? row->handings : 0;
    install_open(world);
    install_look(world);
    const size_t calls = install_calls(world, "install");
    const bool done = outside == COMPLETE || (marked && !rebooted) ||
                      (row != NULL && row->step == PACKAGE_HANDED);
    if (calls != (done ? 0 : 1))
        fail_msg("operation %zu: handed over %zu times, %s", point, calls,
                 install_said(world).reason);
    row = row_of(world, &book);
    if (row != NULL && row->step != PACKAGE_DONE)
        assert_int_equal(row->handings, handings + calls);
    if (!rebooted && outside != COMPLETE &&
        marked) { /* what was cut short is done after the next restart */
        install_reboot(world);
        install_look(world);
        assert_int_equal(install_calls(world, "install"),
                         row != NULL && row->step == PACKAGE_HANDED ? 0 : 1);
        if (row != NULL && row->step == PACKAGE_HANDED) {
            install_close(world);
            return;
        }
    }
    assert_ends_well(strike);
}

static bool is_new(struct strike *strike, enum outside outside, bool rebooted)
{
    const uint64_t hash = disk_mix(strike->image.hash + 8 * (uint64_t)outside + rebooted);
    for (size_t i = 0; i < strike->seen_count; i++)
        if (strike->seen[i] == hash)
            return false;
    assert_true(strike->seen_count < SEEN_MAX);
    strike->seen[strike->seen_count++] = hash;
    return true;
}

static void try_image(struct strike *strike, size_t point, bool rebooted)
{
    const enum outside first = point <= strike->marked ? NOT_RUN : COMPLETE;
    const enum outside last = point < strike->marked ? NOT_RUN : COMPLETE;
    for (enum outside outside = first; outside <= last; outside++) {
        if (!is_new(strike, outside, rebooted))
            continue;
        look_at(strike, point, outside, rebooted);
        strike->images += rebooted;
        strike->kills += !rebooted;
    }
}

static void try_point(struct strike *strike, size_t point)
{
    static const enum disk_kept kept[] = {DISK_KEPT_ALL, DISK_KEPT_NONE, DISK_KEPT_SOME,
                                          DISK_KEPT_TORN};
    struct disk_cut cut = {DISK_KEPT_ALL, DISK_KEPT_ALL, 0};
    disk_image(strike->disk, &cut, &strike->image);
    try_image(strike, point, false); /* killed: nothing of what was done is lost */
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        for (cut.lot = 1; cut.lot <= LOTS; cut.lot++) {
            cut.writes = cut.names = kept[i];
            disk_image(strike->disk, &cut, &strike->image);
            try_image(strike, point, true);
        }
    }
}

static void every_effect_of_handing_over_may_be_the_last(void **state)
{
    struct strike *strike = calloc(1, sizeof *strike);
    const struct disk_entry *entry;
    assert_non_null(strike);
    strike->world = *state;
    record(strike);
    assert_true(strike->marked > strike->log.base && strike->marked < strike->log.count);
    strike->disk = disk_new(&strike->log);
    size_t point = strike->log.base;
    try_point(strike, point);
    while (disk_next(strike->disk, &entry))
        try_point(strike, ++point);
    assert_int_equal(point, strike->log.count);
    assert_true(strike->images > 10 && strike->kills > 10);
    print_message("installer.power_cuts %u count\ninstaller.kills %u count\n", strike->images,
                  strike->kills);
    disk_image_done(&strike->image);
    disk_free(strike->disk);
    disk_log_done(&strike->log);
    install_open(strike->world);
    free(strike);
}

/* ---- a disk that takes nothing ---- */

static int no_room(void *ctx, const struct disk_op *op)
{
    unsigned *left = ctx;
    (void)op;
    if (*left > 0) {
        --*left;
        return 0;
    }
    return 28; /* ENOSPC */
}

/* Whichever effect fails: nothing is installed without a mark, and it goes on when there is room.
 */
static void every_effect_may_fail(void **state)
{
    struct install_world *world = *state;
    char image[64];
    (void)snprintf(image, sizeof image, "%s", install_text(world, "state/image"));
    for (unsigned n = 0, all = 1; all > 0; n++) {
        struct err err = {0};
        unsigned left = n;
        struct packages_book book;
        install_close(world);
        assert_true(file_remove_tree(world->state, &err) &&
                    file_make_dir(world->state, 0750, &err));
        install_write(world, "state/image", image);
        install_write(world, "running", "4.1\n");
        install_write(world, "calls", "");
        install_open(world);
        const struct disk_tap tap = {.ctx = &left, .before = no_room};
        (void)disk_tap_set(&tap);
        install_look(world);
        (void)disk_tap_set(NULL);
        all = left == 0; /* else it needed no more than n */
        const struct package_row *row = row_of(world, &book);
        if (install_calls(world, "install") > 0)
            assert_true(row != NULL && row->step != PACKAGE_NEW);
        install_look(world);
        assert_int_equal(install_calls(world, "install"), 1);
        install_reboot(world);
        install_look(world);
        assert_true(install_said(world).converged);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, install_set_up, install_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_effect_of_handing_over_may_be_the_last),
        TEST(every_effect_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
