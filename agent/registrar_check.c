/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/log.h"
#include "base/utf8.h"
#include "proto/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRAYS_MAX = 16, STRAY_NAME_BYTES = 64 };

struct check_item {
    bool look;                    /* in: hash it */
    bool may_repair;              /* in */
    struct content_source source; /* in */
    enum sync_finding finding;
    uint8_t found[32]; /* hash, zeros when there is no file */
    bool repaired;
    bool relisted; /* from what it can be made again has changed */
    bool mode_off; /* all that is wrong with it */
    bool no_blob;
    bool dead; /* its source leads nowhere, and there is another */
    struct err why_dead;
    char wrong[80];    /* what tells it from the file that was applied, besides its content */
    char why_not[200]; /* it could not be repaired */
};

struct check_job {
    struct job job;
    bool all; /* every item, not only those known to be unsound */
    struct registry_generation current;
    struct registry_generation previous;
    struct check_item items[REGISTRY_ITEMS];
    struct owned_looks others;
    struct blob_set lost; /* the store has them not, or had them damaged */
    struct sync_wants wants;
    size_t stray_count;
    char strays[STRAYS_MAX][STRAY_NAME_BYTES];
    uint8_t manifest[32]; /* digest of the manifest whose ways the sources are */
    bool mended;          /* what is around the documents was not in place */
    struct accepted_look accepted;
    struct registry_failure failure; /* of that manifest, or none */
    bool another_key;                /* and the key that it failed for is another now */
    struct err aside;                /* what failed beside the items themselves */
};

/* By what stands there alone. False: it is not looked into, for it is no file, or so long that
 * somebody's gigabytes would be read in vain. */
static bool form_look(const struct registry_item *item, const struct registry_look *form,
                      struct check_item *look)
{
    bool fits = item->sealed ? form->length <= item->length : form->length == item->length;
    if (!form->regular) {
        snprintf(look->wrong, sizeof look->wrong, "it is not a regular file");
    } else if (!fits) {
        snprintf(look->wrong, sizeof look->wrong,
                 "it has %" PRIu64 " bytes, %s%" PRIu64 " is right", form->length,
                 item->sealed ? "at most " : "", item->length);
    } else if (form->mode != registry_item_mode(item) && look->may_repair) {
        /* Of what is only observed it is its owner's affair. */
        look->mode_off = true;
        snprintf(look->wrong, sizeof look->wrong, "its mode is %04o, %04o is right", form->mode,
                 registry_item_mode(item));
    }
    return form->regular && (fits || form->length <= LIMIT_DOCUMENT_BYTES);
}

static void item_look(const struct check_job *check, const struct registry_item *item,
                      struct check_item *look)
{
    struct registry_look form;
    struct err err = {0};
    look->finding = SYNC_DAMAGED;
    if (!registry_look(check->job.registry, check->current.number, item->name, &form, &err)) {
        look->finding = err.code == ERR_NOT_FOUND ? SYNC_MISSING : SYNC_DAMAGED;
        return;
    }
    if (!form_look(item, &form, look))
        return;
    bool right =
        content_hash(check->job.registry, check->current.number, item->name, look->found, &err) &&
        memcmp(look->found, registry_item_content(item), 32) == 0;
    if (right && look->wrong[0] == '\0')
        look->finding = SYNC_SOUND;
    else if (err.code == ERR_NOT_FOUND)
        look->finding = SYNC_MISSING;
    look->mode_off = look->mode_off && right;
}

static void put_why_not(struct check_item *look, const struct err *why)
{
    snprintf(look->why_not, sizeof look->why_not, "%.199s", why->text);
    utf8_clean(look->why_not);
}

/* Hard links share their bytes: what was damaged here was damaged in the generation before. */
static void previous_share(struct check_job *check, const struct registry_item *item)
{
    uint8_t found[32];
    const struct registry_item *before = sync_item_of(&check->previous.list, item->name);
    const uint8_t *content = registry_item_content(item);
    if (check->previous.number == 0 || before == NULL || before->sealed != item->sealed ||
        memcmp(registry_item_content(before), content, 32) != 0)
        return;
    if (content_hash(check->job.registry, check->previous.number, item->name, found, NULL) &&
        memcmp(found, content, 32) == 0)
        return;
    if (!registry_share(check->job.registry, check->previous.number, check->current.number,
                        item->name, &check->aside))
        err_context(&check->aside, "repairing the generation before as well");
}

static bool is_good(void *ctx, struct bytes content)
{
    (void)ctx, (void)content; /* it passed when it was applied */
    return true;
}

static void item_repair(struct check_job *check, struct registry_item *item,
                        struct check_item *look)
{
    struct err err = {0};
    const struct registry_item before = *item;
    const struct content_job job = {.registry = check->job.registry,
                                    .sealing_key = check->job.sealing_key,
                                    .item = &before,
                                    .source = &look->source,
                                    .lost = &check->lost};
    enum content_outcome outcome = CONTENT_NO_BLOB;
    if (look->mode_off &&
        registry_set_mode(check->job.registry, check->current.number, item, &err)) {
        look->repaired = true;
        return;
    }
    if (look->source.present)
        outcome = content_put(&job, check->current.number, true, is_good, NULL, item, &err);
    look->no_blob = outcome == CONTENT_NO_BLOB;
    look->repaired = outcome == CONTENT_MADE;
    look->relisted = look->repaired && memcmp(before.blob, item->blob, 32) != 0;
    look->dead = outcome == CONTENT_REFUSED && !look->source.last;
    look->why_dead = err;
    if (look->repaired)
        previous_share(check, item);
    else if (!look->no_blob)
        put_why_not(look, &err);
}

static void list_again(struct check_job *check)
{
    bool any = false;
    for (size_t i = 0; i < check->current.list.count; i++)
        any = any || check->items[i].relisted;
    if (any && !registry_relist(check->job.registry, &check->current, &check->aside))
        err_context(&check->aside, "keeping what documents can be made again from");
}

/* A file that nobody put there goes, but not one that the manifest knows: it may have an owner. */
static bool stray_found(void *ctx, const char *name)
{
    struct check_job *check = ctx;
    if (sync_want_of(&check->wants, name) != NULL || check->stray_count == STRAYS_MAX)
        return false;
    snprintf(check->strays[check->stray_count++], STRAY_NAME_BYTES, "%s", name);
    return true;
}

/* Where `current` does not lead to the documents, none of them can be read, sound or not. */
static void all_out_of_reach(struct check_job *check, const struct err *why)
{
    for (size_t i = 0; i < check->current.list.count; i++) {
        struct check_item *look = &check->items[i];
        look->look = true;
        look->finding = SYNC_MISSING;
        put_why_not(look, why);
    }
}

static void check_run(struct job *job)
{
    struct check_job *check = (struct check_job *)job;
    struct err err = {0};
    owned_looks_run(job->registry, &check->others, &check->lost);
    if (check->all) {
        bool mended = registry_mend(job->registry, &check->current, &check->mended, &err);
        accepted_look_run(job->registry, &check->accepted);
        check->another_key = key_is_another(job->sealing_key, &check->failure);
        if (!mended) {
            check->aside = err;
            all_out_of_reach(check, &err);
            return;
        }
    }
    for (size_t i = 0; i < check->current.list.count; i++) {
        struct check_item *look = &check->items[i];
        if (!look->look)
            continue;
        item_look(check, &check->current.list.items[i], look);
        if (look->finding != SYNC_SOUND && look->may_repair)
            item_repair(check, &check->current.list.items[i], look);
    }
    list_again(check);
    if (check->all && check->current.number > 0 &&
        !registry_strays(job->registry, &check->current, stray_found, check, &check->aside))
        err_context(&check->aside, "looking for files that do not belong");
}

static void tell_drift(struct registrar *registrar, const struct registry_item *item,
                       const struct check_item *look)
{
    Muster__ItemReport report;
    char hashes[80] = "";
    static const uint8_t not_read[32];
    bool missing = look->finding == SYNC_MISSING;
    bool read = memcmp(look->found, not_read, sizeof not_read) != 0;
    char expected[65];
    char found[65];
    hex_encode(item->sha256, 32, expected);
    hex_encode(look->found, 32, found);
    /* Of what is secret, even when damaged, no hash leaves. */
    if (!item->sealed && (missing || read) && !look->mode_off)
        snprintf(hashes, sizeof hashes, ": expected sha256 %.16s, found %.16s", expected,
                 missing ? "nothing" : found);
    report_item(registrar, item,
                missing ? MUSTER__ITEM_STATE__ITEM_MISSING : MUSTER__ITEM_STATE__ITEM_DAMAGED,
                &report);
    report.held_sha256 =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)look->found,
                              .len = !read || item->sealed ? 0 : sizeof look->found};
    report.reason = (char *)(uintptr_t)look->why_not;
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, item->name, &report.base,
                 "%s: the file is %s%s%s%s%s%s", item->name, missing ? "missing" : "damaged",
                 look->wrong[0] != '\0' ? ": " : "", look->wrong, hashes,
                 look->why_not[0] != '\0' ? "; not repaired: " : "", look->why_not);
}

static void tell_repair(struct registrar *registrar, const struct registry_item *item,
                        Muster__RepairSource source)
{
    Muster__ItemReport report;
    report_item(registrar, item, MUSTER__ITEM_STATE__ITEM_REPAIRED, &report);
    report.source = source;
    report_event(registrar, MUSTER__EVENT_KIND__EVENT_REPAIR, item->name, &report.base,
                 "%s: repaired from %s", item->name,
                 source == MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_BROKER ? "the broker"
                                                                       : "the device's own store");
}

/* It was not found so before; what was repaired is told each time. */
static bool is_news(const struct drift_mark *mark, const struct check_item *look)
{
    static const uint8_t nothing[32];
    const uint8_t *found = look->finding == SYNC_SOUND ? nothing : look->found;
    return look->repaired || mark->finding != look->finding ||
           memcmp(mark->found, found, sizeof mark->found) != 0;
}

static void item_unsound(struct registrar *registrar, size_t i, const struct check_item *look,
                         const struct registry_item *made)
{
    struct registry_item *item = &registrar->held.current.list.items[i];
    struct drift_mark *mark = &registrar->marks[i];
    if (is_news(mark, look))
        tell_drift(registrar, item, look);
    mark->finding = look->finding;
    memcpy(mark->found, look->found, 32);
    if (!look->repaired) {
        registrar->findings[i] = look->finding;
        registrar->awaited[i] = look->may_repair && (look->no_blob || look->dead);
        return;
    }
    memcpy(item->blob, made->blob, sizeof item->blob);
    item->blob_size = made->blob_size;
    have_add(registrar, item->blob);
    registrar->findings[i] = SYNC_REPAIRED;
    registrar->sources[i] = registrar->awaited[i] ? MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_BROKER
                                                  : MUSTER__REPAIR_SOURCE__REPAIR_SOURCE_STORE;
    registrar->awaited[i] = false;
    *mark = (struct drift_mark){0};
    tell_repair(registrar, item, registrar->sources[i]);
}

/* What loading found, said once somebody listens. */
static void tell_boot(struct registrar *registrar)
{
    if (registrar->boot_note[0] != '\0')
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, "", NULL, "%s",
                     registrar->boot_note);
    registrar->boot_note[0] = '\0';
    if (registrar->boot_refusal.code != ERR_NONE)
        registrar_refused(registrar, "the manifest kept here is not used",
                          &registrar->boot_refusal);
    registrar->boot_refusal = (struct err){0};
}

static void check_done(struct registrar *registrar, struct job *job)
{
    struct check_job *check = (struct check_job *)job;
    tell_boot(registrar);
    if (check->mended)
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, "", NULL,
                     "the folders, the list or the link of the generation in force were not in "
                     "place; put back");
    accepted_look_done(registrar, &check->accepted);
    bool same_manifest =
        registrar->desired != NULL && memcmp(registrar->desired->digest, check->manifest, 32) == 0;
    if (check->another_key && same_manifest) {
        log_info("registry: %s holds another key; manifest %" PRIu64 " is tried again",
                 registrar->sealing_key, registrar->desired->version);
        registrar->failure.present = false;
    }
    have_lose(registrar, &check->lost);
    owned_looks_done(registrar, &check->others);
    for (size_t i = 0; i < check->current.list.count; i++) {
        const struct check_item *look = &check->items[i];
        if (!look->look)
            continue;
        if (look->dead && same_manifest)
            plan_rule_out(registrar, &look->source, &look->why_dead);
        if (is_news(&registrar->marks[i], look))
            waiting_shares(registrar, &registrar->held.current.list.items[i]);
        if (look->finding != SYNC_SOUND) {
            item_unsound(registrar, i, look, &check->current.list.items[i]);
            continue;
        }
        registrar->findings[i] = SYNC_SOUND;
        registrar->awaited[i] = false;
        registrar->marks[i] = (struct drift_mark){0};
    }
    for (size_t i = 0; i < check->stray_count; i++)
        report_event(registrar, MUSTER__EVENT_KIND__EVENT_DRIFT, "", NULL,
                     "%s: a file that is no document of the manifest was removed",
                     check->strays[i]);
    if (check->aside.code != ERR_NONE)
        log_warn("registry: %s", check->aside.text);
    if (registrar->check_due == CHECK_NONE && awaited_arrived(registrar))
        registrar->check_due = CHECK_UNSOUND; /* the manifest itself brought it, or another way */
    blob_set_done(&check->lost);
    bool all = check->all;
    registrar->gate.look_due = true; /* it may share more than was looked at here */
    free(check);
    if (all && registrar->events.checked != NULL)
        registrar->events.checked(registrar->ctx);
}

static void check_fill(const struct registrar *registrar, struct check_job *check)
{
    check->all = registrar->check_due == CHECK_ALL;
    check->current = registrar->held.current;
    check->previous = registrar->held.previous;
    if (registrar->desired != NULL) {
        check->wants = registrar->desired->wants;
        memcpy(check->manifest, registrar->desired->digest, 32);
    }
    if (registrar_failed(registrar))
        check->failure = registrar->failure;
    if (check->all)
        accepted_look_fill(registrar, &check->accepted);
    owned_looks_fill(registrar, &check->others);
    if (check->current.number == 0)
        check->current.list.count = 0;
    for (size_t i = 0; i < check->current.list.count; i++) {
        enum sync_finding finding = registrar->findings[i];
        check->items[i].look = check->all || finding == SYNC_DAMAGED || finding == SYNC_MISSING;
        check->items[i].may_repair =
            sync_may_repair(registrar_wants(registrar), check->current.list.items[i].name);
        plan_source(registrar, &check->current.list.items[i], &check->items[i].source);
    }
}

bool check_start(struct registrar *registrar)
{
    if (registrar->check_due == CHECK_NONE)
        return false;
    struct check_job *check = calloc(1, sizeof *check);
    if (check == NULL) {
        struct err err;
        err_set(&err, ERR_NO_MEMORY, "no memory");
        registrar->check_due = CHECK_NONE;
        registrar_stall(registrar, "checking what is held", &err);
        return false;
    }
    check_fill(registrar, check);
    if (check->all)
        registrar_go_on(registrar); /* the disk may have room again */
    registrar->check_due = CHECK_NONE;
    job_start(registrar, &check->job, check_run, check_done);
    return true;
}
