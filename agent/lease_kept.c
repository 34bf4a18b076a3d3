/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease_kept.h"

#include "base/file.h"
#include "base/log.h"
#include "proto/local.pb-c.h"
#include "proto/seal.h"
#include "proto/unpack.h"

#include <string.h>

enum {
    KEPT_BYTES = 1024,
    DIGEST_BYTES = 32,
    MINUTE_MS = 60 * 1000,
    ELEMENTS_EACH = 8, /* fields of one terminal, and it itself */
};

/* ---- the file's content ---- */

bool lease_pack(const struct lease *lease, int64_t now_ms, struct buf *out, struct err *err)
{
    Muster__KeptLease kept = MUSTER__KEPT_LEASE__INIT;
    Muster__KeptLeaseTerminal terminals[LEASE_TERMINALS], *list[LEASE_TERMINALS];
    struct buf body = {.limit = KEPT_BYTES};
    uint8_t digest[DIGEST_BYTES];
    for (size_t i = 0; i < lease->count; i++) {
        const struct lease_terminal *terminal = &lease->terminals[i];
        muster__kept_lease_terminal__init(&terminals[i]);
        terminals[i].terminal = terminal->terminal;
        terminals[i].reversal = (Muster__Said)terminal->reversal;
        terminals[i].batch = (Muster__Said)terminal->batch;
        terminals[i].hold_minutes = (uint32_t)(terminal->longest_ms / MINUTE_MS);
        terminals[i].several = terminal->several;
        list[i] = &terminals[i];
    }
    kept.terminals = list;
    kept.n_terminals = lease->count;
    kept.learning = lease->learning && lease_is_new(lease, now_ms);
    kept.lost = lease->lost && lease_is_new(lease, now_ms);
    bool ok = pack(&kept.base, &body, err);
    if (ok) {
        sha256(buf_bytes(&body), digest);
        ok = buf_append(out, digest, sizeof digest, err) &&
             buf_append(out, body.data, body.length, err);
    }
    buf_done(&body);
    return ok;
}

/* A word of a version to come is none. */
static enum lease_said said_of(Muster__Said said)
{
    return said == MUSTER__SAID__SAID_NO    ? LEASE_NO
           : said == MUSTER__SAID__SAID_YES ? LEASE_YES
                                            : LEASE_UNSAID;
}

static bool restore(const Muster__KeptLease *kept, int64_t now_ms, struct lease *lease,
                    struct err *err)
{
    if (kept->lost)
        lease_lose(lease, now_ms);
    for (size_t i = 0; i < kept->n_terminals; i++) {
        const Muster__KeptLeaseTerminal *from = kept->terminals[i];
        const struct lease_terminal terminal = {.terminal = from->terminal,
                                                .reversal = said_of(from->reversal),
                                                .batch = said_of(from->batch),
                                                .several = from->several,
                                                .longest_ms =
                                                    (int64_t)from->hold_minutes * MINUTE_MS};
        if (!lease_restore(lease, &terminal, now_ms))
            return err_set(err, ERR_INVALID, "it names a logical terminal twice, or too many");
    }
    lease->learning = kept->learning || kept->lost;
    return true;
}

bool lease_unpack(struct bytes file, int64_t now_ms, struct lease *ret_lease, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = KEPT_BYTES,
                                                .max_elements = LEASE_TERMINALS * ELEMENTS_EACH};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    uint8_t digest[DIGEST_BYTES];
    if (file.length < DIGEST_BYTES)
        return err_set(err, ERR_INVALID, "%zu bytes", file.length);
    struct bytes body = bytes_of(file.data + DIGEST_BYTES, file.length - DIGEST_BYTES);
    sha256(body, digest);
    if (memcmp(digest, file.data, DIGEST_BYTES) != 0)
        return err_set(err, ERR_INVALID, "its bytes are not what its hash says");
    bool ok = unpack(&muster__kept_lease__descriptor, body, &limits, &arena, &message, err) &&
              restore((const Muster__KeptLease *)message, now_ms, ret_lease, err);
    arena_done(&arena);
    if (!ok)
        *ret_lease = (struct lease){0};
    return ok;
}

/* ---- the file ---- */

bool lease_kept_open(struct lease_kept *kept, const char *state_dir, int64_t now_ms,
                     struct lease *ret_lease, struct err *err)
{
    struct buf file = {.limit = KEPT_BYTES};
    struct err why = {0};
    *kept = (struct lease_kept){0};
    *ret_lease = (struct lease){0};
    if (!path_join(kept->path, sizeof kept->path, state_dir, "lease", err) ||
        !file_sweep_beside(kept->path, err))
        return false;
    bool read = file_read(kept->path, KEPT_BYTES, &file, &why);
    bool none = !read && why.code == ERR_NOT_FOUND;
    bool taken = read && lease_unpack(buf_bytes(&file), now_ms, ret_lease, &why);
    if (taken)
        memcpy(kept->written, file.data, sizeof kept->written);
    buf_done(&file);
    if (taken || none)
        return true;
    if (why.code == ERR_NO_MEMORY)
        return err_set(err, why.code, "%s", why.text);
    log_warn("%s: what the payment application was in the middle of cannot be read: %s; until it "
             "says so itself, a batch counts as open",
             kept->path, why.text);
    lease_lose(ret_lease, now_ms);
    return true;
}

bool lease_kept_save(struct lease_kept *kept, const struct lease *lease, int64_t now_ms,
                     struct err *err)
{
    struct buf file = {.limit = KEPT_BYTES};
    bool ok = lease_pack(lease, now_ms, &file, err);
    if (ok && memcmp(file.data, kept->written, sizeof kept->written) != 0) {
        memset(kept->written, 0, sizeof kept->written); /* it may fail half-way */
        ok = file_write(kept->path, buf_bytes(&file), 0640, err);
        if (ok)
            memcpy(kept->written, file.data, sizeof kept->written);
    }
    buf_done(&file);
    return ok;
}
