/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client_internal.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"

#include <stdio.h>
#include <string.h>

enum { HOLD_MS = 120000, REPLY_MAX_BYTES = 4096 };

static struct client_lease *lease_of(struct muster_client *client, uint32_t terminal)
{
    for (size_t i = 0; i < client->lease_count; i++)
        if (client->leases[i].terminal == terminal)
            return &client->leases[i];
    if (client->lease_count == MUSTER_LEASE_TERMINALS)
        return NULL;
    client->leases[client->lease_count] = (struct client_lease){.terminal = terminal};
    return &client->leases[client->lease_count++];
}

/* As it holds now; with reversal and batch, or as they were. */
static bool pack_word(const struct client_lease *lease, bool with_set, uint64_t id, struct buf *out,
                      struct err *err)
{
    int64_t left_ms = lease->until_ms - clock_boot_ms(&clock_real);
    Muster__LeaseQuery query = MUSTER__LEASE_QUERY__INIT;
    query.terminal = lease->terminal;
    query.transaction = lease->transaction && left_ms > 0;
    query.hold_ms = query.transaction ? (uint32_t)left_ms : 0;
    query.as_before = !with_set;
    query.reversal = with_set && lease->reversal;
    query.batch = with_set && lease->batch;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.id = id;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_LEASE;
    request.lease = &query;
    uint8_t *to = buf_reserve(out, muster__client_request__get_packed_size(&request), err);
    if (to == NULL)
        return false;
    out->length += muster__client_request__pack(&request, to);
    return true;
}

bool client_lease_holds(const struct muster_client *client)
{
    int64_t now_ms = clock_boot_ms(&clock_real);
    for (size_t i = 0; i < client->lease_count; i++)
        if (client->leases[i].transaction && now_ms < client->leases[i].until_ms)
            return true;
    return false;
}

void client_lease_heard(struct muster_client *client, uint64_t id, bool said)
{
    for (size_t i = 0; i < client->lease_count; i++)
        if (client->leases[i].again_id == id && said)
            client->leases[i].unsaid = client->leases[i].set_unsaid = false;
}

/* What the agent has not heard, or, when it is another one than before, may not know. `request`
 * itself need not be preceded by what it says. */
static bool is_due(const struct muster_client *client, const struct client_lease *lease, bool fresh)
{
    bool set_due = lease->set_unsaid || (fresh && lease->set);
    if (lease == client->asking)
        return set_due && !client->asking_set;
    return lease->unsaid || set_due || (fresh && lease->transaction);
}

bool client_lease_say_again(struct muster_client *client, bool fresh, struct err *err)
{
    struct buf word = {.limit = LIMIT_CLIENT_FRAME_BYTES};
    bool ok = true;
    if (fresh || client->again_last == 0) {
        client->again_first = client->last_id + 1;
        client->again_last = 0;
    }
    for (size_t i = 0; ok && i < client->lease_count; i++) {
        struct client_lease *lease = &client->leases[i];
        if (!is_due(client, lease, fresh))
            continue;
        buf_clear(&word);
        client->again_last = lease->again_id = ++client->last_id;
        ok = pack_word(lease, lease->set, client->last_id, &word, err) &&
             client_wire_queue(&client->wire, buf_bytes(&word), err);
    }
    buf_done(&word);
    if (!ok)
        client_wire_close(&client->wire);
    return ok;
}

/* Changed by a character it would be another path. */
static void copy_path(const char *path, char *out, size_t size)
{
    size_t length = strlen(path);
    bool plain = length < size && utf8_valid(bytes_of(path, length));
    for (size_t i = 0; plain && i < length; i++)
        plain = (unsigned char)path[i] >= 0x20 && path[i] != 0x7f;
    if (plain)
        memcpy(out, path, length + 1);
}

static void take_reply(const Muster__LeaseReply *reply, struct muster_lease *lease)
{
    lease->generation = reply->generation;
    if (reply->generation_digest.len == sizeof lease->generation_digest)
        memcpy(lease->generation_digest, reply->generation_digest.data,
               sizeof lease->generation_digest);
    copy_path(reply->path, lease->path, sizeof lease->path);
    client_copy_text(reply->waiting, lease->waiting, sizeof lease->waiting);
}

static bool unpack(struct bytes frame, struct muster_lease *lease, struct err *err)
{
    Muster__ClientReply *message = NULL;
    if (frame.length <= REPLY_MAX_BYTES)
        message = muster__client_reply__unpack(NULL, frame.length, frame.data);
    if (message == NULL)
        return err_set(err, ERR_IO, "%zu bytes that are no answer", frame.length);
    lease->status = client_reply_status((int)message->status);
    bool ok = lease->status != MUSTER_STORED || message->lease != NULL ||
              err_set(err, ERR_IO, "an answer that names no generation");
    if (ok && lease->status == MUSTER_STORED)
        take_reply(message->lease, lease);
    else if (ok)
        client_copy_text(message->why, lease->text, sizeof lease->text);
    muster__client_reply__free_unpacked(message, NULL);
    return ok;
}

static void say_not_said(const struct muster_client *client, const struct err *err,
                         struct muster_lease *lease)
{
    lease->status = client_status_of(err);
    if (lease->status == MUSTER_TIMEOUT)
        (void)snprintf(lease->text, sizeof lease->text,
                       "not confirmed within %d ms: %.330s; go on with the sale, the next call "
                       "says it again",
                       client->deadline_ms, err->text);
    else
        (void)snprintf(lease->text, sizeof lease->text,
                       "not said: %.300s; go on with the sale and see that muster-agent runs; the "
                       "next call says it again",
                       err->text);
}

static bool say(struct muster_client *client, struct client_lease *held, bool with_set,
                struct muster_lease *ret_lease)
{
    struct muster_lease lease = {0};
    struct bytes frame = {0};
    struct err err = {0};
    client->asking = held;
    client->asking_set = with_set;
    held->again_id = 0;
    buf_clear(&client->request);
    client->asked_id = ++client->last_id;
    if (!pack_word(held, with_set, client->asked_id, &client->request, &err) ||
        !client_ask(client, &frame, &err)) {
        say_not_said(client, &err, &lease);
    } else if (!unpack(frame, &lease, &err)) {
        client_wire_close(&client->wire);
        say_not_said(client, &err, &lease);
    }
    client->asking = NULL;
    bool said = lease.status == MUSTER_STORED;
    /* What is refused is refused again; the rest is said until it is heard. */
    held->unsaid = !said && lease.status != MUSTER_INVALID;
    if (with_set)
        held->set_unsaid = held->unsaid;
    *ret_lease = lease;
    return said;
}

static bool refuse(struct muster_lease *ret_lease, const char *why)
{
    *ret_lease = (struct muster_lease){.status = MUSTER_INVALID};
    (void)snprintf(ret_lease->text, sizeof ret_lease->text, "lease refused: %s", why);
    return false;
}

static const char too_many[] = "more than 16 logical terminals: another client for the rest";

bool muster_lease_begin(struct muster_client *client, uint32_t terminal, uint32_t hold_ms,
                        struct muster_lease *ret_lease)
{
    if (hold_ms > MUSTER_HOLD_MAX_MS)
        return refuse(ret_lease, "hold_ms is above 600000: begin again while it goes on");
    struct client_lease *held = lease_of(client, terminal);
    if (held == NULL)
        return refuse(ret_lease, too_many);
    held->transaction = true;
    held->until_ms = clock_boot_ms(&clock_real) + (hold_ms != 0 ? hold_ms : HOLD_MS);
    bool said = say(client, held, false, ret_lease);
    held->told = said && ret_lease->generation != 0;
    memcpy(held->generation, ret_lease->generation_digest, sizeof held->generation);
    return said;
}

const uint8_t *client_lease_generation(const struct muster_client *client, uint32_t terminal)
{
    for (size_t i = 0; i < client->lease_count; i++)
        if (client->leases[i].terminal == terminal && client->leases[i].told)
            return client->leases[i].generation;
    return NULL;
}

bool muster_lease_end(struct muster_client *client, uint32_t terminal,
                      struct muster_lease *ret_lease)
{
    struct client_lease *held = lease_of(client, terminal);
    if (held == NULL)
        return refuse(ret_lease, too_many);
    held->transaction = false;
    return say(client, held, false, ret_lease);
}

bool muster_lease_set(struct muster_client *client, uint32_t terminal, bool reversal, bool batch,
                      struct muster_lease *ret_lease)
{
    struct client_lease *held = lease_of(client, terminal);
    if (held == NULL)
        return refuse(ret_lease, too_many);
    held->set = true;
    held->reversal = reversal;
    held->batch = batch;
    return say(client, held, true, ret_lease);
}
