/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include <stdlib.h>
#include <string.h>

bool have_has(const struct registrar *registrar, const uint8_t sha256[32])
{
    for (size_t i = 0; i < registrar->have_count; i++) {
        if (memcmp(registrar->have[i], sha256, 32) == 0)
            return true;
    }
    return false;
}

void have_add(struct registrar *registrar, const uint8_t sha256[32])
{
    /* More than fit are not needed by anything; not knowing of one only means fetching it again. */
    if (!have_has(registrar, sha256) && registrar->have_count < STORE_BLOBS_MAX)
        memcpy(registrar->have[registrar->have_count++], sha256, 32);
}

void have_remove(struct registrar *registrar, const uint8_t sha256[32])
{
    for (size_t i = 0; i < registrar->have_count; i++) {
        if (memcmp(registrar->have[i], sha256, 32) != 0)
            continue;
        memcpy(registrar->have[i], registrar->have[--registrar->have_count], 32);
        return;
    }
}

void have_keep(struct registrar *registrar, struct kept *kept)
{
    for (size_t i = registrar->have_count; i > 0; i--) {
        uint8_t sha256[32];
        memcpy(sha256, registrar->have[i - 1], 32);
        if (!kept_needs(kept, sha256))
            have_remove(registrar, sha256);
    }
}

void kept_fill(const struct registrar *registrar, struct kept *ret_kept)
{
    ret_kept->current = registrar->held.current;
    ret_kept->previous = registrar->held.previous;
    ret_kept->wants.count = 0;
    if (registrar->desired != NULL)
        ret_kept->wants = registrar->desired->wants;
}

static bool list_needs(const struct registry_generation *generation, const uint8_t sha256[32])
{
    for (size_t i = 0; generation->number > 0 && i < generation->list.count; i++) {
        if (memcmp(generation->list.items[i].blob, sha256, 32) == 0)
            return true;
    }
    return false;
}

bool kept_needs(void *ctx, const uint8_t sha256[32])
{
    const struct kept *kept = ctx;
    for (size_t i = 0; i < kept->wants.count; i++) {
        if (kept->wants.wants[i].mode == MUSTER__ASSIGN_MODE__MODE_REPAIR &&
            memcmp(kept->wants.wants[i].item.blob, sha256, 32) == 0)
            return true;
    }
    return list_needs(&kept->current, sha256) || list_needs(&kept->previous, sha256);
}

bool kept_prune(const struct registry *registry, const struct kept *kept, struct err *err)
{
    const uint64_t keep[2] = {kept->current.number, kept->previous.number};
    /* Nothing whole is in force: what lies there is all the application has. */
    if (kept->current.number == 0)
        return true;
    return registry_prune(registry, keep, 2, kept_needs, (void *)(uintptr_t)kept, err);
}

/* ---- the accepted manifest, before anything is done about it ---- */

struct save_job {
    struct job job;
    struct buf envelope;
    struct registry_floors floors;
    struct kept kept;
    uint8_t digest[32];
    bool saved;
    struct err err;
};

static void save_run(struct job *job)
{
    struct save_job *save = (struct save_job *)job;
    /* Floors first: with only them on the medium, the same manifest is simply accepted again. */
    save->saved = registry_floors_write(job->registry, &save->floors, &save->err);
    if (save->saved && save->envelope.length > 0)
        save->saved =
            registry_desired_write(job->registry, buf_bytes(&save->envelope), &save->err) &&
            kept_prune(job->registry, &save->kept, &save->err);
}

static void save_free(struct save_job *save)
{
    buf_done(&save->envelope);
    free(save);
}

static void save_done(struct registrar *registrar, struct job *job)
{
    struct save_job *save = (struct save_job *)job;
    if (!save->saved) {
        registrar_stall(registrar, "keeping the manifest", &save->err);
    } else {
        if (save->envelope.length > 0)
            have_keep(registrar, &save->kept);
        if (save->envelope.length > 0 && memcmp(save->digest, registrar->desired->digest, 32) == 0)
            registrar->unsaved = false;
        if (save->floors.root_version == registrar->floors.root_version)
            registrar->floors_unsaved = false;
    }
    save_free(save);
}

static bool save_fill(const struct registrar *registrar, struct save_job *save, struct err *err)
{
    const struct desired *desired = registrar->unsaved ? registrar->desired : NULL;
    save->floors = registrar->floors;
    kept_fill(registrar, &save->kept);
    if (desired == NULL)
        return true;
    memcpy(save->digest, desired->digest, 32);
    return buf_append(&save->envelope, desired->envelope.data, desired->envelope.length, err);
}

bool save_start(struct registrar *registrar)
{
    if ((!registrar->unsaved && !registrar->floors_unsaved) || registrar->stalled)
        return false;
    struct save_job *save = calloc(1, sizeof *save);
    struct err err = {0};
    if (save == NULL || !save_fill(registrar, save, &err)) {
        free(save);
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar_stall(registrar, "keeping the manifest", &err);
        return false;
    }
    job_start(registrar, &save->job, save_run, save_done);
    return true;
}

/* ---- blobs that arrived ---- */

struct store_job {
    struct job job;
    struct arrival *arrivals;
    bool stored;
    struct err err;
};

void arrivals_free(struct arrival *arrivals)
{
    while (arrivals != NULL) {
        struct arrival *next = arrivals->next;
        buf_done(&arrivals->blob);
        free(arrivals);
        arrivals = next;
    }
}

static void store_run(struct job *job)
{
    struct store_job *store = (struct store_job *)job;
    store->stored = true;
    for (struct arrival *a = store->arrivals; a != NULL && store->stored; a = a->next)
        store->stored =
            registry_blob_write(job->registry, a->sha256, buf_bytes(&a->blob), &store->err);
}

static bool awaited_arrived(const struct registrar *registrar)
{
    for (size_t i = 0; i < registrar->held.current.list.count; i++) {
        if (registrar->awaited[i] &&
            have_has(registrar, registrar->held.current.list.items[i].blob))
            return true;
    }
    return false;
}

static void store_done(struct registrar *registrar, struct job *job)
{
    struct store_job *store = (struct store_job *)job;
    registrar->storing = NULL;
    if (store->stored) {
        for (struct arrival *a = store->arrivals; a != NULL; a = a->next)
            have_add(registrar, a->sha256);
        if (registrar->check_due == CHECK_NONE && awaited_arrived(registrar))
            registrar->check_due = CHECK_UNSOUND;
    } else {
        registrar_stall(registrar, "storing a blob", &store->err);
    }
    arrivals_free(store->arrivals);
    free(store);
}

bool store_start(struct registrar *registrar)
{
    if (registrar->arrivals == NULL)
        return false;
    struct store_job *store = calloc(1, sizeof *store);
    if (store == NULL) {
        struct err err;
        err_set(&err, ERR_NO_MEMORY, "no memory");
        arrivals_free(registrar->arrivals);
        registrar->arrivals = NULL;
        registrar_stall(registrar, "storing a blob", &err);
        return false;
    }
    store->arrivals = registrar->arrivals;
    registrar->arrivals = NULL;
    registrar->storing = store->arrivals;
    job_start(registrar, &store->job, store_run, store_done);
    return true;
}
