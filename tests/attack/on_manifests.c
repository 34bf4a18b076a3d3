/* SPDX-License-Identifier: Apache-2.0 */
/* What a thief does to manifests, and to the envelopes around them. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <string.h>

static void forge(struct strike *strike)
{
    strike->draft.forged = true;
}

static void replace(struct buf *message, const struct buf *with)
{
    buf_clear(message);
    must(buf_append(message, with->data, with->length, NULL), "memory", NULL);
}

/* ---- what is changed on the way ---- */

static void change_body(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->data[message->length / 3] ^= 1;
}

static void change_signature(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->data[message->length - 3] ^= 1;
}

static void cut(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->length -= 1;
}

static void cut_in_half(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->length /= 2;
}

static void empty(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->length = 0;
}

static void swell(struct strike *strike, struct buf *message)
{
    static const uint8_t more[4096];
    (void)strike;
    while (message->length <= LIMIT_MANIFEST_BYTES)
        must(buf_append(message, more, sizeof more, NULL), "memory", NULL);
}

/* The bytes of the fleet's own manifest of another version. */
static void replay_old(struct strike *strike, struct buf *message)
{
    struct buf old = {0};
    struct draft draft;
    strike_draft(strike, VERSION_OLD, &draft);
    fleet_manifest(&strike->fleet, NULL, &draft, &strike->blobs, &old);
    replace(message, &old);
    buf_done(&old);
}

/* The body of one message under the signatures of another. */
static void transplant(struct strike *strike, struct buf *message)
{
    struct buf old = {0};
    replay_old(strike, &old);
    size_t tail = 64 + 8; /* a signature, and what says that it is one */
    must(old.length > tail && message->length > tail, "short", NULL);
    memcpy(message->data + message->length - tail, old.data + old.length - tail, tail);
    buf_done(&old);
}

/* ---- what a thief signs ---- */

static void below_the_last(struct strike *strike)
{
    forge(strike);
    strike->draft.version = VERSION_OLD;
}

static void version_zero(struct strike *strike)
{
    forge(strike);
    strike->draft.version = 0;
}

/* Another one under the version that was accepted last. */
static void same_version(struct strike *strike)
{
    forge(strike);
    strike->draft.version = strike->stage == STAGE_IDLE ? VERSION_HELD : VERSION_WANTED;
}

static void leap(struct strike *strike)
{
    forge(strike);
    strike->draft.version = (UINT64_C(1) << 53) + 1;
}

static void leap_to_the_end(struct strike *strike)
{
    forge(strike);
    strike->draft.version = UINT64_MAX;
}

static void run_ahead(struct strike *strike)
{
    forge(strike);
    strike->draft.version = UINT64_C(1) << 40;
}

static void other_epoch(struct strike *strike)
{
    forge(strike);
    strike->draft.epoch++;
}

static void no_epoch(struct strike *strike)
{
    forge(strike);
    strike->draft.epoch = 0;
}

static void root_to_come(struct strike *strike)
{
    forge(strike);
    strike->draft.root_version = strike->root_version + 1;
}

static void other_domain(struct strike *strike)
{
    forge(strike);
    strike->draft.domain = "welcome";
}

static void other_device(struct strike *strike)
{
    forge(strike);
    strike->draft.device = strike->other;
}

static void other_context(struct strike *strike)
{
    forge(strike);
    strike->draft.context = strike->other;
}

static void swapped(struct strike *strike)
{
    struct item first = strike->draft.items[0];
    forge(strike);
    strike->draft.items[0] = strike->draft.items[1];
    strike->draft.items[1] = first;
}

static void doubled(struct strike *strike)
{
    forge(strike);
    strike->draft.items[1] = strike->draft.items[0];
}

static void too_many_items(struct strike *strike)
{
    forge(strike);
    strike->draft.count = 1;
    strike->draft.repeats = LIMIT_MANIFEST_ITEMS;
}

static void too_many_actions(struct strike *strike)
{
    forge(strike);
    strike->draft.actions = 12000;
}

static void fewer_items(struct strike *strike)
{
    forge(strike);
    strike->draft.count = DOCUMENT_WIFI;
}

/* What cannot go back cannot go away either. */
static void dropped(struct strike *strike)
{
    forge(strike);
    strike->draft.items[DOCUMENT_LIMITS] = strike->draft.items[DOCUMENT_PIN];
    strike->draft.items[DOCUMENT_PIN] = strike->draft.items[DOCUMENT_WIFI];
    strike->draft.count--;
}

static void older_documents(struct strike *strike)
{
    forge(strike);
    public_document(DOCUMENT_EXTRA, 1, &strike->draft.items[DOCUMENT_EXTRA].document);
}

static void unknown_mode(struct strike *strike)
{
    forge(strike);
    strike->draft.items[1].mode = (Muster__AssignMode)7;
}

static void bare(struct strike *strike)
{
    forge(strike);
    strike->draft.items[DOCUMENT_EXTRA].bare = true;
}

/* ---- after the keys were changed ---- */

static void rotate(struct strike *strike)
{
    strike_rotate(strike, false);
}

static void raise_epoch(struct strike *strike)
{
    strike_rotate(strike, true);
}

/* The fleet's own manifest of the epoch before, as it was signed. */
static void last_epoch(struct strike *strike)
{
    strike->draft.epoch = 1;
    strike->draft.root_version = 1;
    for (size_t i = 0; i < strike->draft.count; i++)
        strike->draft.items[i].document.epoch = 1;
    strike->fleet.changed = false;
}

static void back_to_new(struct strike *strike, struct buf *message)
{
    (void)message;
    strike->fleet.changed = true;
}

/* The same, signed again by the new director. */
static void last_epoch_again(struct strike *strike)
{
    strike->draft.epoch = 1;
}

/* Keys that a newer root had withdrawn count again, were it not for the floors. */
static void put_back_roots(struct strike *strike)
{
    strike_rotate(strike, false);
    strike_put_back_roots(strike);
}

static void by_the_former(struct strike *strike)
{
    forge(strike);
    strike->draft.root_version = 1;
    strike->fleet.changed = false;
}

#define MANIFEST .message = MESSAGE_MANIFEST
#define DIRECTOR .needs = NEED_DIRECTOR
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_ARBITRARY, "changed body", MANIFEST, .spoil = change_body, WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "changed signature", MANIFEST, .spoil = change_signature, WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "signed in another domain", MANIFEST, .mutate = other_domain,
     WHY(SIGNATURE)},
    {ATTACK_ROLLBACK, "replay", MANIFEST, .spoil = replay_old, WHY(MANIFEST_OLD)},
    {ATTACK_ROLLBACK, "below the last", MANIFEST, DIRECTOR, .mutate = below_the_last,
     WHY(MANIFEST_OLD)},
    {ATTACK_ROLLBACK, "documents above their floors", MANIFEST, DIRECTOR,
     .mutate = older_documents},
    {ATTACK_ROLLBACK, "of the epoch before", MANIFEST, .prepare = raise_epoch, .mutate = last_epoch,
     .spoil = back_to_new, WHY(SIGNATURE)},
    {ATTACK_ROLLBACK, "epoch before, signed again", MANIFEST, .prepare = raise_epoch,
     .mutate = last_epoch_again, WHY(MANIFEST_EPOCH)},
    {ATTACK_FAST_FORWARD, "leap", MANIFEST, DIRECTOR, .mutate = leap, WHY(MANIFEST_LEAP)},
    {ATTACK_FAST_FORWARD, "to the end", MANIFEST, DIRECTOR, .mutate = leap_to_the_end,
     WHY(MANIFEST_LEAP)},
    {ATTACK_FAST_FORWARD, "far ahead", MANIFEST, DIRECTOR, .mutate = run_ahead},
    {ATTACK_FAST_FORWARD, "next epoch", MANIFEST, DIRECTOR, .mutate = other_epoch,
     WHY(MANIFEST_EPOCH)},
    {ATTACK_FAST_FORWARD, "root to come", MANIFEST, DIRECTOR, .mutate = root_to_come,
     WHY(MANIFEST_ROOT)},
    {ATTACK_FREEZE, "no version", MANIFEST, DIRECTOR, .mutate = version_zero, WHY(MALFORMED)},
    {ATTACK_FREEZE, "no epoch", MANIFEST, DIRECTOR, .mutate = no_epoch, WHY(MANIFEST_EPOCH)},
    {ATTACK_ENDLESS, "manifest", MANIFEST, .spoil = swell, WHY(TOO_LARGE)},
    {ATTACK_ENDLESS, "items", MANIFEST, DIRECTOR, .mutate = too_many_items, WHY(TOO_LARGE)},
    {ATTACK_ENDLESS, "actions", MANIFEST, DIRECTOR, .mutate = too_many_actions, WHY(TOO_LARGE)},
    {ATTACK_MIX, "items out of order", MANIFEST, DIRECTOR, .mutate = swapped, WHY(MANIFEST_ORDER)},
    {ATTACK_MIX, "body and signature of two", MANIFEST, .spoil = transplant, WHY(SIGNATURE)},
    {ATTACK_MIXED_BUNDLES, "another under this version", MANIFEST, DIRECTOR, .mutate = same_version,
     WHY(MANIFEST_OTHER)},
    {ATTACK_PARTIAL, "cut by a byte", MANIFEST, .spoil = cut, WHY(MALFORMED)},
    {ATTACK_PARTIAL, "cut in half", MANIFEST, .spoil = cut_in_half, WHY(MALFORMED)},
    {ATTACK_PARTIAL, "fewer documents", MANIFEST, DIRECTOR, .mutate = fewer_items},
    {ATTACK_PARTIAL, "without what cannot go back", MANIFEST, DIRECTOR, .mutate = dropped,
     WHY(DOCUMENT_IRREVERSIBLE)},
    {ATTACK_DROP, "emptied", MANIFEST, .spoil = empty, WHY(MALFORMED)},
    {ATTACK_EXTRANEOUS, "document twice", MANIFEST, DIRECTOR, .mutate = doubled,
     WHY(MANIFEST_ORDER)},
    {ATTACK_EXTRANEOUS, "unknown mode", MANIFEST, DIRECTOR, .mutate = unknown_mode,
     WHY(DOCUMENT_MODE)},
    {ATTACK_EXTRANEOUS, "no encoding", MANIFEST, DIRECTOR, .mutate = bare, WHY(DOCUMENT_ENCODING)},
    {ATTACK_WRONG, "another's body", MANIFEST, DIRECTOR, .mutate = other_device, WHY(DEVICE)},
    {ATTACK_WRONG, "another's context", MANIFEST, .mutate = other_context, WHY(SIGNATURE)},
    {ATTACK_KEYS, "another role's", MANIFEST, DIRECTOR, .mutate = forge},
    {ATTACK_KEYS, "changed since", MANIFEST, DIRECTOR, .revoked = true, .prepare = rotate,
     .mutate = forge},
    {ATTACK_ROLLBACK, "roots put back", MANIFEST, DIRECTOR, .prepare = put_back_roots,
     .mutate = by_the_former, .spoil = back_to_new, .mend = strike_send_root, WHY(MANIFEST_ROOT)},
};

const struct variants attacks_on_manifests = {list, sizeof list / sizeof list[0]};
