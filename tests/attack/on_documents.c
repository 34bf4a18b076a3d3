/* SPDX-License-Identifier: Apache-2.0 */
/* What a thief does to the headers of documents. Who has only the director's key may put any header
 * into a manifest that release signed once; who has release's alone cannot send it. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <string.h>

static struct item *forged(struct strike *strike, size_t document)
{
    strike->draft.forged = true;
    strike->draft.items[document].forged = true;
    return &strike->draft.items[document];
}

/* As release signed it, in a manifest that a thief made. */
static struct item *genuine(struct strike *strike, size_t document, uint64_t version)
{
    struct item *item = &strike->draft.items[document];
    strike->draft.forged = true;
    public_document(document, version, &item->document);
    return item;
}

static const char evil[] = "prefix\tissuer\n62\tthief\n";

/* ---- new ones ---- */

static void new_content(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->document.version = 5;
    item->document.content = bytes_of(evil, sizeof evil - 1);
}

static void new_document(struct strike *strike)
{
    struct item *item = &strike->draft.items[strike->draft.count++];
    *item = strike->draft.items[DOCUMENT_EXTRA];
    item->document.name = "zebra.bin";
    forged(strike, strike->draft.count - 1);
}

static void changed_header(struct strike *strike)
{
    struct item *item = genuine(strike, DOCUMENT_AID, 2);
    buf_clear(&strike->scratch);
    fleet_header(&strike->fleet, NULL, item, &strike->scratch);
    strike->scratch.data[strike->scratch.length / 3] ^= 1;
    item->header = buf_bytes(&strike->scratch);
}

static void header_of_nothing(struct strike *strike)
{
    struct item *item = genuine(strike, DOCUMENT_AID, 2);
    item->header = bytes_of(evil, sizeof evil - 1);
}

static void other_domain(struct strike *strike)
{
    forged(strike, DOCUMENT_BIN)->domain = "manifest";
}

static void signed_by(struct strike *strike, Muster__Role role)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->role = role;
    item->document.version = 5;
    item->document.content = bytes_of(evil, sizeof evil - 1);
}

static void by_custodian(struct strike *strike)
{
    signed_by(strike, MUSTER__ROLE__ROLE_CUSTODIAN);
}

static void by_director(struct strike *strike)
{
    signed_by(strike, MUSTER__ROLE__ROLE_DIRECTOR);
}

static void by_receipt(struct strike *strike)
{
    signed_by(strike, MUSTER__ROLE__ROLE_RECEIPT);
}

static void public_key_block(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_LIMITS);
    item->document.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    item->document.version = 5;
}

/* ---- old ones ---- */

static void below_the_floor(struct strike *strike)
{
    (void)genuine(strike, DOCUMENT_BIN, 1);
}

static void taken_back(struct strike *strike)
{
    (void)genuine(strike, DOCUMENT_LIMITS, 1);
}

static void lower_floor(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->document.version = 1;
    item->document.minimum = 0;
    item->document.content = document_content(DOCUMENT_BIN, 1);
}

static void below_its_own_minimum(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->document.version = 5;
    item->document.minimum = 6;
}

static void raise_epoch(struct strike *strike)
{
    strike_rotate(strike, true);
}

static void rotate(struct strike *strike)
{
    strike_rotate(strike, false);
}

/* As release signed it in the epoch before, in a manifest of this one. */
static void of_the_last_epoch(struct strike *strike)
{
    struct item *item = &strike->draft.items[DOCUMENT_BIN];
    struct fleet before = strike->fleet;
    before.changed = false;
    item->document.epoch = 1;
    buf_clear(&strike->scratch);
    fleet_header(&before, NULL, item, &strike->scratch);
    item->header = buf_bytes(&strike->scratch);
}

/* The same by the new keys. */
static void of_the_last_epoch_again(struct strike *strike)
{
    strike->draft.items[DOCUMENT_BIN].document.epoch = 1;
}

static void by_a_former_key(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    strike->draft.forged = false;
    item->document.version = 5;
}

/* ---- ahead ---- */

static void to_the_end(struct strike *strike)
{
    forged(strike, DOCUMENT_BIN)->document.version = UINT64_MAX;
}

static void leap(struct strike *strike)
{
    forged(strike, DOCUMENT_BIN)->document.version = (UINT64_C(1) << 53) + 1;
}

static void minimum_to_the_end(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->document.version = UINT64_MAX;
    item->document.minimum = UINT64_MAX;
}

/* As far as the numbers allow: everything that release signed before is below it now. */
static void minimum_ahead(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_BIN);
    item->document.version = UINT64_C(1) << 40;
    item->document.minimum = UINT64_C(1) << 40;
}

static void next_epoch(struct strike *strike)
{
    forged(strike, DOCUMENT_BIN)->document.epoch++;
}

static void no_version(struct strike *strike)
{
    forged(strike, DOCUMENT_EXTRA)->document.version = 0;
}

/* ---- other than they should be ---- */

static void other_content(struct strike *strike)
{
    struct item *item = forged(strike, DOCUMENT_AID);
    item->document.version = 1;
    item->document.content = bytes_of(evil, sizeof evil - 1);
}

static void endless(struct strike *strike)
{
    forged(strike, DOCUMENT_EXTRA)->document.length = UINT64_C(1) << 40;
}

static void over_quota(struct strike *strike)
{
    forged(strike, DOCUMENT_EXTRA)->document.length = 12 * 1024 * 1024;
}

static void endless_header(struct strike *strike)
{
    static char device[2 * LIMIT_DOCUMENT_HEADER_BYTES];
    memset(device, 'd', sizeof device - 1);
    forged(strike, DOCUMENT_EXTRA)->document.device = device;
}

/* Content that fits half a hash can be made. */
static void half_a_hash(struct strike *strike)
{
    forged(strike, DOCUMENT_EXTRA)->document.hash_bytes = 16;
}

static void foreign_name(struct strike *strike)
{
    forged(strike, DOCUMENT_AID)->document.name = "../aid.tsv";
}

static void hidden_name(struct strike *strike)
{
    forged(strike, DOCUMENT_AID)->document.name = ".items";
}

static void unknown_kind(struct strike *strike)
{
    forged(strike, DOCUMENT_AID)->document.kind = (Muster__DocumentKind)77;
}

static void unknown_scope(struct strike *strike)
{
    forged(strike, DOCUMENT_AID)->document.scope = (Muster__DocumentScope)7;
}

static void other_device(struct strike *strike)
{
    forged(strike, DOCUMENT_EXTRA)->document.device = strike->other;
}

#define DIRECTOR .needs = NEED_DIRECTOR
#define BOTH .needs = NEED_DIRECTOR | NEED_RELEASE
#define CUSTODIAN .needs = NEED_DIRECTOR | NEED_CUSTODIAN
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_ARBITRARY, "new content", BOTH, .mutate = new_content},
    {ATTACK_ARBITRARY, "new document", BOTH, .mutate = new_document},
    {ATTACK_ARBITRARY, "changed header", DIRECTOR, .mutate = changed_header,
     WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_ARBITRARY, "no header", DIRECTOR, .mutate = header_of_nothing, WHY(MALFORMED)},
    {ATTACK_ARBITRARY, "signed in another domain", BOTH, .mutate = other_domain,
     WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_KEYS, "table by custodian", CUSTODIAN, .mutate = by_custodian, WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_KEYS, "table by director", DIRECTOR, .mutate = by_director, WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_KEYS, "table by receipt", .needs = NEED_DIRECTOR | NEED_RECEIPT, .mutate = by_receipt,
     WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_WRONG, "key block for everybody", CUSTODIAN, .mutate = public_key_block,
     WHY(DOCUMENT_SCOPE)},
    {ATTACK_ROLLBACK, "below the floor", DIRECTOR, .mutate = below_the_floor, WHY(DOCUMENT_FLOOR)},
    {ATTACK_ROLLBACK, "what cannot go back", DIRECTOR, .mutate = taken_back,
     WHY(DOCUMENT_IRREVERSIBLE)},
    {ATTACK_ROLLBACK, "a lower floor", BOTH, .mutate = lower_floor, WHY(DOCUMENT_FLOOR)},
    {ATTACK_ROLLBACK, "document of the epoch before", .prepare = raise_epoch,
     .mutate = of_the_last_epoch, WHY(DOCUMENT_SIGNATURE)},
    {ATTACK_MIX, "documents of two epochs", .prepare = raise_epoch,
     .mutate = of_the_last_epoch_again, WHY(DOCUMENT_EPOCH)},
    {ATTACK_MIX, "document of the next epoch", BOTH, .mutate = next_epoch, WHY(DOCUMENT_EPOCH)},
    {ATTACK_FREEZE, "below its own minimum", BOTH, .mutate = below_its_own_minimum,
     WHY(DOCUMENT_VERSION)},
    {ATTACK_FREEZE, "no version", BOTH, .mutate = no_version, WHY(DOCUMENT_VERSION)},
    {ATTACK_FAST_FORWARD, "version to the end", BOTH, .mutate = to_the_end, WHY(DOCUMENT_VERSION)},
    {ATTACK_FAST_FORWARD, "version leaps", BOTH, .mutate = leap, WHY(DOCUMENT_VERSION)},
    {ATTACK_FAST_FORWARD, "floor to the end", BOTH, .mutate = minimum_to_the_end,
     WHY(DOCUMENT_VERSION)},
    {ATTACK_FAST_FORWARD, "floor far ahead", BOTH, .mutate = minimum_ahead},
    {ATTACK_MIXED_BUNDLES, "other content under a version", BOTH, .mutate = other_content,
     WHY(DOCUMENT_OTHER)},
    {ATTACK_ENDLESS, "length", BOTH, .mutate = endless, WHY(DOCUMENT_LENGTH)},
    {ATTACK_ENDLESS, "over the quota", BOTH, .mutate = over_quota, WHY(MANIFEST_QUOTA)},
    {ATTACK_ENDLESS, "header", BOTH, .mutate = endless_header, WHY(TOO_LARGE)},
    {ATTACK_PARTIAL, "half a hash", BOTH, .mutate = half_a_hash, WHY(MALFORMED)},
    {ATTACK_WRONG, "name outside", BOTH, .mutate = foreign_name, WHY(DOCUMENT_NAME)},
    {ATTACK_WRONG, "the registry's own name", BOTH, .mutate = hidden_name, WHY(DOCUMENT_NAME)},
    {ATTACK_EXTRANEOUS, "unknown kind", BOTH, .mutate = unknown_kind, WHY(DOCUMENT_KIND)},
    {ATTACK_WRONG, "unknown scope", BOTH, .mutate = unknown_scope, WHY(DOCUMENT_SCOPE)},
    {ATTACK_WRONG, "another's document", BOTH, .mutate = other_device, WHY(DOCUMENT_DEVICE)},
    {ATTACK_KEYS, "release changed since", .needs = NEED_RELEASE, .revoked = true,
     .prepare = rotate, .mutate = by_a_former_key},
};

const struct variants attacks_on_documents = {list, sizeof list / sizeof list[0]};
