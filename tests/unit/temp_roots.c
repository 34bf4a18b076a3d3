/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/temp_roots.h"

#include "base/file.h"
#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

enum { ROLES = MUSTER__ROLE__ROLE_RECEIPT };

int temp_roots_open(void **state)
{
    struct temp_roots *roots = calloc(1, sizeof *roots);
    const char *temporary = getenv("TMPDIR");
    char path[128];
    assert_non_null(roots);
    (void)snprintf(roots->dir, sizeof roots->dir, "%s/muster-roots-XXXXXX",
                   temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(roots->dir));
    for (size_t role = 1; role <= ROLES; role++)
        for (size_t i = 0; i < TEMP_ROOTS_KEYS; i++) {
            (void)snprintf(path, sizeof path, "%s/%zu-%zu.pem", roots->dir, role, i);
            OK(sign_key_make(path, &roots->keys[role][i], &err));
        }
    *state = roots;
    return 0;
}

int temp_roots_close(void **state)
{
    struct temp_roots *roots = *state;
    for (size_t role = 1; role <= ROLES; role++)
        for (size_t i = 0; i < TEMP_ROOTS_KEYS; i++)
            sign_key_free(roots->keys[role][i]);
    OK(file_remove_tree(roots->dir, &err));
    free(roots);
    return 0;
}

struct sketch {
    Muster__RoleKeys roles[ROLES], *role_list[ROLES];
    Muster__PublicKey keys[ROLES][TEMP_ROOTS_SIGNERS], *key_lists[ROLES][TEMP_ROOTS_SIGNERS];
};

static void sketch_role(const struct temp_roots *roots, struct sketch *sketch, Muster__Role role,
                        const char *keys, uint32_t threshold)
{
    size_t at = (size_t)role - 1;
    Muster__RoleKeys *to = &sketch->roles[at];
    muster__role_keys__init(to);
    to->role = role;
    to->threshold = threshold;
    to->keys = sketch->key_lists[at];
    for (; keys[to->n_keys] != '\0'; to->n_keys++) {
        struct bytes spki = sign_key_spki(roots->keys[role][keys[to->n_keys] - '0']);
        Muster__PublicKey *key = &sketch->keys[at][to->n_keys];
        muster__public_key__init(key);
        key->algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        key->spki = (ProtobufCBinaryData){spki.length, (uint8_t *)(uintptr_t)spki.data};
        sketch->key_lists[at][to->n_keys] = key;
    }
    sketch->role_list[at] = to;
}

void temp_root_seal(const struct temp_roots *roots, const struct temp_root *root, struct buf *out)
{
    struct sketch sketch;
    Muster__Root message = MUSTER__ROOT__INIT;
    const char release[] = {(char)('0' + root->release), '\0'};
    const char director[] = {(char)('0' + root->director), '\0'};
    const char receipt[] = {(char)('0' + root->receipt), '\0'};
    sketch_role(roots, &sketch, MUSTER__ROLE__ROLE_ROOT, root->root_keys ? root->root_keys : "0",
                root->root_threshold ? root->root_threshold : 1);
    sketch_role(roots, &sketch, MUSTER__ROLE__ROLE_RELEASE, release, 1);
    sketch_role(roots, &sketch, MUSTER__ROLE__ROLE_CUSTODIAN, "0", 1);
    sketch_role(roots, &sketch, MUSTER__ROLE__ROLE_DIRECTOR, director, 1);
    sketch_role(roots, &sketch, MUSTER__ROLE__ROLE_RECEIPT, receipt, 1);
    message.version = root->version;
    message.epoch = root->epoch ? root->epoch : 1;
    message.issued_ms = root->issued_ms;
    message.roles = sketch.role_list;
    message.n_roles = ROLES;
    const struct sign_key *signers[TEMP_ROOTS_SIGNERS];
    size_t count = 0;
    Muster__Role role =
        root->director_signs ? MUSTER__ROLE__ROLE_DIRECTOR : MUSTER__ROLE__ROLE_ROOT;
    for (const char *at = root->signers ? root->signers : "0"; *at != '\0'; at++)
        signers[count++] = roots->keys[role][*at - '0'];
    struct buf body = {0};
    OK(pack(&message.base, &body, &err));
    OK(seal(root->domain ? root->domain : "root", "", buf_bytes(&body), signers, count, true, out,
            &err));
    buf_done(&body);
}

struct trust *temp_root_trust(const struct temp_roots *roots, const struct temp_root *root)
{
    struct buf sealed = {0};
    struct trust *trust = NULL;
    temp_root_seal(roots, root, &sealed);
    OK(trust_open(buf_bytes(&sealed), &trust, &err));
    buf_done(&sealed);
    return trust;
}
