/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/installer.h"

#include "agent/installer_internal.h"
#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ASK_AGAIN_MS = 60 * 1000,      /* while a package is to come to run */
    TRY_AGAIN_MS = 10 * 60 * 1000, /* what a full disk or its like held up */
    KEEP_AGE_MS = 60 * 1000,
    ASKED_FILE_BYTES = 16 * 1024 * 1024, /* what only says which version runs writes none longer */
};

static char *kind_word(Muster__DocumentKind kind)
{
    static char application[] = "application", firmware[] = "firmware";
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE ? firmware : application;
}

bool installer_keep(struct installer *installer, struct err *err)
{
    return packages_book_write(installer->book_path, &installer->book, err);
}

/* ---- judging ---- */

/* How old a handing over is outlives the agent and the boot, late by no more than this. */
static bool age_row(const struct installer *installer, struct package_row *row)
{
    const int64_t now_ms = clock_boot_ms(installer->clock);
    const int64_t age_ms = package_age(row, installer->boot_id, now_ms);
    const bool same = memcmp(row->boot_id, installer->boot_id, sizeof row->boot_id) == 0;
    if (row->step != PACKAGE_HANDED || (same && age_ms - row->age_ms < KEEP_AGE_MS))
        return false;
    row->age_ms = age_ms;
    row->kept_ms = now_ms;
    memcpy(row->boot_id, installer->boot_id, sizeof row->boot_id);
    return true;
}

static bool take_verdict(struct installer *installer, const struct installer_item *item)
{
    const struct package_verdict *verdict = &item->verdict;
    struct package_row *row = packages_book_find(&installer->book, &item->wanted);
    if (verdict->step == PACKAGE_NEW) /* judged anew each time */
        return false;
    if (row == NULL)
        row = packages_book_row(&installer->book, &item->wanted);
    if (row->step == verdict->step)
        return age_row(installer, row);
    row->step = verdict->step;
    row->refusal = verdict->refusal;
    memcpy(row->why, verdict->why, sizeof row->why);
    return true;
}

void installer_judge(struct installer *installer)
{
    struct err err = {0};
    bool changed = false;
    for (size_t i = 0; i < installer->count; i++) {
        struct installer_item *item = &installer->items[i];
        struct package_row fresh = {.step = PACKAGE_NEW};
        const struct package_row *row = packages_book_find(&installer->book, &item->wanted);
        const struct package_facts facts = {
            .running = item->running,
            .trouble = item->trouble,
            .model = installer->model,
            .boot_id = installer->boot_id,
            .now_ms = clock_boot_ms(installer->clock),
            .limit_ms = installer->limit_ms,
        };
        package_judge(&item->wanted, row != NULL ? row : &fresh, &facts, &item->verdict);
        changed = take_verdict(installer, item) || changed;
    }
    if (changed && !installer_keep(installer, &err))
        log_error("%s", err.text);
    installer_tell(installer);
}

/* ---- running programs ---- */

bool installer_run(struct installer *installer, enum installer_doing doing, char *const argv[],
                   int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
                   struct err *err)
{
    const bool runs = doing == DOING_ASK ? child_run_alone(installer->loop, argv, "/", limit_ms,
                                                           ASKED_FILE_BYTES, done, installer, err)
                                         : child_run(installer->loop, argv, NULL, "/", limit_ms,
                                                     done, installer, err);
    if (!runs)
        return false;
    installer->doing = doing;
    return true;
}

static void closed_now(struct installer *installer)
{
    if (installer->timer_open || installer->doing != DOING_NOTHING)
        return;
    installer->closed(installer->closed_ctx);
    free(installer);
}

bool installer_ran(struct installer *installer)
{
    installer->doing = DOING_NOTHING;
    if (!installer->closing)
        return true;
    closed_now(installer);
    return false;
}

/* What waits for its gate waits for nothing else: what runs need not be asked again for it. */
void installer_look_at_gate(struct installer *installer)
{
    if (installer->waiting && installer->doing == DOING_NOTHING && !installer->closing)
        installer_next(installer);
}

static void on_timer(uv_timer_t *timer)
{
    struct installer *installer = timer->data;
    if (installer->waiting)
        installer_look_at_gate(installer);
    else
        installer_look(installer);
}

/* 0: not at all. */
static uint64_t sooner(uint64_t wait_ms, uint64_t other_ms)
{
    return wait_ms == 0 || wait_ms > other_ms ? other_ms : wait_ms;
}

void installer_plan(struct installer *installer)
{
    uint64_t wait_ms = installer->check_every_ms;
    for (size_t i = 0; i < installer->count; i++) {
        if (installer->items[i].verdict.todo == PACKAGE_WAIT)
            wait_ms = sooner(wait_ms, ASK_AGAIN_MS);
        else if (installer->items[i].held_up)
            wait_ms = sooner(wait_ms, TRY_AGAIN_MS);
    }
    if (installer->waiting)
        wait_ms = sooner(wait_ms, installer->gate_every_ms);
    if (!installer->closing && wait_ms > 0)
        (void)uv_timer_start(&installer->timer, on_timer, wait_ms, 0);
}

static bool is_to_hand_over(const struct installer *installer)
{
    for (size_t i = 0; i < installer->count; i++)
        if (installer->items[i].verdict.todo == PACKAGE_HAND_OVER)
            return true;
    return false;
}

void installer_next(struct installer *installer)
{
    if (installer->again) {
        installer_look(installer);
        return;
    }
    for (size_t i = 0; i < installer->count; i++) {
        if (installer->items[i].verdict.todo != PACKAGE_HAND_OVER)
            continue;
        installer_hand_over(installer, &installer->items[i].wanted);
        if (installer->doing != DOING_NOTHING)
            return;
        if (installer->waiting)
            break;
    }
    if (!is_to_hand_over(installer))
        installer_drop_ready(installer);
    installer_plan(installer);
}

/* ---- asking what runs ---- */

static void ask_next(struct installer *installer);

static void take_answer(const struct installer *installer, struct installer_item *item,
                        const struct child_result *result)
{
    item->running[0] = item->trouble[0] = '\0';
    if (result->timed_out)
        (void)snprintf(item->trouble, sizeof item->trouble,
                       "the version hook did not end within %lld ms and was killed",
                       (long long)installer->version_limit_ms);
    else if (result->exit_status != 0)
        (void)snprintf(item->trouble, sizeof item->trouble,
                       "the version hook does not say what runs (exit %d)", result->exit_status);
    else if (!package_running(result->output, item->running))
        (void)snprintf(item->trouble, sizeof item->trouble,
                       "what the version hook printed is no version");
}

static void on_version(void *ctx, const struct child_result *result)
{
    struct installer *installer = ctx;
    if (!installer_ran(installer))
        return;
    take_answer(installer, &installer->items[installer->at], result);
    installer->at++;
    ask_next(installer);
}

static bool ask(struct installer *installer, struct installer_item *item)
{
    struct err err = {0};
    char *const argv[] = {installer->version_hook, kind_word(item->wanted.kind), item->wanted.name,
                          NULL};
    if (installer->version_hook[0] == '\0') {
        (void)snprintf(item->trouble, sizeof item->trouble,
                       "no version hook is set on this terminal (install.version_hook), and "
                       "nothing is handed over on a guess");
        return false;
    }
    if (installer_run(installer, DOING_ASK, argv, installer->version_limit_ms, on_version, &err))
        return true;
    (void)snprintf(item->trouble, sizeof item->trouble, "the version hook cannot be run: %.120s",
                   err.text);
    return false;
}

static void ask_next(struct installer *installer)
{
    for (; installer->at < installer->count; installer->at++) {
        struct installer_item *item = &installer->items[installer->at];
        if (ask(installer, item))
            return;
        item->running[0] = '\0';
    }
    installer_judge(installer);
    installer_next(installer);
}

static bool is_wanted(const struct installer *installer, const struct package_wanted *wanted)
{
    for (size_t i = 0; i < installer->count; i++)
        if (strcmp(installer->items[i].wanted.name, wanted->name) == 0 &&
            memcmp(installer->items[i].wanted.sha256, wanted->sha256, 32) == 0 &&
            strcmp(installer->items[i].wanted.package_version, wanted->package_version) == 0)
            return true;
    return false;
}

static bool wanted_as(const struct package_wanted *one, const struct package_wanted *other)
{
    return strcmp(one->name, other->name) == 0 && one->kind == other->kind &&
           one->mode == other->mode &&
           memcmp(one->sha256, other->sha256, sizeof one->sha256) == 0 &&
           strcmp(one->package_version, other->package_version) == 0 &&
           strcmp(one->model, other->model) == 0;
}

/* What was known of those that stay is known until they have been asked. */
static void take_wanted(struct installer *installer, const struct package_wanted *wanted,
                        size_t count)
{
    struct installer_item items[PACKAGES_MAX];
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct installer_item){.wanted = wanted[i]};
        for (size_t k = 0; k < installer->count; k++)
            if (wanted_as(&installer->items[k].wanted, &wanted[i]))
                items[i] = installer->items[k];
        items[i].held_up = false;
    }
    if (count > 0)
        memcpy(installer->items, items, count * sizeof items[0]);
    installer->count = count;
}

static void begin(struct installer *installer)
{
    struct package_wanted wanted[PACKAGES_MAX];
    struct err err = {0};
    installer->again = false;
    take_wanted(installer, wanted, installer->events.wanted(installer->ctx, wanted, PACKAGES_MAX));
    if (packages_book_keep(&installer->book, wanted, installer->count) &&
        !installer_keep(installer, &err))
        log_error("%s", err.text);
    if (installer->ready.name[0] != '\0' && !is_wanted(installer, &installer->ready))
        installer_drop_ready(installer);
    installer->at = 0;
    ask_next(installer);
}

void installer_look(struct installer *installer)
{
    if (installer->closing)
        return;
    if (installer->doing != DOING_NOTHING)
        installer->again = true;
    else
        begin(installer);
}

bool installer_installing(const struct installer *installer)
{
    return installer->doing == DOING_INSTALL;
}

void installer_forgive(struct installer *installer)
{
    struct err err = {0};
    if (packages_book_forgive(&installer->book) && !installer_keep(installer, &err))
        log_error("%s", err.text);
    installer_look(installer);
}

/* ---- opening and closing ---- */

static bool take_settings(struct installer *installer, const struct installer_settings *settings,
                          struct err *err)
{
    const struct {
        char *to;
        size_t size;
        const char *from;
    } texts[] = {
        {installer->book_path, sizeof installer->book_path, settings->book},
        {installer->dir, sizeof installer->dir, settings->dir},
        {installer->hook, sizeof installer->hook, settings->hook},
        {installer->version_hook, sizeof installer->version_hook, settings->version_hook},
        {installer->model, sizeof installer->model, settings->model},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (snprintf(texts[i].to, texts[i].size, "%s", texts[i].from) >= (int)texts[i].size)
            return err_set(err, ERR_INVALID, "packages: %.60s... is too long", texts[i].from);
    installer->hook_limit_ms = settings->hook_limit_ms;
    installer->version_limit_ms = settings->version_limit_ms;
    installer->limit_ms = settings->limit_ms;
    installer->check_every_ms = (uint64_t)settings->check_every_ms;
    installer->gate = settings->gate;
    installer->gate_every_ms = (uint64_t)settings->gate_every_ms;
    return true;
}

static void on_gate_heard(void *ctx)
{
    installer_look_at_gate(ctx);
}

/* What an earlier run had handed over, or was about to: the book says which, the file is made
 * again. */
static bool sweep(const struct installer *installer, struct err *err)
{
    return file_sweep_beside(installer->book_path, err) && file_remove_tree(installer->dir, err);
}

bool installer_open(uv_loop_t *loop, const struct clock *clock,
                    const struct installer_settings *settings,
                    const struct installer_events *events, void *ctx,
                    struct installer **ret_installer, struct err *err)
{
    bool lost = false;
    struct installer *installer = calloc(1, sizeof *installer);
    if (installer == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for packages");
    installer->loop = loop;
    installer->clock = clock;
    installer->events = *events;
    installer->ctx = ctx;
    if (!take_settings(installer, settings, err) || !clock_boot_id(installer->boot_id, err) ||
        !sweep(installer, err) ||
        !packages_book_read(installer->book_path, &installer->book, &lost, err)) {
        free(installer);
        return false;
    }
    if (lost)
        log_warn("%s is lost, damaged or unreadable: what was handed to the installer is not "
                 "known, so what runs "
                 "decides",
                 installer->book_path);
    (void)uv_timer_init(loop, &installer->timer);
    installer->timer.data = installer;
    installer->timer_open = true;
    gate_hook_join(&installer->asker, settings->gate_hook, on_gate_heard, installer);
    *ret_installer = installer;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct installer *installer = handle->data;
    installer->timer_open = false;
    closed_now(installer);
}

void installer_close(struct installer *installer, void (*closed)(void *ctx), void *ctx)
{
    installer_gate_keep(installer);
    installer->closing = true;
    installer->closed = closed;
    installer->closed_ctx = ctx;
    gate_hook_leave(&installer->asker);
    uv_close((uv_handle_t *)&installer->timer, on_timer_closed);
}
