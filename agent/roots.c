/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roots.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "storage/registry_roots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void forget(struct roots *roots)
{
    for (size_t i = 0; i < roots->chain_count; i++)
        buf_done(&roots->chain[i]);
    free(roots->chain);
    roots->chain = NULL;
    roots->chain_count = 0;
}

/* Remembers what has just come into force. Of roots before one that no memory was there for nothing
 * is remembered: they are looked at again at the next start. */
static void remember(struct roots *roots, struct bytes envelope)
{
    size_t count = roots->chain_count;
    struct buf *chain = realloc(roots->chain, (count + 1) * sizeof *chain);
    if (chain != NULL) {
        roots->chain = chain;
        chain[count] = (struct buf){0};
        if (buf_append(&chain[count], envelope.data, envelope.length, NULL)) {
            roots->chain_count++;
            return;
        }
    }
    forget(roots);
}

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
        if (more)
            remember(roots, buf_bytes(&kept));
        buf_done(&kept);
        if (!more && why.code != ERR_NOT_FOUND) {
            (void)err_context(&why, "what was kept as trust root %" PRIu64, next);
            roots->damage = why;
        }
    }
}

/* A copy for the day when the installed file is damaged or gone. Without it this works too. */
static void keep_copy(const char *dir, struct bytes root)
{
    struct buf kept = {.limit = LIMIT_ROOT_BYTES};
    struct err why = {0};
    bool same = registry_root_read(dir, 0, LIMIT_ROOT_BYTES, &kept, NULL) &&
                bytes_equal(buf_bytes(&kept), root);
    buf_done(&kept);
    if (same || registry_root_write(dir, 0, root, &why))
        return;
    log_warn("no copy of the trust root is kept: %s", why.text);
    if (!registry_root_forget(dir, 0, &why)) /* an older one is worse than none */
        log_warn("%s", why.text);
}

/* Who can take the installed root away can put another in its place: to go on with the copy gives
 * him nothing, and this terminal goes on. */
static bool read_copy(struct roots *roots)
{
    struct buf root = {.limit = LIMIT_ROOT_BYTES};
    bool ok = registry_root_read(roots->dir, 0, LIMIT_ROOT_BYTES, &root, NULL) &&
              trust_open(buf_bytes(&root), &roots->trust, NULL);
    buf_done(&root);
    return ok;
}

/* `ret_root` is empty where the copy stands in. */
static bool read_root(struct roots *roots, const char *installed, struct buf *ret_root,
                      struct err *err)
{
    struct err why = {0};
    if (file_read(installed, LIMIT_ROOT_BYTES, ret_root, &why) &&
        trust_open(buf_bytes(ret_root), &roots->trust, &why))
        return true;
    buf_clear(ret_root);
    (void)err_context(&why, "trust root %s", installed);
    if (why.code == ERR_NO_MEMORY || !read_copy(roots)) {
        if (err != NULL)
            *err = why;
        return false;
    }
    roots->unread = why;
    return true;
}

bool roots_open(const char *installed, const char *dir, struct roots *ret_roots, struct err *err)
{
    struct roots roots = {0};
    struct buf root = {.limit = LIMIT_ROOT_BYTES};
    if (strlen(dir) >= sizeof roots.dir)
        return err_set(err, ERR_INVALID, "registry folder %.64s...: more than %d characters", dir,
                       ROOTS_DIR_BYTES - 1);
    memcpy(roots.dir, dir, strlen(dir) + 1);
    bool ok = read_root(&roots, installed, &root, err) &&
              registry_roots_sweep(dir, trust_version(roots.trust), err);
    if (ok && root.length > 0)
        keep_copy(dir, buf_bytes(&root));
    buf_done(&root);
    if (!ok) {
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
    forget(roots);
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
    remember(roots, envelope);
    roots->damage = (struct err){0};
    follow(roots);
    *ret_taken = true;
    return true;
}

static bool is_kept(const char *dir, uint64_t version, struct bytes envelope)
{
    struct buf kept = {.limit = LIMIT_ROOT_BYTES};
    bool same = registry_root_read(dir, version, LIMIT_ROOT_BYTES, &kept, NULL) &&
                bytes_equal(buf_bytes(&kept), envelope);
    buf_done(&kept);
    return same;
}

bool roots_mend(const struct roots *roots, uint64_t *ret_mended, struct err *err)
{
    uint64_t first = trust_version(roots->trust) - roots->chain_count + 1, mended = 0;
    for (size_t i = 0; i < roots->chain_count; i++) {
        struct bytes envelope = buf_bytes(&roots->chain[i]);
        if (is_kept(roots->dir, first + i, envelope))
            continue;
        if (!registry_root_write(roots->dir, first + i, envelope, err))
            return err_context(err, "trust root %" PRIu64, first + i);
        mended = mended == 0 ? first + i : mended;
    }
    *ret_mended = mended;
    return true;
}
