/* SPDX-License-Identifier: Apache-2.0 */
/* What was built may wait for days, on flash and under whoever can write there. It is put in force
 * only if it is still what was built: looked at on a worker, so that no sale waits for it. */
#include "agent/registrar_internal.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_HOLDS_MS = 5 * 60 * 1000 }; /* a look counts for so long */

struct look_job {
    struct job job;
    struct registry_generation generation;
    bool guarded[REGISTRY_ITEMS]; /* the others have an owner, and go along as they are */
    struct buf manifest;
    char unsound[REGISTRY_NAME_CHARS + 1]; /* the first that is not as it was built, "": none */
    struct err err;
};

static bool item_sound(const struct look_job *look, const struct registry_item *item,
                       struct err *err)
{
    char dir[REGISTRY_PATH_BYTES], path[REGISTRY_PATH_BYTES];
    struct registry_look form;
    uint8_t digest[32];
    return registry_building_path(look->job.registry, look->generation.number, dir, err) &&
           path_join(path, sizeof path, dir, item->name, err) &&
           registry_look_at(path, &form, err) && form.regular &&
           content_hash_file(path, digest, err) &&
           memcmp(digest, registry_item_content(item), sizeof digest) == 0;
}

static void look_run(struct job *job)
{
    struct look_job *look = (struct look_job *)job;
    for (size_t i = 0; i < look->generation.list.count; i++) {
        const struct registry_item *item = &look->generation.list.items[i];
        struct err why = {0};
        if (!look->guarded[i] || item_sound(look, item, &why))
            continue;
        if (why.code == ERR_NO_MEMORY) /* nothing was seen */
            look->err = why;
        else
            memcpy(look->unsound, item->name, sizeof look->unsound);
        return;
    }
    /* Its own small files, the newest manifest that wants the same among them. */
    if (!registry_build_finish(job->registry, &look->generation, buf_bytes(&look->manifest),
                               &look->err))
        err_context(&look->err, "writing its list and its manifest again");
}

static void look_free(struct look_job *look)
{
    buf_done(&look->manifest);
    free(look);
}

static void look_done(struct registrar *registrar, struct job *job)
{
    struct look_job *look = (struct look_job *)job;
    struct gate_wait *gate = &registrar->gate;
    if (look->err.code != ERR_NONE) {
        registrar_stall(registrar, "looking at what waits", &look->err);
    } else if (look->unsound[0] != '\0') {
        log_warn("registry: %s is not what was built any more; it is built again", look->unsound);
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, look->unsound, NULL,
                     "%s: the file that waits is damaged; built again before it is put in force",
                     look->unsound);
        gate_drop(registrar);
    } else {
        gate->look_due = false;
        gate->looked_ms = clock_boot_ms(registrar->clock);
    }
    look_free(look);
}

bool waiting_is_sound(const struct registrar *registrar)
{
    const struct gate_wait *gate = &registrar->gate;
    return !gate->look_due && clock_boot_ms(registrar->clock) - gate->looked_ms <= LOOK_HOLDS_MS;
}

bool waiting_look(struct registrar *registrar)
{
    struct err err = {0};
    if (registrar->gate.build == NULL)
        return false;
    if (registrar->gate.what.back) { /* what comes back is chosen and looked at anew */
        gate_drop(registrar);
        return return_start(registrar);
    }
    if (registrar->stalled)
        return false;
    struct look_job *look = calloc(1, sizeof *look);
    if (look == NULL || !build_copy(registrar->gate.build, &look->generation, look->guarded,
                                    &look->manifest, &err)) {
        if (look != NULL)
            look_free(look);
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar_stall(registrar, "looking at what waits", &err);
        return false;
    }
    job_start(registrar, &look->job, look_run, look_done);
    return true;
}

/* ---- what happens beside it ---- */

void waiting_shares(struct registrar *registrar, const struct registry_item *held)
{
    if (registrar->gate.build != NULL && build_carries(registrar->gate.build, held))
        gate_drop(registrar);
}

static bool adopts(struct registrar *registrar, struct blob_set *needed)
{
    struct gate_wait *gate = &registrar->gate;
    if (gate->build == NULL || registrar->outdated || !build_adopt(registrar, gate->build, needed))
        return false;
    gate->what.manifest_version = registrar->desired->version;
    gate->look_due = true; /* which writes that manifest beside it */
    return true;
}

uint64_t waiting_keep(struct registrar *registrar, struct blob_set *needed)
{
    if (adopts(registrar, needed))
        return registrar->gate.what.generation;
    gate_drop(registrar); /* removed with what is no longer needed */
    return 0;
}
