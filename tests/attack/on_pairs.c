/* SPDX-License-Identifier: Apache-2.0 */
/* What is one device's, shown to another: for every ordered pair. */
#include "tests/attack/strike.h"

#include <string.h>

/* The other device's own next manifest, as the director signed it. */
static void replay(struct strike *strike, struct buf *message)
{
    struct strike theirs = *strike;
    struct draft draft;
    theirs.device = strike->other;
    strike_draft(&theirs, VERSION_NEXT, &draft);
    buf_clear(message);
    fleet_manifest(&strike->fleet, NULL, &draft, &strike->blobs, message);
}

/* The other's body in a manifest for this one. */
static void relabel(struct strike *strike)
{
    strike->draft.device = strike->other;
    strike->draft.forged = true;
}

/* A document for the other, as release signed it, among this one's. */
static void mix(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_EXTRA];
    item->document.device = strike->other;
    strike->draft.forged = true;
}

/* What is sealed to the other, as it was signed for him. */
static void mix_secret(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_WIFI];
    item->document.device = strike->other;
    item->document.version = 1;
    item->document.sealed =
        buf_bytes(&fleet_device(&strike->fleet, strike->other)->secrets[SECRET_WIFI][0].sealed);
    strike->draft.forged = true;
}

#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_WRONG, "manifest replayed", .spoil = replay, WHY(SIGNATURE)},
    {ATTACK_WRONG, "manifest relabelled", .needs = NEED_DIRECTOR, .mutate = relabel, WHY(DEVICE)},
    {ATTACK_MIX, "document of another", .needs = NEED_DIRECTOR, .mutate = mix,
     WHY(DOCUMENT_DEVICE)},
    {ATTACK_MIX, "secret of another", .needs = NEED_DIRECTOR, .mutate = mix_secret,
     WHY(DOCUMENT_DEVICE)},
    {ATTACK_EAVESDROP, "read with another's key", MESSAGE_READ, WHY(CONTENT_SEALED)},
};

const struct variants attacks_on_pairs = {list, sizeof list / sizeof list[0]};
