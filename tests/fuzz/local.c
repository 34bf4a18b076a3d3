/* SPDX-License-Identifier: Apache-2.0 */
/* What is said on the terminal itself: by any local program, by the agent as others read it, by a
 * link that is not trusted, and what a damaged note may hold. The first byte chooses the message.
 */
#include "agent/account.h"
#include "agent/import.h"
#include "agent/lease_kept.h"
#include "agent/link_wants.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/seal.h"
#include "tests/fuzz/fuzz.h"

static void count_one(void *ctx, const uint8_t blob[32])
{
    (void)blob;
    (*(size_t *)ctx)++;
}

/* The set of blobs as the link keeps it. */
static void try_wants(const Muster__LinkFetch *fetch)
{
    static const struct link_wants none;
    struct link_wants wants = {0};
    size_t count = 0;
    for (size_t i = 0; i < fetch->n_blobs; i++) {
        const uint8_t *blob = fetch->blobs[i].data;
        if (fetch->blobs[i].len != 32)
            continue;
        bool room = wants.count < LIMIT_MANIFEST_ITEMS || link_wants_has(&wants, blob);
        uint64_t size = i < fetch->n_sizes ? fetch->sizes[i] : 1;
        room = room && size > 0 && size <= LIMIT_BLOB_BYTES;
        bool had = link_wants_has(&wants, blob);
        HOLDS(link_wants_add(&wants, blob, size, NULL) == room);
        HOLDS(link_wants_has(&wants, blob) == (room || had));
        HOLDS(had || link_wants_takes(&wants, blob, (size_t)size, NULL) == room);
    }
    link_wants_diff(&wants, &none, count_one, &count);
    HOLDS(count == wants.count && count <= LIMIT_MANIFEST_ITEMS);
    link_wants_diff(&wants, &wants, count_one, &count);
    HOLDS(count == wants.count);
}

static void try_link_down(struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_LINK_FRAME_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__link_down__descriptor, in, &limits, &arena, &message, NULL)) {
        const Muster__LinkDown *down = (const Muster__LinkDown *)message;
        if (down->what_case == MUSTER__LINK_DOWN__WHAT_FETCH)
            try_wants(down->fetch);
    }
    arena_done(&arena);
}

/* The account of the line, as the spool's note may hold it: kept again, it is the same. */
static void try_account(struct bytes in)
{
    struct account account = {0}, again = {0};
    struct buf note = {0};
    struct err err = {0};
    if (account_unpack(in, &account, &err)) {
        HOLDS(account_pack(&account, &note, NULL));
        HOLDS(account_unpack(buf_bytes(&note), &again, NULL));
        HOLDS(again.now.month == account.now.month && again.link_start == account.link_start);
        HOLDS(traffic_equal(&again.now.traffic, &account.now.traffic));
        account_look(&again, account.link_start + 1, &account.link);
        account_month_is(&again, 202612);
    } else {
        HOLDS(err.code != ERR_NONE && err.text[0]);
    }
    buf_done(&note);
}

/* A part of a bundle, as a local program may give it: never longer than it may be. */
static void try_import(struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_CLIENT_FRAME_BYTES,
                                                .max_elements = 128};
    struct arena arena = {0};
    struct import import = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__client_request__descriptor, in, &limits, &arena, &message, NULL)) {
        const Muster__ClientRequest *request = (const Muster__ClientRequest *)message;
        struct err err = {0};
        bool whole = false;
        if (request->what_case != MUSTER__CLIENT_REQUEST__WHAT_IMPORT) {
            HOLDS(!import.part.data);
        } else if (import_add(&import, request->import, &whole, &err)) {
            HOLDS(import.part.length <= LIMIT_BLOB_BYTES);
            HOLDS(whole == (import.part.length == request->import->size));
            HOLDS(import_add(&import, request->import, &whole, NULL)); /* anew */
        } else {
            HOLDS(err.reason != 0 && err.text[0] && import.part.length == 0);
        }
    }
    import_end(&import);
    arena_done(&arena);
}

/* What an application says it is in the middle of, said twice and then let go. */
static void try_lease(struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_CLIENT_FRAME_BYTES,
                                                .max_elements = 128};
    struct arena arena = {0};
    struct lease lease = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__client_request__descriptor, in, &limits, &arena, &message, NULL) &&
        ((const Muster__ClientRequest *)message)->what_case == MUSTER__CLIENT_REQUEST__WHAT_LEASE) {
        const Muster__LeaseQuery *query = ((const Muster__ClientRequest *)message)->lease;
        const struct lease_word word = {.terminal = query->terminal,
                                        .transaction = query->transaction,
                                        .reversal = query->reversal,
                                        .batch = query->batch,
                                        .as_before = query->as_before,
                                        .hold_ms = query->hold_ms};
        const struct lease_speaker by = {.holder = &lease, .uid = 1, .pid = 2};
        const struct lease_speaker other = {.holder = &arena, .uid = 1, .pid = 3};
        const struct lease_word end = {.terminal = word.terminal, .as_before = true};
        struct lease_speaker who;
        if (lease_say(&lease, &word, &by, 0, NULL)) {
            HOLDS(lease_look(&lease, 0).transaction == word.transaction);
            HOLDS(lease_say(&lease, &word, &by, 0, NULL) && lease.hold_count <= 1);
            HOLDS(lease_say(&lease, &end, &other, 0, NULL));
            HOLDS(lease_look(&lease, 0).transaction == word.transaction);
            HOLDS(lease_gone(&lease, &lease, 0, &who) == word.transaction);
            HOLDS(lease_look(&lease, 0).batch == (word.batch && !word.as_before));
            HOLDS(lease_look(&lease, 0).unsaid == word.as_before);
        } else {
            HOLDS(word.hold_ms > LEASE_HOLD_MAX_MS && !lease.known);
        }
        HOLDS(!lease_look(&lease, 0).transaction);
    }
    arena_done(&arena);
}

/* What lies in <state>/lease, and its hash is good. */
static void try_kept_lease(struct bytes body)
{
    static struct lease lease;
    struct buf file = {.limit = LIMIT_CLIENT_FRAME_BYTES}, again = {.limit = 2048};
    uint8_t digest[32];
    sha256(body, digest);
    lease = (struct lease){0};
    if (buf_append(&file, digest, sizeof digest, NULL) &&
        buf_append(&file, body.data, body.length, NULL) &&
        lease_unpack(buf_bytes(&file), 0, &lease, NULL)) {
        const struct gate_lease before = lease_look(&lease, 0);
        HOLDS(lease.count <= LEASE_TERMINALS && before.known == (lease.count > 0 || lease.lost));
        HOLDS(before.transaction == before.known); /* nobody knows better */
        HOLDS(!lease_look(&lease, LEASE_HOLD_MAX_MS).transaction);
        HOLDS(lease_pack(&lease, 0, &again, NULL));
        lease = (struct lease){0};
        HOLDS(lease_unpack(buf_bytes(&again), 0, &lease, NULL));
        const struct gate_lease after = lease_look(&lease, 0);
        HOLDS(after.batch == before.batch && after.reversal == before.reversal &&
              after.unsaid == before.unsaid && after.left_ms == before.left_ms);
    }
    buf_done(&file);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        size_t max_bytes;
    } messages[] = {
        {&muster__client_request__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__client_reply__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__link_up__descriptor, LIMIT_LINK_FRAME_BYTES},
        {&muster__link_down__descriptor, LIMIT_LINK_FRAME_BYTES},
        {&muster__kept_receipts__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__kept_traffic__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__kept_clock__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__kept_lease__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__kept_gate__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__kept_actions__descriptor, LIMIT_CLIENT_FRAME_BYTES},
        {&muster__helper_request__descriptor, LIMIT_HELPER_FRAME_BYTES},
        {&muster__helper_reply__descriptor, LIMIT_HELPER_FRAME_BYTES},
    };
    if (size == 0)
        return 0;
    size_t which = data[0] % (sizeof messages / sizeof messages[0]);
    struct bytes in = bytes_of(data + 1, size - 1);
    fuzz_unpack(messages[which].type, in, messages[which].max_bytes);
    if (messages[which].type == &muster__client_request__descriptor) {
        try_import(in);
        try_lease(in);
    }
    if (messages[which].type == &muster__link_down__descriptor)
        try_link_down(in);
    if (messages[which].type == &muster__kept_traffic__descriptor)
        try_account(in);
    if (messages[which].type == &muster__kept_lease__descriptor)
        try_kept_lease(in);
    return 0;
}
