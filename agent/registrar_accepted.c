/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "agent/floors.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- at the start ---- */

/* One place of the manifest. */
struct place {
    struct desired *desired; /* NULL: none that verifies */
    struct buf envelope;
    struct err why; /* it is not used */
};

/* It was only bytes on a disk: verified once more. */
static void place_open(const struct registrar *registrar, bool read, struct place *place)
{
    if (read && !desired_open(registrar->trust, registrar->device, buf_bytes(&place->envelope),
                              &place->desired, &place->why))
        place->desired = NULL;
}

static void places_read(const struct registrar *registrar, struct place *own, struct place *copy)
{
    uint64_t number = registrar->held.current.number;
    bool read =
        registry_desired_read(registrar->registry, LIMIT_MANIFEST_BYTES, &own->envelope, &own->why);
    place_open(registrar, read, own);
    bool copied =
        number > 0 && registry_manifest_read(registrar->registry, number, LIMIT_MANIFEST_BYTES,
                                             &copy->envelope, &copy->why);
    if (!copied || !read || !bytes_equal(buf_bytes(&own->envelope), buf_bytes(&copy->envelope)))
        place_open(registrar, copied, copy);
}

static void place_done(struct place *place)
{
    desired_free(place->desired);
    buf_done(&place->envelope);
}

static bool is_newer(const struct desired *desired, uint64_t epoch, uint64_t version)
{
    return desired->epoch > epoch || (desired->epoch == epoch && desired->version > version);
}

/* The floors are on the medium before the manifest is, so they are never behind it unless they
 * were lost or put back: made again from the manifest that counted last. */
static void floors_make(struct registrar *registrar, const struct desired *desired)
{
    struct registry_floors *now = &registrar->floors;
    if (desired == NULL || !is_newer(desired, now->epoch, now->manifest_version))
        return;
    struct registry_floors *floors = malloc(sizeof *floors);
    boot_note(registrar, now->epoch == 0
                             ? "version floors: both places are empty; made again from the manifest"
                             : "version floors: older than the manifest; raised again");
    if (floors != NULL && floors_take(now, desired, floors, NULL)) {
        *now = *floors;
        registrar->floors_unsaved = true;
    }
    free(floors);
}

static void floors_load(struct registrar *registrar, bool *ret_doubtful)
{
    struct err err = {0};
    char lost[REGISTRY_LOST_CHARS] = "";
    if (!registry_floors_read(registrar->registry, &registrar->floors, lost, &err)) {
        boot_note(registrar, err.text);
        memset(&registrar->floors, 0, sizeof registrar->floors);
    }
    *ret_doubtful = lost[0] != '\0';
    if (lost[0] != '\0') {
        boot_note(registrar, lost);
        registrar->floors_unsaved = true;
    }
    if (trust_version(registrar->trust) > registrar->floors.root_version) {
        registrar->floors.root_version = trust_version(registrar->trust);
        registrar->floors_unsaved = registrar->floors_unsaved || registrar->floors.epoch > 0;
    }
    /* A power cut between the two places leaves both whole and one of them behind. */
    if (registrar->floors.epoch > 0 && !registrar->floors_unsaved)
        registrar->floors_unsaved =
            !registry_floors_look(registrar->registry, &registrar->floors, lost, NULL) ||
            lost[0] != '\0';
}

/* What nothing but a power cut explains: the floors were kept, and the manifest that raised them
 * not yet. Whoever had a generation of it built has seen it kept. */
static bool was_cut_short(const struct place *own, const struct place *copy, bool doubtful)
{
    return !doubtful && refusal_of(&own->why) == MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD &&
           (copy->desired == NULL ||
            !is_newer(copy->desired, own->desired->epoch, own->desired->version));
}

static void tell_unused(struct registrar *registrar, const struct place *own,
                        const struct place *copy, bool doubtful, const char *instead)
{
    struct err why = own->why;
    if (why.code == ERR_NOT_FOUND) {
        if (registrar->held.current.number == 0)
            return; /* none yet, or it was not kept before the power went */
        err_set(&why, ERR_NOT_FOUND, "the manifest kept here is gone%s", instead);
        boot_note(registrar, why.text);
    } else if (own->desired == NULL) {
        if (refusal_of(&why) == MUSTER__REFUSAL__REFUSAL_MANIFEST_ROOT)
            registrar->boot_refusal = why; /* the chain of roots ends before it */
        err_context(&why, "the manifest kept here is not used%s", instead);
        boot_note(registrar, why.text);
    } else if (!was_cut_short(own, copy, doubtful)) {
        log_warn("registry: the manifest kept here is not used%s: %s", instead, why.text);
        registrar->boot_refusal = why;
    } else {
        log_info("registry: %s; the newer one was not kept before the power went", why.text);
    }
}

void accepted_note_below(struct registrar *registrar)
{
    struct err why = {0};
    registrar->below[0] = '\0';
    if (registrar->desired == NULL || accepted_stands(registrar, registrar->desired, &why))
        return;
    registrar->outdated = true;
    (void)snprintf(registrar->below, sizeof registrar->below, "%.199s", why.text);
}

/* The newest that counts; of what does not, the registry's own is shown and nothing built. */
static void place_choose(struct registrar *registrar, struct place *own, struct place *copy,
                         bool doubtful)
{
    struct place *chosen = own;
    bool sound = own->desired != NULL && accepted_stands(registrar, own->desired, &own->why);
    if (!sound) {
        bool copy_sound =
            copy->desired != NULL && accepted_stands(registrar, copy->desired, &copy->why);
        tell_unused(registrar, own, copy, doubtful,
                    copy_sound ? "; taken again from the generation in force" : "");
        registrar->unsaved = copy_sound;
        if (own->desired == NULL && copy->desired != NULL && !copy_sound)
            registrar->boot_refusal = copy->why; /* older than the one that is lost */
        if (copy_sound || own->desired == NULL)
            chosen = copy;
    }
    registrar->desired = chosen->desired;
    chosen->desired = NULL;
    accepted_note_below(registrar);
}

void accepted_load(struct registrar *registrar)
{
    struct place own = {0}, copy = {0};
    bool doubtful = false;
    places_read(registrar, &own, &copy);
    floors_load(registrar, &doubtful);
    floors_make(registrar, copy.desired);
    floors_make(registrar, own.desired);
    place_choose(registrar, &own, &copy, doubtful);
    if (registrar->held.current.number > 0 && registrar->floors.epoch == 0)
        boot_note(registrar, "version floors: none are left, and no manifest to make them again "
                             "from: until one has come, an older one is not told from it");
    place_done(&own);
    place_done(&copy);
}

/* ---- while it runs ---- */

/* Is the generation in force what this manifest wants? */
static bool is_in_force(const struct registrar *registrar)
{
    const struct registry_generation *current = &registrar->held.current;
    struct registry_items *target = calloc(1, sizeof *target);
    bool same = false;
    if (target != NULL && current->number > 0 && !registrar->outdated) {
        returned_target(registrar, target);
        same = sync_same(target, &current->list);
    }
    free(target);
    return same;
}

void accepted_look_fill(const struct registrar *registrar, struct accepted_look *look)
{
    const struct desired *desired = registrar->desired;
    if (desired != NULL && !registrar->unsaved &&
        buf_append(&look->envelope, desired->envelope.data, desired->envelope.length, NULL) &&
        is_in_force(registrar))
        look->copy_in = registrar->held.current.number;
    if (registrar->floors.epoch == 0 || registrar->unsaved || registrar->floors_unsaved)
        return;
    look->floors = malloc(sizeof *look->floors);
    if (look->floors != NULL)
        *look->floors = registrar->floors;
}

static void copy_look(const struct registry *registry, struct accepted_look *look)
{
    struct buf copy = {0};
    bool same =
        registry_manifest_read(registry, look->copy_in, LIMIT_MANIFEST_BYTES, &copy, NULL) &&
        bytes_equal(buf_bytes(&copy), buf_bytes(&look->envelope));
    buf_done(&copy);
    if (!same &&
        !registry_manifest_write(registry, look->copy_in, buf_bytes(&look->envelope), &look->aside))
        err_context(&look->aside, "the manifest's second copy");
}

void accepted_look_run(const struct registry *registry, struct accepted_look *look)
{
    struct buf found = {0};
    struct err why = {0};
    if (look->floors != NULL &&
        !registry_floors_look(registry, look->floors, look->floors_lost, &look->aside))
        err_context(&look->aside, "looking at the version floors");
    if (look->envelope.length == 0)
        return;
    bool read = registry_desired_read(registry, LIMIT_MANIFEST_BYTES, &found, &why);
    if (!read || !bytes_equal(buf_bytes(&found), buf_bytes(&look->envelope)))
        (void)snprintf(look->manifest_lost, sizeof look->manifest_lost, "%s",
                       read                        ? "is not the one that was accepted"
                       : why.code == ERR_NOT_FOUND ? "is gone"
                                                   : "cannot be read");
    buf_done(&found);
    if (look->copy_in > 0)
        copy_look(registry, look);
}

void accepted_look_done(struct registrar *registrar, struct accepted_look *look)
{
    if (look->manifest_lost[0] != '\0') {
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, "", NULL,
                     "the manifest kept here %s; written again", look->manifest_lost);
        registrar->unsaved = true;
    }
    if (look->floors_lost[0] != '\0') {
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, "", NULL, "%s; written again",
                     look->floors_lost);
        registrar->floors_unsaved = true;
    }
    if (look->aside.code != ERR_NONE)
        log_warn("registry: %s", look->aside.text);
    buf_done(&look->envelope);
    free(look->floors);
}
