/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of the key slots: versions and check values, never more. */
#include "agent/keyring_internal.h"
#include "agent/sync.h"
#include "base/log.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DETAIL_BYTES = 31 * 1024, TEXT_BYTES = 400 };

static char *text_of(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text) + 1);
}

static bool row_fill(const char *slot, const struct key_held *held,
                     const struct key_verdict *verdict, struct arena *arena, Muster__KeySlot *row)
{
    static const struct key_held nothing;
    char algorithm[2] = "";
    const struct key_held *from = held != NULL ? held : &nothing;
    muster__key_slot__init(row);
    algorithm[0] = from->algorithm;
    row->slot = text_of(arena, slot);
    row->usage = text_of(arena, from->usage);
    row->algorithm = text_of(arena, algorithm);
    row->why = text_of(arena, verdict->why);
    row->key_version = from->key_version;
    row->state = verdict->state;
    row->kcv.data = arena_copy(arena, from->kcv, sizeof from->kcv);
    row->kcv.len = from->kcv_length;
    row->kcv_method = from->kcv_length > 0 ? from->kcv_method : MUSTER__KCV_METHOD__KCV_UNKNOWN;
    return row->slot != NULL && row->usage != NULL && row->algorithm != NULL && row->why != NULL &&
           row->kcv.data != NULL;
}

static Muster__KeySlot *row_make(const char *slot, const struct key_held *held,
                                 const struct key_verdict *verdict, struct arena *arena)
{
    Muster__KeySlot *row = arena_alloc(arena, sizeof *row);
    return row != NULL && row_fill(slot, held, verdict, arena, row) ? row : NULL;
}

static bool is_wanted(const struct keyring *keyring, const char *slot)
{
    for (size_t i = 0; i < keyring->wanted_count; i++)
        if (strcmp(keyring->wanted[i].placement.slot, slot) == 0)
            return true;
    return false;
}

/* Of a slot that nobody here has placed. Where the loader does not answer, nobody knows. */
static struct key_verdict judge_other(const struct keyring *keyring, const struct key_held *held)
{
    struct key_verdict verdict = {.state = held->empty ? MUSTER__KEY_SLOT_STATE__KEY_SLOT_EMPTY
                                                       : MUSTER__KEY_SLOT_STATE__KEY_SLOT_UNKNOWN};
    if (held->own)
        verdict = keyring_judge_own(keyring, held);
    if (keyring->asked || verdict.state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE)
        return verdict;
    verdict.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_UNKNOWN;
    memcpy(verdict.why, keyring->trouble, sizeof verdict.why);
    return verdict;
}

/* One row for each block in force, then one for each slot that nobody here has placed. */
static bool rows_fill(const struct keyring *keyring, struct arena *arena, Muster__KeySlot **rows,
                      size_t *ret_count)
{
    const struct key_inventory *inventory = &keyring->inventory;
    size_t count = 0;
    for (size_t i = 0; i < keyring->wanted_count; i++) {
        const char *slot = keyring->wanted[i].placement.slot;
        rows[count++] = row_make(slot, keys_held_in(inventory, slot), &keyring->verdicts[i], arena);
        if (rows[count - 1] == NULL)
            return false;
    }
    for (size_t i = 0; i < inventory->count; i++) {
        const struct key_held *held = &inventory->slots[i];
        const struct key_verdict verdict = judge_other(keyring, held);
        if (is_wanted(keyring, held->slot))
            continue;
        rows[count++] = row_make(held->slot, held, &verdict, arena);
        if (rows[count - 1] == NULL)
            return false;
    }
    *ret_count = count;
    return true;
}

static void why_not_all(const struct keyring *keyring, char ret_why[KEYS_WHY_CHARS + 1])
{
    ret_why[0] = '\0';
    if (!keyring->asked)
        memcpy(ret_why, keyring->trouble, KEYS_WHY_CHARS + 1);
    else if (keyring->surplus > 0)
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1,
                       "%zu key blocks more are in force than the %d that are looked after",
                       keyring->surplus, KEYS_SLOTS);
}

bool keyring_inventory(const struct keyring *keyring, struct arena *arena,
                       Muster__KeyInventory *ret_inventory, struct err *err)
{
    Muster__KeyInventory inventory = MUSTER__KEY_INVENTORY__INIT;
    char why[KEYS_WHY_CHARS + 1];
    why_not_all(keyring, why);
    inventory.slots = arena_alloc(arena, 2 * KEYS_SLOTS * sizeof inventory.slots[0]);
    inventory.why = text_of(arena, why);
    inventory.asked = keyring->asked;
    if (inventory.slots == NULL || inventory.why == NULL ||
        !rows_fill(keyring, arena, inventory.slots, &inventory.n_slots))
        return err_set(err, ERR_NO_MEMORY, "no memory for the key slots");
    keyring_say_sign_on(keyring, &inventory);
    *ret_inventory = inventory;
    return true;
}

/* ---- in the state report ---- */

static bool is_amiss(const Muster__KeySlot *row, bool wanted)
{
    return row->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE ||
           row->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_DIFFERS ||
           (wanted && row->state != MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK) ||
           (row->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_UNKNOWN && row->why[0] != '\0');
}

/* Ops are asked about a slot that is known to differ, and not while the loader does not answer. */
static Muster__ItemState state_of(const struct key_wanted *wanted,
                                  const struct key_verdict *verdict)
{
    if (verdict->refusal != MUSTER__REFUSAL__REFUSAL_NONE)
        return MUSTER__ITEM_STATE__ITEM_REFUSED;
    if (wanted->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR)
        return MUSTER__ITEM_STATE__ITEM_PLACING;
    if (verdict->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_UNKNOWN)
        return MUSTER__ITEM_STATE__ITEM_UNKNOWN;
    return wanted->mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE ? MUSTER__ITEM_STATE__ITEM_PROPOSED
                                                             : MUSTER__ITEM_STATE__ITEM_DRIFT;
}

static bool item_amend(const struct key_wanted *wanted, const struct key_verdict *verdict,
                       struct arena *arena, Muster__ItemReport *item)
{
    item->state = state_of(wanted, verdict);
    item->refusal = verdict->refusal;
    item->reason = text_of(arena, verdict->why);
    return item->reason != NULL;
}

static bool item_judge(const struct keyring *keyring, const struct key_wanted *wanted,
                       struct arena *arena, Muster__StateReport *state)
{
    const struct key_verdict *verdict = keyring_verdict_of(keyring, wanted);
    if (verdict->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK)
        return true;
    state->converged = false;
    for (size_t i = 0; i < state->n_items; i++) {
        Muster__ItemReport *item = state->items[i];
        if (strcmp(item->name, wanted->name) == 0 && sync_as_wanted(item->state))
            return item_amend(wanted, verdict, arena, item);
    }
    return true;
}

static bool items_amend(const struct keyring *keyring, struct arena *arena,
                        Muster__StateReport *state)
{
    struct key_wanted wanted[KEYS_SLOTS];
    const size_t count = keyring->events.wanted(keyring->ctx, wanted, KEYS_SLOTS);
    bool ok = true;
    if (count > KEYS_SLOTS)
        state->converged = false;
    for (size_t i = 0; ok && i < count && i < KEYS_SLOTS; i++)
        ok = item_judge(keyring, &wanted[i], arena, state);
    return ok;
}

bool keyring_state(const struct keyring *keyring, struct arena *arena, Muster__StateReport *state,
                   struct err *err)
{
    size_t count = 0, kept = 0;
    Muster__KeySlot **rows = arena_alloc(arena, 2 * KEYS_SLOTS * sizeof rows[0]);
    if (rows == NULL || !rows_fill(keyring, arena, rows, &count) ||
        !items_amend(keyring, arena, state))
        return err_set(err, ERR_NO_MEMORY, "no memory for the key slots");
    for (size_t i = 0; i < count; i++)
        if (is_amiss(rows[i], i < keyring->wanted_count))
            rows[kept++] = rows[i];
    state->keys = rows;
    state->n_keys = kept;
    return true;
}

/* ---- as an event ---- */

static void say(struct keyring *keyring, const Muster__KeyInventory *inventory, const char *item,
                Muster__Refusal refusal, char *text)
{
    struct buf detail = {.limit = DETAIL_BYTES};
    struct err err = {0};
    if (!pack(&inventory->base, &detail, &err)) {
        log_warn("key slots: an event goes without its detail: %s", err.text);
        buf_clear(&detail);
    }
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_KEYS;
    event.item = (char *)(uintptr_t)item;
    event.text = text;
    event.refusal = refusal;
    event.detail = (ProtobufCBinaryData){.len = detail.length, .data = detail.data};
    keyring->events.event(keyring->ctx, &event);
    buf_done(&detail);
}

/* That nobody knows, else the first block that is not in its slot, else how many slots there are.
 */
static void send_state(struct keyring *keyring, const Muster__KeyInventory *inventory)
{
    char text[TEXT_BYTES];
    if (inventory->why[0] != '\0') {
        (void)snprintf(text, sizeof text, "%s: %s",
                       keyring->asked ? "key slots" : "what is in the key slots is not known",
                       inventory->why);
        say(keyring, inventory, "", MUSTER__REFUSAL__REFUSAL_NONE, text);
        return;
    }
    for (size_t i = 0; i < keyring->wanted_count; i++) {
        const struct key_wanted *wanted = &keyring->wanted[i];
        const struct key_verdict *verdict = &keyring->verdicts[i];
        if (verdict->state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK)
            continue;
        (void)snprintf(text, sizeof text, "slot %s: key version %u of %s is not in it: %s",
                       wanted->placement.slot, wanted->placement.key_version, wanted->name,
                       verdict->why);
        say(keyring, inventory, wanted->name, verdict->refusal, text);
        return;
    }
    for (size_t i = 0; i < inventory->n_slots; i++) {
        if (inventory->slots[i]->state != MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE)
            continue;
        (void)snprintf(text, sizeof text, "slot %s: %s", inventory->slots[i]->slot,
                       inventory->slots[i]->why);
        say(keyring, inventory, "", MUSTER__REFUSAL__REFUSAL_NONE, text);
        return;
    }
    (void)snprintf(text, sizeof text, "%zu key slots, all that was placed is in its slot",
                   inventory->n_slots);
    say(keyring, inventory, "", MUSTER__REFUSAL__REFUSAL_NONE, text);
}

/* Ages that only grow are nothing new. */
static bool hash_of(const struct keyring *keyring, const Muster__KeyInventory *inventory,
                    uint8_t ret_hash[32])
{
    struct buf packed = {.limit = 2 * DETAIL_BYTES};
    bool ok = buf_append(&packed, inventory->why, strlen(inventory->why) + 1, NULL);
    for (size_t i = 0; ok && i < inventory->n_slots; i++) {
        Muster__KeySlot slot = *inventory->slots[i];
        if (slot.state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE ||
            (i < keyring->wanted_count && (keyring->verdicts[i].place || keyring->hindered[i])))
            slot.why = (char *)(uintptr_t) "";
        ok = pack(&slot.base, &packed, NULL);
    }
    for (size_t i = 0; ok && i < keyring->wanted_count; i++) {
        const struct key_verdict *verdict = &keyring->verdicts[i];
        const uint8_t said[] = {(uint8_t)verdict->refusal, keyring->hindered[i],
                                verdict->place ? keyring->phases[i] : (uint8_t)0};
        ok = buf_append(&packed, said, sizeof said, NULL) &&
             buf_append(&packed, keyring->wanted[i].sha256, 32, NULL);
    }
    if (ok)
        sha256(buf_bytes(&packed), ret_hash);
    buf_done(&packed);
    return ok;
}

void keyring_tell(struct keyring *keyring)
{
    struct arena arena = {0};
    struct err err = {0};
    Muster__KeyInventory inventory;
    uint8_t hash[32];
    const bool silent = keyring->loader[0] == '\0' && keyring->wanted_count == 0;
    if (!keyring_inventory(keyring, &arena, &inventory, &err) ||
        !hash_of(keyring, &inventory, hash)) {
        log_error("key slots: no memory to tell of them");
        arena_done(&arena);
        return;
    }
    const bool changed = memcmp(hash, keyring->reported, sizeof hash) != 0;
    memcpy(keyring->reported, hash, sizeof hash);
    if (!silent && memcmp(hash, keyring->told, sizeof hash) != 0 &&
        (keyring->asked || keyring->trouble[0] != '\0')) {
        memcpy(keyring->told, hash, sizeof hash);
        send_state(keyring, &inventory);
    }
    arena_done(&arena);
    if (changed)
        keyring->events.changed(keyring->ctx);
}

void keyring_tell_placed(struct keyring *keyring, const struct key_wanted *wanted)
{
    char text[TEXT_BYTES], kcv[2 * KEY_KCV_BYTES + 1];
    Muster__KeyInventory inventory = MUSTER__KEY_INVENTORY__INIT;
    hex_encode(wanted->placement.kcv, wanted->placement.kcv_length, kcv);
    (void)snprintf(text, sizeof text, "slot %s: key version %u of %s is placed, check value %s:%s",
                   wanted->placement.slot, wanted->placement.key_version, wanted->name,
                   key_kcv_word(wanted->placement.kcv_method), kcv);
    log_info("%s", text);
    say(keyring, &inventory, wanted->name, MUSTER__REFUSAL__REFUSAL_NONE, text);
}

void keyring_tell_decided(struct keyring *keyring, const struct key_wanted *wanted, const char *who,
                          const char *waits_for)
{
    char text[TEXT_BYTES];
    Muster__KeyInventory inventory = MUSTER__KEY_INVENTORY__INIT;
    (void)snprintf(text, sizeof text,
                   "slot %s: %.60s has decided: key version %u of %s is placed now, though it "
                   "waited for %.100s",
                   wanted->placement.slot, who, wanted->placement.key_version, wanted->name,
                   waits_for[0] != '\0' ? waits_for : "nothing any more");
    log_warn("%s", text);
    say(keyring, &inventory, wanted->name, MUSTER__REFUSAL__REFUSAL_NONE, text);
}
