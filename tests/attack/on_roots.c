/* SPDX-License-Identifier: Apache-2.0 */
/* What a thief does with roots. One of three root keys is below the threshold of two; who has two
 * has the fleet, and still no leap, gap or key twice is taken from him. */
#include "proto/limits.h"
#include "tests/attack/strike.h"

#include <string.h>

/* As many of the keepers' signatures as he can make, and some of his own. */
static void sign(struct strike *strike)
{
    struct root_draft *root = &strike->root;
    root->signer_count = 0;
    if (strike->thief->every_root || (strike->thief->roles & NEED_ROOT) != 0)
        root->signers[root->signer_count++] = KEY_ROOT_1;
    if (strike->thief->every_root)
        root->signers[root->signer_count++] = KEY_ROOT_2;
    root->signers[root->signer_count++] = KEY_STRANGER;
    root->signers[root->signer_count++] = KEY_STRANGER_2;
}

static void own_keepers(struct strike *strike)
{
    strike->root.roles[0].keys[0] = KEY_STRANGER;
    strike->root.roles[0].keys[1] = KEY_STRANGER_2;
}

/* Root keys of his own. */
static void take_over(struct strike *strike)
{
    own_keepers(strike);
    sign(strike);
}

static void take_director(struct strike *strike)
{
    strike->root.roles[3].keys[0] = KEY_STRANGER;
    sign(strike);
}

static void lower_threshold(struct strike *strike)
{
    strike->root.roles[0].threshold = 1;
    strike->root.roles[0].keys[2] = KEY_STRANGER;
    sign(strike);
}

/* The same signature twice is one. */
static void sign_twice(struct strike *strike)
{
    strike->root.signer_count = 0;
    strike->root.signers[strike->root.signer_count++] = KEY_ROOT_1;
    strike->root.signers[strike->root.signer_count++] = KEY_ROOT_1;
    if (strike->thief->every_root)
        strike->root.signers[strike->root.signer_count++] = KEY_ROOT_2;
}

static void others_sign(struct strike *strike)
{
    strike->root.signer_count = 0;
    for (int role = MUSTER__ROLE__ROLE_RELEASE; role <= (int)MUSTER__ROLE__ROLE_RECEIPT; role++)
        if ((strike->thief->roles >> role & 1) != 0)
            strike->root.signers[strike->root.signer_count++] =
                fleet_key(&strike->fleet, (Muster__Role)role);
    strike->root.signers[strike->root.signer_count++] = KEY_STRANGER;
}

static void same_root(struct strike *strike)
{
    strike->root.version = strike->root_version;
    sign(strike);
}

static void gap(struct strike *strike)
{
    strike->root.version++;
    sign(strike);
}

static void to_the_end(struct strike *strike)
{
    strike->root.version = UINT64_MAX;
    sign(strike);
}

static void epoch_leaps(struct strike *strike)
{
    strike->root.epoch += 2;
    sign(strike);
}

static void epoch_to_the_end(struct strike *strike)
{
    strike->root.epoch = UINT64_MAX;
    sign(strike);
}

static void epoch_back(struct strike *strike)
{
    strike->root.epoch--;
    sign(strike);
}

static void without_own(struct strike *strike)
{
    strike->root.roles[0].keys[0] = KEY_NEW;
    strike->root.roles[0].keys[1] = (enum key)(KEY_NEW + 1);
    strike->root.roles[0].keys[2] = (enum key)(KEY_NEW + 2);
    sign(strike);
}

static void key_twice(struct strike *strike)
{
    strike->root.roles[0].keys[1] = strike->root.roles[0].keys[0];
    sign(strike);
}

static void role_twice(struct strike *strike)
{
    strike->root.roles[4] = strike->root.roles[3];
    sign(strike);
}

static void threshold_none(struct strike *strike)
{
    strike->root.roles[3].threshold = 0;
    sign(strike);
}

static void threshold_beyond(struct strike *strike)
{
    strike->root.roles[1].threshold = 3;
    sign(strike);
}

static void no_version(struct strike *strike)
{
    strike->root.version = 0;
    sign(strike);
}

static void swell(struct strike *strike)
{
    strike->root.padding = LIMIT_ROOT_BYTES;
    sign(strike);
}

static void change(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->data[message->length / 2] ^= 1;
}

static void cut(struct strike *strike, struct buf *message)
{
    (void)strike;
    message->length -= 7;
}

/* The root that is installed, and is in force or was. */
static void replay(struct strike *strike, struct buf *message)
{
    struct fleet before = strike->fleet;
    struct root_draft root;
    before.changed = false;
    buf_clear(message);
    fleet_root_draft(&before, 1, 1, &root);
    fleet_root(&before, &root, message);
}

static void rotate(struct strike *strike)
{
    strike_rotate(strike, false);
}

static void raise_epoch(struct strike *strike)
{
    strike_rotate(strike, true);
}

#define ROOT .message = MESSAGE_ROOT, .needs = NEED_ROOT
#define NONE .message = MESSAGE_ROOT
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name
#define ELSE(reason_name) .lacking = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct variant list[] = {
    {ATTACK_ARBITRARY, "keepers of his own", ROOT, .mutate = take_over, .over = true,
     ELSE(ROOT_OLD_KEYS)},
    {ATTACK_ARBITRARY, "a director of his own", ROOT, .mutate = take_director, ELSE(ROOT_OWN_KEYS)},
    {ATTACK_KEYS, "a lower threshold", ROOT, .mutate = lower_threshold, ELSE(ROOT_OLD_KEYS)},
    {ATTACK_KEYS, "one keeper twice", ROOT, .mutate = sign_twice, ELSE(ROOT_OWN_KEYS)},
    {ATTACK_KEYS, "other roles sign", NONE, .mutate = others_sign, WHY(ROOT_OWN_KEYS)},
    {ATTACK_KEYS, "not by its own", ROOT, .mutate = without_own, WHY(ROOT_OWN_KEYS),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_KEYS, "keepers changed since", ROOT, .revoked = true, .prepare = rotate,
     .mutate = take_director, ELSE(ROOT_OWN_KEYS)},
    {ATTACK_ROLLBACK, "root replayed", NONE, .prepare = rotate, .spoil = replay,
     WHY(ROOT_OLD_KEYS)},
    {ATTACK_ROLLBACK, "root of the epoch before", NONE, .prepare = raise_epoch, .spoil = replay,
     WHY(ROOT_OLD_KEYS)},
    {ATTACK_ROLLBACK, "epoch back", ROOT, .mutate = epoch_back, WHY(ROOT_EPOCH),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_FREEZE, "the same root", ROOT, .mutate = same_root, WHY(ROOT_ORDER),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_FREEZE, "root in force again", NONE, .spoil = replay, WHY(ROOT_ORDER)},
    {ATTACK_FAST_FORWARD, "root with a gap", ROOT, .mutate = gap, WHY(ROOT_ORDER),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_FAST_FORWARD, "root to the end", ROOT, .mutate = to_the_end, WHY(ROOT_ORDER),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_FAST_FORWARD, "epoch leaps", ROOT, .mutate = epoch_leaps, WHY(ROOT_EPOCH),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_FAST_FORWARD, "epoch to the end", ROOT, .mutate = epoch_to_the_end, WHY(ROOT_EPOCH),
     ELSE(ROOT_OWN_KEYS)},
    {ATTACK_EXTRANEOUS, "keeper twice", NONE, .mutate = key_twice, WHY(ROOT_ROLES)},
    {ATTACK_MIXED_BUNDLES, "role twice", NONE, .mutate = role_twice, WHY(ROOT_ROLES)},
    {ATTACK_WRONG, "threshold of none", NONE, .mutate = threshold_none, WHY(ROOT_ROLES)},
    {ATTACK_WRONG, "threshold beyond", NONE, .mutate = threshold_beyond, WHY(ROOT_ROLES)},
    {ATTACK_WRONG, "root without a version", NONE, .mutate = no_version, WHY(MALFORMED)},
    {ATTACK_ENDLESS, "root", NONE, .mutate = swell, WHY(TOO_LARGE)},
    {ATTACK_MIRROR, "root changed", NONE, .spoil = change, WHY(ROOT_OWN_KEYS)},
    {ATTACK_PARTIAL, "root cut", NONE, .spoil = cut, WHY(MALFORMED)},
};

const struct variants attacks_on_roots = {list, sizeof list / sizeof list[0]};
