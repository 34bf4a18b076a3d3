/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/receipts_world.h"

#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>

static struct sign_key *make_key(const char *dir, const char *name)
{
    char path[128];
    struct sign_key *key = NULL;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s.pem", dir, name);
    if (!sign_key_make(path, &key, &err))
        fail_msg("%s", err.text);
    return key;
}

static struct trust *make_trust(const struct receipts_world *world)
{
    const struct sign_key *keys[] = {world->root, world->receipt, world->director};
    const Muster__Role names[] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RECEIPT,
                                  MUSTER__ROLE__ROLE_DIRECTOR};
    Muster__PublicKey publics[3];
    Muster__PublicKey *one[3];
    Muster__RoleKeys roles[3];
    Muster__RoleKeys *list[3];
    Muster__Root root = MUSTER__ROOT__INIT;
    struct buf body = {0};
    struct buf envelope = {0};
    struct err err = {0};
    struct trust *trust = NULL;
    for (size_t i = 0; i < 3; i++) {
        struct bytes spki = sign_key_spki(keys[i]);
        publics[i] = (Muster__PublicKey)MUSTER__PUBLIC_KEY__INIT;
        publics[i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        publics[i].spki =
            (ProtobufCBinaryData){.len = spki.length, .data = (uint8_t *)(uintptr_t)spki.data};
        one[i] = &publics[i];
        roles[i] = (Muster__RoleKeys)MUSTER__ROLE_KEYS__INIT;
        roles[i].role = names[i];
        roles[i].threshold = 1;
        roles[i].keys = &one[i];
        roles[i].n_keys = 1;
        list[i] = &roles[i];
    }
    root.version = 1;
    root.roles = list;
    root.n_roles = 3;
    assert_true(pack(&root.base, &body, &err));
    assert_true(seal("root", "", buf_bytes(&body), &keys[0], 1, true, &envelope, &err));
    if (!trust_open(buf_bytes(&envelope), &trust, &err))
        fail_msg("%s", err.text);
    buf_done(&body);
    buf_done(&envelope);
    return trust;
}

void receipts_world_open(struct receipts_world *world)
{
    temp_spool_open(&world->temp);
    world->root = make_key(world->temp.dir, "root");
    world->receipt = make_key(world->temp.dir, "receipt");
    world->director = make_key(world->temp.dir, "director");
    world->trust = make_trust(world);
}

void receipts_world_close(struct receipts_world *world)
{
    trust_free(world->trust);
    sign_key_free(world->root);
    sign_key_free(world->receipt);
    sign_key_free(world->director);
    temp_spool_close(&world->temp);
}

struct buf receipts_sealed(const Muster__Receipt *receipt, const char *domain, const char *context,
                           const struct sign_key *key)
{
    struct buf body = {0};
    struct buf envelope = {0};
    struct err err = {0};
    assert_true(pack(&receipt->base, &body, &err));
    assert_true(seal(domain, context, buf_bytes(&body), &key, 1, true, &envelope, &err));
    buf_done(&body);
    return envelope;
}
