/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

bool have_has(const struct registrar *registrar, const uint8_t sha256[32])
{
    return blob_set_has(&registrar->have, sha256);
}

void have_add(struct registrar *registrar, const uint8_t sha256[32])
{
    struct err err = {0};
    /* Not knowing of one only means fetching it again. */
    if (!blob_set_add(&registrar->have, sha256, &err))
        log_warn("registry: %s", err.text);
}

void have_remove(struct registrar *registrar, const uint8_t sha256[32])
{
    blob_set_remove(&registrar->have, sha256);
}

void have_keep(struct registrar *registrar, struct kept *kept)
{
    struct blob_set stay = {0};
    const uint8_t *sha256;
    for (size_t at = 0; (sha256 = blob_set_next(&registrar->have, &at)) != NULL;) {
        if (kept_needs(kept, sha256) && !blob_set_add(&stay, sha256, NULL))
            break; /* fetched again */
    }
    blob_set_done(&registrar->have);
    registrar->have = stay;
}

void have_lose(struct registrar *registrar, const struct blob_set *lost)
{
    const uint8_t *sha256;
    for (size_t at = 0; (sha256 = blob_set_next(lost, &at)) != NULL;)
        have_remove(registrar, sha256);
}

static bool wanted_add(void *ctx, const uint8_t sha256[32], struct err *err)
{
    return blob_set_add(ctx, sha256, err);
}

bool kept_fill(const struct registrar *registrar, struct kept *ret_kept, struct err *err)
{
    ret_kept->current = registrar->held.current;
    ret_kept->previous = registrar->held.previous;
    ret_kept->good = *trial_good(registrar);
    return plan_needs(registrar, wanted_add, &ret_kept->wanted, err);
}

void kept_done(struct kept *kept)
{
    blob_set_done(&kept->wanted);
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
    return blob_set_has(&kept->wanted, sha256) || list_needs(&kept->current, sha256) ||
           list_needs(&kept->previous, sha256) || list_needs(&kept->good, sha256);
}

bool kept_prune(const struct registry *registry, const struct kept *kept, struct err *err)
{
    const uint64_t keep[4] = {kept->current.number, kept->previous.number, kept->good.number,
                              kept->building};
    /* Nothing whole is in force: the generations that lie there are all the application has. */
    size_t keep_count = kept->current.number > 0 ? 4 : 0;
    return registry_prune(registry, keep, keep_count, kept_needs, (void *)(uintptr_t)kept, err);
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
    kept_done(&save->kept);
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
    if (desired == NULL)
        return true;
    if (!kept_fill(registrar, &save->kept, err))
        return false;
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
        if (save != NULL)
            save_free(save);
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar_stall(registrar, "keeping the manifest", &err);
        return false;
    }
    if (save->envelope.length > 0)
        save->kept.building = waiting_keep(registrar, &save->kept.wanted);
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

bool arrival_add(struct registrar *registrar, const uint8_t sha256[32], struct bytes blob,
                 struct err *err)
{
    struct arrival *arrival = calloc(1, sizeof *arrival);
    if (arrival == NULL || !buf_append(&arrival->blob, blob.data, blob.length, err)) {
        arrivals_free(arrival);
        return err_set(err, ERR_NO_MEMORY, "no memory for a blob of %zu bytes", blob.length);
    }
    memcpy(arrival->sha256, sha256, 32);
    arrival->next = registrar->arrivals;
    registrar->arrivals = arrival;
    return true;
}

static void store_run(struct job *job)
{
    struct store_job *store = (struct store_job *)job;
    store->stored = true;
    for (struct arrival *a = store->arrivals; a != NULL && store->stored; a = a->next)
        store->stored =
            registry_blob_write(job->registry, a->sha256, buf_bytes(&a->blob), &store->err);
}

bool awaited_arrived(struct registrar *registrar)
{
    for (size_t i = 0; i < registrar->held.current.list.count; i++) {
        struct sync_blobs none = {0};
        if (registrar->awaited[i] &&
            !plan_missing(registrar, &registrar->held.current.list.items[i], NULL, &none))
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
