/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roots.h"

#include "base/file.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "storage/registry_roots.h"

#include <inttypes.h>
#include <string.h>

/* Takes what is kept as far as it follows. */
static void follow(struct roots *roots)
{
    bool more = true;
    while (more) {
        struct buf kept = {.limit = LIMIT_ROOT_BYTES};
        struct err why = {0};
        uint64_t next = trust_version(roots->trust) + 1;
        more = registry_root_read(roots->dir, next, LIMIT_ROOT_BYTES, &kept, &why) &&
               trust_advance(roots->trust, buf_bytes(&kept), &why);
        buf_done(&kept);
        if (!more && why.code != ERR_NOT_FOUND) {
            (void)err_context(&why, "what was kept as trust root %" PRIu64, next);
            roots->damage = why;
        }
    }
}

bool roots_open(const char *installed, const char *dir, struct roots *ret_roots, struct err *err)
{
    struct roots roots = {0};
    struct buf root = {.limit = LIMIT_ROOT_BYTES};
    if (strlen(dir) >= sizeof roots.dir)
        return err_set(err, ERR_INVALID, "registry folder %.64s...: more than %d characters", dir,
                       ROOTS_DIR_BYTES - 1);
    memcpy(roots.dir, dir, strlen(dir) + 1);
    bool ok = file_read(installed, LIMIT_ROOT_BYTES, &root, err) &&
              trust_open(buf_bytes(&root), &roots.trust, err);
    buf_done(&root);
    if (!ok)
        return err_context(err, "trust root %s", installed);
    if (!registry_roots_sweep(dir, trust_version(roots.trust), err)) {
        roots_done(&roots);
        return false;
    }
    follow(&roots);
    *ret_roots = roots;
    return true;
}

void roots_done(struct roots *roots)
{
    trust_free(roots->trust);
    roots->trust = NULL;
}

bool roots_take(struct roots *roots, uint64_t version, struct bytes envelope, bool *ret_taken,
                struct err *err)
{
    uint64_t known = trust_version(roots->trust);
    if (version <= known) {
        *ret_taken = false;
        return true;
    }
    if (version != known + 1)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_ROOT_ORDER, ERR_REFUSED,
                      "trust root %" PRIu64 ": %" PRIu64 " is waited for", version, known + 1);
    /* On the medium before it counts: what is accepted under it must stand after a power cut. */
    if (!trust_would_advance(roots->trust, envelope, err) ||
        !registry_root_write(roots->dir, version, envelope, err) ||
        !trust_advance(roots->trust, envelope, err))
        return false;
    roots->damage = (struct err){0};
    follow(roots);
    *ret_taken = true;
    return true;
}
