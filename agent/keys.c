/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keys.h"

#include "base/buf.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct key_held *keys_held_in(const struct key_inventory *inventory, const char *slot)
{
    for (size_t i = 0; i < inventory->count; i++)
        if (strcmp(inventory->slots[i].slot, slot) == 0)
            return &inventory->slots[i];
    return NULL;
}

const struct key_floor *keys_floor_of(const struct key_floors *floors, const char *slot)
{
    for (size_t i = 0; i < floors->count; i++)
        if (strcmp(floors->rows[i].slot, slot) == 0)
            return &floors->rows[i];
    return NULL;
}

static bool same_key(const struct key_floor *floor, const struct key_placement *placement)
{
    return floor->key_version == placement->key_version &&
           key_kcv_equal(placement, floor->kcv_method, bytes_of(floor->kcv, floor->kcv_length));
}

bool keys_floor_raise(struct key_floors *floors, const struct key_placement *placement)
{
    size_t at = 0;
    while (at < floors->count && strcmp(floors->rows[at].slot, placement->slot) != 0)
        at++;
    if (at == KEYS_SLOTS ||
        (at < floors->count && (floors->rows[at].key_version > placement->key_version ||
                                same_key(&floors->rows[at], placement))))
        return false;
    struct key_floor *row = &floors->rows[at];
    *row = (struct key_floor){.key_version = placement->key_version,
                              .kcv_method = placement->kcv_method,
                              .kcv_length = placement->kcv_length};
    memcpy(row->slot, placement->slot, sizeof row->slot);
    memcpy(row->kcv, placement->kcv, sizeof row->kcv);
    if (at == floors->count)
        floors->count++;
    return true;
}

bool keys_wanted_equal(const struct key_wanted *a, const struct key_wanted *b)
{
    return strcmp(a->name, b->name) == 0 && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0 &&
           key_placement_equal(&a->placement, &b->placement) && a->mode == b->mode;
}

void keys_wanted_digest(const struct key_wanted *wanted, uint8_t ret_digest[32])
{
    const struct key_placement *key = &wanted->placement;
    char text[512], kcv[2 * KEY_KCV_BYTES + 1], content[2 * 32 + 1];
    hex_encode(key->kcv, key->kcv_length, kcv);
    hex_encode(wanted->sha256, sizeof wanted->sha256, content);
    const int length =
        snprintf(text, sizeof text, "key %s %s %s %s %c %c %u %d %s %d", wanted->name, content,
                 key->slot, key->usage, key->algorithm, key->mode, key->key_version,
                 (int)key->kcv_method, kcv, (int)wanted->mode);
    sha256(bytes_of(text, (size_t)length), ret_digest);
}

static void refuse_version(struct key_verdict *verdict, unsigned wanted, unsigned held,
                           const char *who)
{
    verdict->refusal = MUSTER__REFUSAL__REFUSAL_KEY_VERSION;
    (void)snprintf(verdict->why, sizeof verdict->why,
                   "key version %u is not above %u, which %s; a key of a higher version is needed",
                   wanted, held, who);
}

/* Any older key could be placed over it. */
static void refuse_unversioned(struct key_verdict *verdict)
{
    verdict->refusal = MUSTER__REFUSAL__REFUSAL_KEY_VERSION;
    (void)snprintf(verdict->why, sizeof verdict->why,
                   "another key is in the slot, of which neither the loader nor this terminal's "
                   "book knows the version: the loader is to say \"version\"");
}

/* What was placed once is placed again as it was; all else has to rise. */
static void judge_version(const struct key_placement *placement, const struct key_held *held,
                          const struct key_floor *floor, struct key_verdict *verdict)
{
    const unsigned wanted = placement->key_version;
    const bool again = floor != NULL && same_key(floor, placement);
    if (wanted == 0)
        refuse_version(verdict, wanted, 0, "is no version");
    else if (floor != NULL && !again && wanted <= floor->key_version)
        refuse_version(verdict, wanted, floor->key_version, "was placed here");
    else if (held != NULL && !held->empty && held->versioned &&
             (wanted < held->key_version || (wanted == held->key_version && !again)))
        refuse_version(verdict, wanted, held->key_version, "the slot holds");
    else if (held != NULL && !held->empty && !held->versioned && floor == NULL)
        refuse_unversioned(verdict);
    else
        verdict->place = true;
}

/* What a loader does not say cannot differ, but for the check value. */
static bool is_as_placed(const struct key_held *held, const struct key_placement *placement)
{
    return !held->empty && !held->own &&
           key_kcv_equal(placement, held->kcv_method, bytes_of(held->kcv, held->kcv_length)) &&
           (!held->versioned || held->key_version == placement->key_version) &&
           (held->usage[0] == '\0' || strcmp(held->usage, placement->usage) == 0) &&
           (held->algorithm == '\0' || held->algorithm == placement->algorithm) &&
           (held->mode == '\0' || held->mode == placement->mode);
}

void keys_judge(const struct key_placement *placement, const struct key_inventory *inventory,
                const struct key_floors *floors, struct key_verdict *ret_verdict)
{
    const struct key_held *held = keys_held_in(inventory, placement->slot);
    struct key_verdict verdict = {.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_DIFFERS};
    if (held != NULL && is_as_placed(held, placement)) {
        *ret_verdict = (struct key_verdict){.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK};
        return;
    }
    if (held != NULL && held->own) {
        verdict.refusal = MUSTER__REFUSAL__REFUSAL_KEY_LOADER;
        (void)snprintf(verdict.why, sizeof verdict.why,
                       "slot %s holds the application's own key, which only it changes",
                       placement->slot);
        *ret_verdict = verdict;
        return;
    }
    if (held == NULL || held->empty)
        verdict.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_EMPTY;
    judge_version(placement, held, keys_floor_of(floors, placement->slot), &verdict);
    if (verdict.place)
        (void)snprintf(verdict.why, sizeof verdict.why, "%s",
                       held == NULL || held->empty ? "nothing is in it yet"
                                                   : "another key than the one placed is in it");
    *ret_verdict = verdict;
}

static void say_difference(const struct key_wanted *wanted, const struct key_held *held,
                           struct key_verdict *verdict)
{
    const struct key_placement *placement = &wanted->placement;
    const char *what = "a key for another use is in it";
    if (held == NULL || held->empty)
        what = "nothing is in it";
    else if (held->own)
        what = "the application's own key is in it";
    else if (!key_kcv_equal(placement, held->kcv_method, bytes_of(held->kcv, held->kcv_length)))
        what = "a key of another check value is in it";
    else if (held->versioned && held->key_version != placement->key_version)
        what = "its key is there under another version";
    (void)snprintf(verdict->why, sizeof verdict->why, "%s; %s, not placed here", what,
                   wanted->mode == MUSTER__ASSIGN_MODE__MODE_PROPOSE ? "proposed to ops"
                                                                     : "observed only");
}

void keys_judge_observed(const struct key_wanted *wanted, const struct key_inventory *inventory,
                         struct key_verdict *ret_verdict)
{
    const struct key_placement *placement = &wanted->placement;
    const struct key_held *held = keys_held_in(inventory, placement->slot);
    struct key_verdict verdict = {.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_DIFFERS};
    if (held == NULL || held->empty)
        verdict.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_EMPTY;
    else if (is_as_placed(held, placement))
        verdict.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK;
    if (verdict.state != MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK)
        say_difference(wanted, held, &verdict);
    *ret_verdict = verdict;
}

void keys_judge_own(const struct key_sign_on *sign_on, struct key_verdict *ret_verdict)
{
    struct key_verdict verdict = {.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_OWN};
    const int64_t minutes = sign_on->age_ms / 60000, limit = sign_on->limit_ms / 60000;
    if (sign_on->failed || (sign_on->known && sign_on->age_ms > sign_on->limit_ms))
        verdict.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE;
    if (sign_on->failed && !sign_on->known)
        (void)snprintf(verdict.why, sizeof verdict.why,
                       "no sign-on to acquirer %u was ever approved", sign_on->acquirer);
    else if (sign_on->failed)
        (void)snprintf(verdict.why, sizeof verdict.why,
                       "the newest sign-on to acquirer %u was not approved; the last good one was "
                       "%" PRId64 " minutes ago",
                       sign_on->acquirer, minutes);
    else if (verdict.state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_STALE)
        (void)snprintf(verdict.why, sizeof verdict.why,
                       "the last sign-on to acquirer %u that was approved is %" PRId64
                       " minutes ago, over %" PRId64,
                       sign_on->acquirer, minutes, limit);
    *ret_verdict = verdict;
}
