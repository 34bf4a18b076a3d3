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

static json_t *item_json(const Muster__ItemReport *item)
{
    char state[32], mode[32], refusal[REFUSAL_NAME_CHARS];
    state_word(item, state);
    mode_word(item, mode);
    refusal_name(item->refusal, refusal);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:s, s:s, s:s, s:s}", "name", item->name,
                     "wanted_version", (json_int_t)item->wanted_version, "held_version",
                     (json_int_t)item->held_version, "wanted_sha256",
                     json_hex(&item->wanted_sha256), "held_sha256", json_hex(&item->held_sha256),
                     "state", state, "reason", item->reason, "mode", mode, "refusal", refusal);
}

json_t *command_state_json(const Muster__StateReport *state)
{
    if (state == NULL)
        return json_null();
    json_t *items = json_array();
    for (size_t i = 0; i < state->n_items; i++)
        (void)json_array_append_new(items, item_json(state->items[i]));
    return json_pack("{s:I, s:I, s:I, s:o, s:b, s:o}", "manifest_version",
                     (json_int_t)state->manifest_version, "manifest_epoch",
                     (json_int_t)state->manifest_epoch, "generation", (json_int_t)state->generation,
                     "generation_digest", json_hex(&state->generation_digest), "converged",
                     (int)state->converged, "items", items);
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
}

size_t command_count_unrepaired(const Muster__StateReport *state)
{
    size_t count = 0;
    for (size_t i = 0; i < state->n_items; i++)
        if (state->items[i]->state != MUSTER__ITEM_STATE__ITEM_OK &&
            state->items[i]->state != MUSTER__ITEM_STATE__ITEM_REPAIRED)
            count++;
    return count;
}
