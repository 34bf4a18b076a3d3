/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/unpack.h"
#include "tests/attack/fleet.h"

#include <stdlib.h>
#include <string.h>

void fleet_root_draft(const struct fleet *fleet, uint64_t version, uint64_t epoch,
                      struct root_draft *ret_draft)
{
    enum key own = fleet_key(fleet, MUSTER__ROLE__ROLE_ROOT);
    *ret_draft = (struct root_draft){.version = version, .epoch = epoch};
    for (int role = MUSTER__ROLE__ROLE_ROOT; role <= (int)MUSTER__ROLE__ROLE_RECEIPT; role++) {
        size_t i = ret_draft->count++;
        bool root = role == MUSTER__ROLE__ROLE_ROOT;
        ret_draft->roles[i].role = (Muster__Role)role;
        ret_draft->roles[i].threshold = root ? 2 : 1;
        ret_draft->roles[i].count = root ? 3 : 1;
        for (size_t key = 0; key < ret_draft->roles[i].count; key++)
            ret_draft->roles[i].keys[key] = (enum key)(fleet_key(fleet, (Muster__Role)role) + key);
    }
    ret_draft->signers[ret_draft->signer_count++] = own;
    ret_draft->signers[ret_draft->signer_count++] = (enum key)(own + 1);
}

struct role_parts {
    Muster__RoleKeys role;
    Muster__PublicKey keys[4], *list[4];
};

static void fill_role(const struct fleet *fleet, const struct root_draft *draft, size_t i,
                      struct role_parts *parts)
{
    muster__role_keys__init(&parts->role);
    parts->role.role = draft->roles[i].role;
    parts->role.threshold = draft->roles[i].threshold;
    parts->role.keys = parts->list;
    parts->role.n_keys = draft->roles[i].count;
    for (size_t key = 0; key < draft->roles[i].count; key++) {
        struct bytes spki = sign_key_spki(fleet->keys[draft->roles[i].keys[key]]);
        muster__public_key__init(&parts->keys[key]);
        parts->keys[key].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        parts->keys[key].spki =
            (ProtobufCBinaryData){.len = spki.length, .data = (uint8_t *)(uintptr_t)spki.data};
        parts->list[key] = &parts->keys[key];
    }
}

void fleet_root(const struct fleet *fleet, const struct root_draft *draft, struct buf *out)
{
    Muster__Root root = MUSTER__ROOT__INIT;
    struct role_parts parts[FLEET_ROLES];
    Muster__RoleKeys *roles[FLEET_ROLES + 1];
    Muster__RoleKeys foreign = MUSTER__ROLE_KEYS__INIT;
    Muster__PublicKey key = MUSTER__PUBLIC_KEY__INIT, *keys[1] = {&key};
    const struct sign_key *signing[8];
    struct buf body = {0};
    struct err err = {0};
    for (size_t i = 0; i < draft->count; i++) {
        fill_role(fleet, draft, i, &parts[i]);
        roles[i] = &parts[i].role;
    }
    root.version = draft->version;
    root.epoch = draft->epoch;
    root.roles = roles;
    root.n_roles = draft->count;
    root.issued_ms = 1000;
    foreign.role = (Muster__Role)99;
    foreign.keys = keys;
    foreign.n_keys = 1;
    key.spki = (ProtobufCBinaryData){.len = draft->padding, .data = calloc(1, draft->padding + 1)};
    if (draft->padding > 0)
        roles[root.n_roles++] = &foreign;
    for (size_t i = 0; i < draft->signer_count; i++)
        signing[i] = fleet->keys[draft->signers[i]];
    must(pack(&root.base, &body, &err) &&
             seal("root", "", buf_bytes(&body), signing, draft->signer_count, true, out, &err),
         "a root", &err);
    free(key.spki.data);
    buf_done(&body);
}
