/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"
#include "agent/txn_input.h"
#include "base/buf.h"
#include "proto/desired.pb-c.h"
#include "proto/refusal.h"

#include <string.h>

static void state_word(const Muster__ItemReport *item, char out[32])
{
    enum_word(&muster__item_state__descriptor, "ITEM_", (int)item->state, out);
}

/* "-" for what no manifest names. */
static void mode_word(const Muster__ItemReport *item, char out[32])
{
    if (item->wanted_version == 0)
        memcpy(out, "-", 2);
    else
        enum_word(&muster__assign_mode__descriptor, "MODE_", (int)item->mode, out);
}

static json_t *json_hex(const ProtobufCBinaryData *data)
{
    char text[2 * 64 + 1];
    if (data->len > 64)
        return json_null();
    hex_encode(data->data, data->len, text);
    return json_string(text);
}

json_t *command_difference_json(const Muster__ItemReport *item)
{
    char what[32];
    if (item == NULL || item->difference == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE)
        return json_null();
    enum_word(&muster__difference_kind__descriptor, "DIFFERENCE_", (int)item->difference, what);
    json_t *rows = json_null();
    if (item->rows_compared)
        rows = json_pack("{s:I, s:I, s:I}", "only_found", (json_int_t)item->rows_only_found,
                         "only_wanted", (json_int_t)item->rows_only_wanted, "first",
                         (json_int_t)item->first_row);
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "what", what, "owned", (int)item->owned,
                     "wanted_bytes", (json_int_t)item->wanted_bytes, "found_bytes",
                     (json_int_t)item->found_bytes, "rows", rows);
}

static json_t *item_json(const Muster__ItemReport *item)
{
    char state[32], mode[32], refusal[REFUSAL_NAME_CHARS];
    state_word(item, state);
    mode_word(item, mode);
    refusal_name(item->refusal, refusal);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:s, s:s, s:s, s:s, s:o}", "name", item->name,
                     "wanted_version", (json_int_t)item->wanted_version, "held_version",
                     (json_int_t)item->held_version, "wanted_sha256",
                     json_hex(&item->wanted_sha256), "held_sha256", json_hex(&item->held_sha256),
                     "state", state, "reason", item->reason, "mode", mode, "refusal", refusal,
                     "difference", command_difference_json(item));
}

static void slot_word(const Muster__KeySlot *slot, char out[32])
{
    enum_word(&muster__key_slot_state__descriptor, "KEY_SLOT_", (int)slot->state, out);
}

/* Those that are not as they should be. */
static json_t *slots_json(const Muster__StateReport *state)
{
    json_t *slots = json_array();
    for (size_t i = 0; i < state->n_keys; i++) {
        const Muster__KeySlot *slot = state->keys[i];
        char word[32];
        slot_word(slot, word);
        (void)json_array_append_new(
            slots, json_pack("{s:s, s:s, s:I, s:o, s:s, s:s}", "slot", slot->slot, "usage",
                             slot->usage, "key_version", (json_int_t)slot->key_version, "kcv",
                             json_hex(&slot->kcv), "state", word, "why", slot->why));
    }
    return slots;
}

json_t *command_state_json(const Muster__StateReport *state)
{
    if (state == NULL)
        return json_null();
    json_t *items = json_array();
    for (size_t i = 0; i < state->n_items; i++)
        (void)json_array_append_new(items, item_json(state->items[i]));
    return json_pack("{s:I, s:I, s:I, s:o, s:b, s:o, s:o, s:o, s:o}", "manifest_version",
                     (json_int_t)state->manifest_version, "manifest_epoch",
                     (json_int_t)state->manifest_epoch, "generation", (json_int_t)state->generation,
                     "generation_digest", json_hex(&state->generation_digest), "converged",
                     (int)state->converged, "waits", command_waits_json(state->apply), "probation",
                     command_probation_json(state), "items", items, "keys", slots_json(state));
}

static void version_text(uint64_t version, char out[24])
{
    if (version == 0)
        memcpy(out, "-", 2);
    else
        (void)snprintf(out, 24, "%llu", (unsigned long long)version);
}

void command_print_items(const Muster__StateReport *state)
{
    int width = 4;
    for (size_t i = 0; i < state->n_items; i++)
        if ((int)strlen(state->items[i]->name) > width)
            width = (int)strlen(state->items[i]->name);
    if (state->n_items > 0)
        (void)printf("%-*s  %-8s  %-8s  %-7s  %-9s  %s\n", width, "ITEM", "WANTED", "HELD", "MODE",
                     "STATE", "REASON");
    for (size_t i = 0; i < state->n_items; i++) {
        const Muster__ItemReport *item = state->items[i];
        char word[32], mode[32], wanted[24], held[24];
        state_word(item, word);
        mode_word(item, mode);
        version_text(item->wanted_version, wanted);
        version_text(item->held_version, held);
        (void)printf("%-*s  %-8s  %-8s  %-7s  %-9s  %s\n", width, command_plain(item->name), wanted,
                     held, mode, word, command_plain(item->reason));
    }
    for (size_t i = 0; i < state->n_keys; i++) {
        const Muster__KeySlot *slot = state->keys[i];
        char word[32];
        slot_word(slot, word);
        (void)printf("key slot %s: %s%s%s\n", command_plain(slot->slot), word,
                     slot->why[0] != '\0' ? ": " : "", command_plain(slot->why));
    }
}

size_t command_count_unrepaired(const Muster__StateReport *state)
{
    size_t count = 0;
    for (size_t i = 0; i < state->n_items; i++)
        if (state->items[i]->state != MUSTER__ITEM_STATE__ITEM_OK &&
            state->items[i]->state != MUSTER__ITEM_STATE__ITEM_WAITING &&
            state->items[i]->state != MUSTER__ITEM_STATE__ITEM_PROBATION &&
            state->items[i]->state != MUSTER__ITEM_STATE__ITEM_REPAIRED)
            count++;
    return count;
}
