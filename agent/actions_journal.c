/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/actions_journal.h"

#include "base/file.h"
#include "proto/action.h"
#include "proto/local.pb-c.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_BYTES = 32, ELEMENTS_EACH = 16 };

static ProtobufCBinaryData binary(const uint8_t *data, size_t length)
{
    return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)(uintptr_t)data};
}

static void entry_message(const struct actions_entry *entry, Muster__KeptAction *kept)
{
    muster__kept_action__init(kept);
    kept->id = (char *)(uintptr_t)entry->id;
    kept->kind = entry->kind;
    kept->step = entry->step;
    kept->since_epoch = entry->since_epoch;
    kept->since_version = entry->since_version;
    kept->boot_id = binary(entry->boot_id, sizeof entry->boot_id);
    kept->text = (char *)(uintptr_t)entry->text;
    kept->log_bytes = entry->log.bytes;
    kept->log_pieces = entry->log.pieces;
    if (entry->log.pieces > 0)
        kept->log_sha256 = binary(entry->log.sha256, sizeof entry->log.sha256);
    kept->told = entry->told;
    kept->told_epoch = entry->told_epoch;
    kept->told_version = entry->told_version;
    kept->refusal = entry->refusal;
}

static bool pack_journal(const struct actions *actions, struct buf *out, struct err *err)
{
    Muster__KeptActions message = MUSTER__KEPT_ACTIONS__INIT;
    Muster__KeptAction *kept = calloc(actions->count + 1, sizeof *kept);
    Muster__KeptAction **list = calloc(actions->count + 1, sizeof *list);
    struct buf body = {.limit = ACTIONS_JOURNAL_BYTES - DIGEST_BYTES};
    uint8_t digest[DIGEST_BYTES];
    bool ok = kept != NULL && list != NULL;
    for (size_t i = 0; ok && i < actions->count; i++) {
        entry_message(&actions->entries[i], &kept[i]);
        list[i] = &kept[i];
    }
    message.n_actions = actions->count;
    message.actions = list;
    message.floor_epoch = actions->floor_epoch;
    message.floor_version = actions->floor_version;
    if (!ok)
        err_set(err, ERR_NO_MEMORY, "no memory for the journal of actions");
    ok = ok && pack(&message.base, &body, err);
    if (ok) {
        sha256(buf_bytes(&body), digest);
        ok = buf_append(out, digest, sizeof digest, err) &&
             buf_append(out, body.data, body.length, err);
    }
    buf_done(&body);
    free(list);
    free(kept);
    return ok;
}

bool actions_journal_write(const char *path, const struct actions *actions, struct err *err)
{
    struct buf file = {.limit = ACTIONS_JOURNAL_BYTES};
    bool ok = pack_journal(actions, &file, err) && file_write(path, buf_bytes(&file), 0640, err);
    buf_done(&file);
    return ok || err_context(err, "the journal of actions");
}

static bool entry_take(const Muster__KeptAction *kept, struct actions_entry *entry, struct err *err)
{
    bool started = kept->step == MUSTER__ACTION_STEP__ACTION_STEP_STARTED;
    if (!action_id_valid(kept->id) || (!started && !action_is_over((int)kept->step)) ||
        kept->boot_id.len != sizeof entry->boot_id ||
        (kept->log_sha256.len != 0 && kept->log_sha256.len != sizeof entry->log.sha256))
        return err_set(err, ERR_INVALID, "an entry says what no agent writes");
    *entry = (struct actions_entry){.kind = kept->kind,
                                    .step = kept->step,
                                    .since_epoch = kept->since_epoch,
                                    .since_version = kept->since_version,
                                    .log = {.bytes = kept->log_bytes, .pieces = kept->log_pieces},
                                    .told = kept->told,
                                    .told_epoch = kept->told_epoch,
                                    .told_version = kept->told_version,
                                    .refusal = kept->refusal};
    memcpy(entry->id, kept->id, strlen(kept->id) + 1);
    memcpy(entry->boot_id, kept->boot_id.data, sizeof entry->boot_id);
    if (kept->log_sha256.len != 0)
        memcpy(entry->log.sha256, kept->log_sha256.data, sizeof entry->log.sha256);
    (void)snprintf(entry->text, sizeof entry->text, "%s", kept->text);
    return true;
}

static bool entries_take(const Muster__KeptActions *kept, struct actions *actions, struct err *err)
{
    enum { STEP = 16 }; /* as it grows */
    if (kept->n_actions > ACTIONS_KEPT)
        return err_set(err, ERR_INVALID, "%zu entries, at most %d are kept", kept->n_actions,
                       ACTIONS_KEPT);
    size_t room = (kept->n_actions + STEP - 1) / STEP * STEP;
    actions->entries = calloc(room + 1, sizeof *actions->entries);
    if (actions->entries == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the journal of actions");
    for (size_t i = 0; i < kept->n_actions; i++) {
        if (actions_find(actions, kept->actions[i]->id) != NULL)
            return err_set(err, ERR_INVALID, "an action is there twice");
        if (!entry_take(kept->actions[i], &actions->entries[i], err))
            return false;
        actions->count = i + 1;
    }
    actions->floor_epoch = kept->floor_epoch;
    actions->floor_version = kept->floor_version;
    return true;
}

bool actions_journal_take(struct bytes file, struct actions *ret_actions, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = ACTIONS_JOURNAL_BYTES,
                                                .max_elements = ACTIONS_KEPT * ELEMENTS_EACH};
    struct arena arena = {0};
    struct actions actions = {0};
    ProtobufCMessage *message = NULL;
    uint8_t digest[DIGEST_BYTES];
    if (file.length < DIGEST_BYTES)
        return err_set(err, ERR_INVALID, "%zu bytes", file.length);
    struct bytes body = bytes_of(file.data + DIGEST_BYTES, file.length - DIGEST_BYTES);
    sha256(body, digest);
    if (memcmp(digest, file.data, DIGEST_BYTES) != 0)
        return err_set(err, ERR_INVALID, "its bytes are not what its hash says");
    bool ok = unpack(&muster__kept_actions__descriptor, body, &limits, &arena, &message, err) &&
              entries_take((const Muster__KeptActions *)message, &actions, err);
    arena_done(&arena);
    if (!ok) {
        actions_done(&actions);
        return false;
    }
    *ret_actions = actions;
    return true;
}

bool actions_journal_read(const char *path, struct actions *ret_actions, struct err *err)
{
    struct buf file = {.limit = ACTIONS_JOURNAL_BYTES};
    bool ok = file_read(path, ACTIONS_JOURNAL_BYTES, &file, err) &&
              actions_journal_take(buf_bytes(&file), ret_actions, err);
    buf_done(&file);
    return ok;
}
