/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/client.h"

#include "agent/client_internal.h"
#include "agent/client_txn.h"
#include "base/clock.h"
#include "base/mask.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_DEADLINE_MS = 50,
    MADE_KEY_BYTES = 8,
};

static const char default_socket[] = "/run/muster/client.sock";

struct muster_client *muster_client_open(const struct muster_client_settings *settings)
{
    const char *path = default_socket;
    int deadline_ms = DEFAULT_DEADLINE_MS;
    if (settings != NULL && settings->socket_path != NULL)
        path = settings->socket_path;
    if (settings != NULL && settings->deadline_ms > 0)
        deadline_ms = settings->deadline_ms;
    struct muster_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->deadline_ms = deadline_ms;
    client->request.limit = LIMIT_CLIENT_FRAME_BYTES;
    random_bytes(&client->next_key, sizeof client->next_key);
    if (!client_wire_init(&client->wire, path, LIMIT_CLIENT_FRAME_BYTES, NULL)) {
        free(client);
        return NULL;
    }
    return client;
}

void muster_client_close(struct muster_client *client)
{
    if (client == NULL)
        return;
    client_wire_done(&client->wire);
    buf_done(&client->request);
    free(client);
}

/* Answers to what was said again on this connection come when they come, as do those that were too
 * late for their own call. */
static bool is_of_said_again(const struct muster_client *client, uint64_t id)
{
    return id >= client->again_first && id <= client->again_last && client->again_last != 0;
}

/* One request and its answer over the connection that is there. Closed unless it succeeds. */
static bool exchange(struct muster_client *client, int64_t until_ms, struct bytes *ret_frame,
                     struct err *err)
{
    struct bytes frame = {0};
    uint64_t id = 0;
    bool ok = false;
    if (!client_wire_queue(&client->wire, buf_bytes(&client->request), err))
        return false;
    do {
        if (!client_wire_receive(&client->wire, until_ms, &frame, err))
            return false;
        if (!client_reply_id(frame, &id, &ok, err)) {
            client_wire_close(&client->wire);
            return err_context(err, "%s", client->wire.address.sun_path);
        }
        if (is_of_said_again(client, id))
            client_lease_heard(client, id, ok);
    } while (id != client->asked_id && (id < client->asked_id || is_of_said_again(client, id)));
    if (id != client->asked_id) {
        client_wire_close(&client->wire);
        err_set(err, ERR_IO, "an answer to request %llu, not %llu", (unsigned long long)id,
                (unsigned long long)client->asked_id);
        return err_context(err, "%s", client->wire.address.sun_path);
    }
    *ret_frame = frame;
    return true;
}

bool client_ask(struct muster_client *client, struct bytes *ret_frame, struct err *err)
{
    int64_t until_ms = clock_boot_ms(&clock_real) + client->deadline_ms;
    client->wire.patient = client->asking != NULL || client_lease_holds(client);
    if (client->wire.fd >= 0) {
        if (client_lease_say_again(client, false, err) &&
            exchange(client, until_ms, ret_frame, err))
            return true;
        /* A kept connection that ended was the agent's restart: the key makes it safe to ask the
         * new one. */
        if (err->code != ERR_UNAVAILABLE)
            return false;
    }
    return client_wire_connect(&client->wire, until_ms, err) &&
           client_lease_say_again(client, true, err) && exchange(client, until_ms, ret_frame, err);
}

enum muster_status client_status_of(const struct err *err)
{
    return err->code == ERR_TIMEOUT     ? MUSTER_TIMEOUT
           : err->code == ERR_NO_MEMORY ? MUSTER_FAILED
                                        : MUSTER_UNREACHABLE;
}

/* The whole way of a result, and what is in its answer. */
static bool ask(struct muster_client *client, struct client_reply *ret_reply, struct err *err)
{
    struct bytes frame = {0};
    if (!client_ask(client, &frame, err))
        return false;
    if (client_txn_unpack(frame, ret_reply, err))
        return true;
    client_wire_close(&client->wire);
    return err_context(err, "%s", client->wire.address.sun_path);
}

static void say_not_handed_over(const struct muster_client *client, const struct err *err,
                                struct muster_answer *answer)
{
    answer->status = client_status_of(err);
    if (answer->status == MUSTER_TIMEOUT)
        (void)snprintf(answer->text, sizeof answer->text,
                       "result not confirmed within %d ms: %.330s; go on with the sale and hand it "
                       "over again later under the same key",
                       client->deadline_ms, err->text);
    else
        (void)snprintf(answer->text, sizeof answer->text,
                       "result not handed over: %.300s; go on with the sale, see that muster-agent "
                       "runs, and hand it over again under the same key",
                       err->text);
}

/* Keys count up from a random start, so that on the wire all but the first of a packet take next to
 * nothing. Two of n clients that make m keys each collide with a probability below n^2 * m / 2^64:
 * less than one in a million for ten years of ten starts a day and a million results. */
static void make_key(struct muster_client *client, struct muster_answer *answer)
{
    uint64_t key = client->next_key++;
    answer->key_length = MADE_KEY_BYTES;
    for (size_t i = MADE_KEY_BYTES; i-- > 0; key >>= 8)
        answer->key[i] = (uint8_t)key;
}

static bool choose_key(struct muster_client *client, const struct muster_txn *txn,
                       struct muster_answer *answer)
{
    struct muster_bytes given = txn->idempotency_key;
    if (given.length > sizeof answer->key)
        return false;
    answer->key_length = given.length;
    if (given.length > 0) {
        memcpy(answer->key, given.data, given.length);
        return true;
    }
    make_key(client, answer);
    return true;
}

bool muster_record(struct muster_client *client, const struct muster_txn *txn,
                   struct muster_answer *ret_answer)
{
    struct muster_answer answer = {0};
    struct err err = {0};
    bool ok = choose_key(client, txn, &answer);
    if (!ok)
        err_set(&err, ERR_INVALID, "idempotency_key has %zu bytes: expected 1 to %zu",
                txn->idempotency_key.length, sizeof answer.key);
    buf_clear(&client->request);
    client->asked_id = ++client->last_id;
    if (!ok || !client_txn_pack(txn, bytes_of(answer.key, answer.key_length),
                                client_lease_generation(client, txn->terminal), client->asked_id,
                                &client->request, &err)) {
        answer.status = err.code == ERR_INVALID ? MUSTER_INVALID : MUSTER_FAILED;
        (void)snprintf(answer.text, sizeof answer.text, "result refused: %.450s", err.text);
        mask_card_numbers(answer.text, strlen(answer.text)); /* it may repeat a field's digits */
        *ret_answer = answer;
        return false;
    }
    struct client_reply reply = {0};
    if (ask(client, &reply, &err)) {
        memcpy(reply.answer.key, answer.key, answer.key_length);
        reply.answer.key_length = answer.key_length;
        answer = reply.answer;
    } else {
        say_not_handed_over(client, &err, &answer);
    }
    *ret_answer = answer;
    return answer.status == MUSTER_STORED || answer.status == MUSTER_DUPLICATE;
}
