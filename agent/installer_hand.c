/* SPDX-License-Identifier: Apache-2.0 */
/* Handing one package over: hashed, when the gate is open, marked before and after. */
#include "agent/installer_internal.h"
#include "base/file.h"
#include "base/log.h"
#include "base/said.h"
#include "proto/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the file ---- */

/* A name of its own for the file, so that it stays whatever generation comes meanwhile; hashed
 * under that name, so that what is handed over is what was looked at. */
struct hash_job {
    uv_work_t work;
    struct installer *installer;
    struct package_wanted wanted;
    char from[REGISTRY_PATH_BYTES], dir[512], to[1024];
    bool same;
    struct err err;
};

static void hash_part(void *ctx, struct bytes part)
{
    sha256_add(ctx, part);
}

static bool hash_file(struct hash_job *job)
{
    uint8_t digest[32];
    struct sha256_state *state = sha256_begin();
    if (state == NULL)
        return err_set(&job->err, ERR_NO_MEMORY, "no memory to hash %s", job->to);
    bool read = file_scan(job->to, hash_part, state, &job->err);
    sha256_end(state, digest);
    job->same = read && memcmp(digest, job->wanted.sha256, sizeof digest) == 0;
    return read;
}

static void hash_run(uv_work_t *work)
{
    struct hash_job *job = work->data;
    if (!file_make_dir(job->dir, 0750, &job->err) || !file_remove(job->to, &job->err) ||
        !file_link(job->from, job->to, &job->err) || !hash_file(job))
        return;
}

void installer_drop_ready(struct installer *installer)
{
    struct err err = {0};
    if (installer->ready.name[0] != '\0' && !file_remove(installer->ready_path, &err))
        log_warn("packages: %s", err.text);
    installer->ready.name[0] = '\0';
    installer->waiting = installer->decided = false;
    installer->asked_person = false;
    installer->waits_for[0] = '\0';
}

/* `passing`: it is tried again in a while; else with the next check. */
static void note(struct installer *installer, const struct package_wanted *wanted, bool passing,
                 const char *what, const char *why)
{
    for (size_t i = 0; i < installer->count; i++) {
        struct installer_item *item = &installer->items[i];
        if (strcmp(item->wanted.name, wanted->name) != 0)
            continue;
        item->verdict.todo = PACKAGE_REST; /* until the next look */
        item->held_up = passing;
        (void)snprintf(item->verdict.why, sizeof item->verdict.why, "%s: %.120s", what, why);
    }
    log_warn("%s: %s: %s", wanted->name, what, why);
    installer_tell(installer);
}

static void hash_done(uv_work_t *work, int status)
{
    struct hash_job *job = work->data;
    struct installer *installer = job->installer;
    if (!installer_ran(installer)) {
        free(job);
        return;
    }
    if (status == 0 && job->err.code == ERR_NONE && job->same) {
        installer->ready = job->wanted;
        memcpy(installer->ready_path, job->to, sizeof installer->ready_path);
        installer_gate_begin(installer);
    } else {
        note(installer, &job->wanted, job->err.code != ERR_NONE, "it cannot be handed over",
             job->err.code != ERR_NONE ? job->err.text
                                       : "its file is damaged; the next check repairs it");
    }
    free(job);
    installer_next(installer);
}

static bool hash_start(struct installer *installer, const struct package_wanted *wanted,
                       struct err *err)
{
    struct hash_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory");
    job->work.data = job;
    job->installer = installer;
    job->wanted = *wanted;
    memcpy(job->dir, installer->dir, sizeof job->dir);
    if (!installer->events.path(installer->ctx, wanted->name, job->from, err) ||
        !path_join(job->to, sizeof job->to, installer->dir, wanted->name, err) ||
        uv_queue_work(installer->loop, &job->work, hash_run, hash_done) != 0) {
        free(job);
        return err->code == ERR_NONE ? err_set(err, ERR_IO, "no worker") : false;
    }
    installer->doing = DOING_HASH;
    return true;
}

/* ---- the hook ---- */

static void settle(struct installer *installer, struct package_row *row, enum package_step step,
                   Muster__Refusal refusal, const char *why)
{
    struct err err = {0};
    row->step = step;
    row->refusal = refusal;
    (void)snprintf(row->why, sizeof row->why, "%s", why);
    if (!installer_keep(installer, &err))
        log_error("%s", err.text);
    log_info("%s %s: %s", row->name, row->package_version,
             step == PACKAGE_HANDED ? "was handed to the installer" : row->why);
}

/* One that was ended from outside, as with a restart that it brought about itself, has said
 * nothing: what runs then says it. */
static void take_result(struct installer *installer, struct package_row *row,
                        const struct child_result *result)
{
    char said[PACKAGE_WHY_CHARS + 1], why[PACKAGE_WHY_CHARS + 1];
    const Muster__Refusal no = MUSTER__REFUSAL__REFUSAL_PACKAGE_INSTALLER;
    said_line(result->output, said, sizeof said);
    if (result->timed_out) {
        (void)snprintf(why, sizeof why, "the installer did not end within %lld s and was killed",
                       (long long)(installer->hook_limit_ms / 1000));
        settle(installer, row, PACKAGE_REFUSED, no, why);
    } else if (result->signal != 0) {
        log_warn("%s: the installer was ended by signal %d; what runs will say what it has done",
                 row->name, result->signal);
    } else if (result->exit_status != 0) {
        (void)snprintf(why, sizeof why, "the installer said no (exit %d): %.140s",
                       result->exit_status, said[0] != '\0' ? said : "it gave no reason");
        settle(installer, row, PACKAGE_REFUSED, no, why);
    } else {
        settle(installer, row, PACKAGE_HANDED, MUSTER__REFUSAL__REFUSAL_NONE, "");
    }
}

static void on_installed(void *ctx, const struct child_result *result)
{
    struct installer *installer = ctx;
    struct package_row *row = packages_book_find(&installer->book, &installer->ready);
    if (row != NULL)
        take_result(installer, row, result);
    installer_drop_ready(installer);
    if (!installer_ran(installer))
        return;
    if (installer->events.ended != NULL)
        installer->events.ended(installer->ctx);
    installer_look(installer);
}

/* On the medium before the installer runs: after a power cut it is known that it may have. */
static bool mark(struct installer *installer, struct err *err)
{
    struct packages_book before = installer->book;
    struct package_row *row = packages_book_row(&installer->book, &installer->ready);
    row->step = PACKAGE_HANDING;
    row->refusal = MUSTER__REFUSAL__REFUSAL_NONE;
    row->handings++;
    row->age_ms = 0;
    row->kept_ms = clock_boot_ms(installer->clock);
    row->why[0] = '\0';
    memcpy(row->boot_id, installer->boot_id, sizeof row->boot_id);
    if (installer_keep(installer, err))
        return true;
    installer->book = before;
    return false;
}

static void mark_and_run(struct installer *installer)
{
    static char application[] = "application", firmware[] = "firmware";
    struct package_wanted wanted = installer->ready;
    struct err err = {0};
    char *const argv[] = {installer->hook,
                          wanted.kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE ? firmware
                                                                                  : application,
                          wanted.name,
                          wanted.package_version,
                          installer->ready_path,
                          NULL};
    struct packages_book before = installer->book;
    if (!mark(installer, &err)) {
        installer_drop_ready(installer);
        note(installer, &wanted, true, "it is not handed over", err.text);
        return;
    }
    if (installer_run(installer, DOING_INSTALL, argv, installer->hook_limit_ms, on_installed,
                      &err)) {
        installer_tell(installer);
        return;
    }
    /* Nothing has run: as if it had not been marked. */
    installer->book = before;
    if (!installer_keep(installer, NULL))
        log_error("packages: the mark of what was not handed over stays");
    installer_drop_ready(installer);
    note(installer, &wanted, true, "the installer cannot be run", err.text);
}

void installer_hand_over(struct installer *installer, const struct package_wanted *wanted)
{
    struct err err = {0};
    const struct package_wanted *ready = &installer->ready;
    if (installer->hook[0] == '\0') {
        note(installer, wanted, false, "it is not handed over",
             "no installer is set on this terminal (install.hook)");
        return;
    }
    if (strcmp(ready->name, wanted->name) != 0 || memcmp(ready->sha256, wanted->sha256, 32) != 0 ||
        strcmp(ready->package_version, wanted->package_version) != 0) {
        installer_drop_ready(installer);
        if (!hash_start(installer, wanted, &err))
            note(installer, wanted, true, "it cannot be handed over", err.text);
        return;
    }
    if (installer_gate_open(installer))
        mark_and_run(installer);
    else if (!installer_gate_asks(installer))
        installer_tell(installer);
}
