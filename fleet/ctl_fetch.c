/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_fetch.h"

#include "proto/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool ctl_fetch_blob(struct ctl *ctl, const uint8_t sha256_wanted[32], struct buf *out,
                    struct err *err)
{
    char hex[65], path[96];
    uint8_t digest[32];
    size_t before = out->length;
    hex_encode(sha256_wanted, 32, hex);
    (void)snprintf(path, sizeof path, "/api/v1/blobs/%s", hex);
    if (!client_fetch(ctl->client, path, out, err))
        return false;
    sha256(buf_after(out, before), digest);
    if (memcmp(digest, sha256_wanted, sizeof digest) == 0)
        return true;
    out->length = before;
    return err_set(err, ERR_REFUSED, "musterd gave other bytes for blob %.16s...", hex);
}

enum { ROOTS_MAX = 4096 };

static bool fetch_root(struct ctl *ctl, uint64_t version, struct buf *out, struct err *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/api/v1/roots/%" PRIu64, version);
    return client_fetch(ctl->client, path, out, err);
}

/* `*ret_there` false: musterd has no root of that version, which ends the chain. */
static bool add_root(struct ctl *ctl, struct ctl_roots *roots, uint64_t version, bool *ret_there,
                     struct err *err)
{
    struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
    struct err why = {0};
    *ret_there = fetch_root(ctl, version, &envelope, &why);
    if (!*ret_there) {
        buf_done(&envelope);
        return why.code == ERR_NOT_FOUND || err_set(err, why.code, "%s", why.text);
    }
    struct buf *more = realloc(roots->envelopes, (roots->count + 1) * sizeof *more);
    if (more == NULL || roots->count == ROOTS_MAX) {
        roots->envelopes = more == NULL ? roots->envelopes : more;
        buf_done(&envelope);
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu roots", roots->count + 1);
    }
    roots->envelopes = more;
    /* What is older goes in front. */
    size_t at = version < roots->first ? 0 : roots->count;
    memmove(more + at + 1, more + at, (roots->count - at) * sizeof *more);
    more[at] = envelope;
    roots->count++;
    if (version < roots->first)
        roots->first = version;
    return true;
}

static bool fetch_chain(struct ctl *ctl, uint64_t version, struct ctl_roots *roots, struct err *err)
{
    bool there = true;
    roots->first = version;
    for (uint64_t v = version; there; v++)
        if (!add_root(ctl, roots, v, &there, err))
            return false;
    there = roots->count > 0;
    for (uint64_t v = version - 1; there && v > 0; v--)
        if (!add_root(ctl, roots, v, &there, err))
            return false;
    return roots->count > 0 ||
           err_set(err, ERR_NOT_FOUND,
                   "musterd has no root %" PRIu64 "; give it one with musterctl root publish",
                   version);
}

/* As a terminal will that was made with the pinned one, or with the first there is. */
static bool follow_chain(struct ctl_roots *roots, struct bytes pinned, struct err *err)
{
    const bool given = pinned.length > 0;
    if (!given && roots->envelopes != NULL)
        pinned = buf_bytes(&roots->envelopes[0]);
    if (!trust_open(pinned, &roots->trust, err))
        return err_context(err,
                           given ? "--root names a file that is no root" : "musterd's first root");
    for (size_t i = 0; i < roots->count; i++)
        if (roots->first + i > trust_version(roots->trust) &&
            !trust_advance(roots->trust, buf_bytes(&roots->envelopes[i]), err))
            return false;
    return true;
}

/* Nothing was fetched: the pinned one is all of it, if nothing is made under another. */
static bool only_pinned(struct ctl_roots *roots, uint64_t version, struct err *err)
{
    if (trust_version(roots->trust) == version)
        return true;
    return err_set(err, ERR_NOT_FOUND,
                   "musterd has no root %" PRIu64 ", and the one given is version %" PRIu64,
                   version, trust_version(roots->trust));
}

bool ctl_fetch_roots(struct ctl *ctl, uint64_t version, struct bytes pinned,
                     struct ctl_roots *ret_roots, struct err *err)
{
    struct ctl_roots roots = {0};
    struct err why = {0};
    bool fetched = fetch_chain(ctl, version, &roots, &why);
    bool ok = fetched || (why.code == ERR_NOT_FOUND && pinned.length > 0) ||
              err_set(err, why.code, "%s", why.text);
    if (!ok || !follow_chain(&roots, pinned, err) ||
        (!fetched && !only_pinned(&roots, version, err))) {
        ctl_roots_done(&roots);
        return false;
    }
    *ret_roots = roots;
    return true;
}

void ctl_roots_done(struct ctl_roots *roots)
{
    for (size_t i = 0; i < roots->count; i++)
        buf_done(&roots->envelopes[i]);
    free(roots->envelopes);
    trust_free(roots->trust);
    *roots = (struct ctl_roots){0};
}
