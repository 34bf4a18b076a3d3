/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/online.h"

#include "proto/limits.h"
#include "proto/online.pb-c.h"
#include "proto/unpack.h"

static bool check(const Muster__Online *online, struct err *err)
{
    if (online->online && online->goodbye)
        return err_set(err, ERR_INVALID, "online, and a goodbye");
    if (online->began_ms == 0) /* almost any bytes are some message */
        return err_set(err, ERR_INVALID, "no word of a session");
    return online->began_ms <= INT64_MAX ||
           err_set(err, ERR_INVALID, "a session that began beyond all time");
}

bool online_read(struct bytes payload, struct online_word *ret_word, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_ONLINE_BYTES,
                                                .max_elements = 16};
    if (payload.length == 1 && (payload.data[0] == '0' || payload.data[0] == '1')) {
        *ret_word = (struct online_word){.online = payload.data[0] == '1'};
        return true;
    }
    struct arena arena = {.limit_bytes = (size_t)4 * LIMIT_ONLINE_BYTES};
    ProtobufCMessage *message = NULL;
    bool ok = unpack(&muster__online__descriptor, payload, &limits, &arena, &message, err) &&
              check((const Muster__Online *)message, err);
    if (ok) {
        const Muster__Online *online = (const Muster__Online *)message;
        *ret_word = (struct online_word){.online = online->online,
                                         .goodbye = online->goodbye,
                                         .boot = online->boot,
                                         .began_ms = (int64_t)online->began_ms};
    }
    arena_done(&arena);
    return ok;
}

bool online_write(const struct online_word *word, struct buf *out, struct err *err)
{
    Muster__Online online = MUSTER__ONLINE__INIT;
    online.online = word->online;
    online.goodbye = word->goodbye;
    online.boot = word->boot;
    online.began_ms = (uint64_t)word->began_ms;
    return pack(&online.base, out, err);
}
