/* SPDX-License-Identifier: Apache-2.0 */
/* A result as people and logs write it: JSON, or flags as lines NAME=VALUE; the first byte
 * chooses. What libmuster then packs the agent must accept, and nothing of it may spell a card
 * number after the agent's guard. */
#include "agent/txn_input.h"
#include "agent/client_txn.h"
#include "agent/txn.h"
#include "base/mask.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <string.h>

static void check_text(char *text)
{
    HOLDS(!mask_card_numbers(text, strlen(text)));
}

static void check_message(Muster__TxnResult *txn)
{
    static const struct txn_guard guard = {.key = "not a secret"};
    struct err err = {0};
    if (!txn_check(txn, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    txn_guard(&guard, txn);
    check_text(txn->issuer_bucket);
    check_text(txn->app_version);
    check_text(txn->firmware_version);
    HOLDS(protobuf_c_message_get_packed_size(&txn->base) <= LIMIT_TXN_BYTES);
}

static void hand_over(const struct txn_input *input)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_CLIENT_FRAME_BYTES};
    struct bytes key = bytes_of(input->txn.idempotency_key.data, input->txn.idempotency_key.length);
    struct buf request = {0};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    if (client_txn_pack(&input->txn, key.length ? key : bytes_of("k", 1), NULL, 1, &request,
                        &err)) {
        HOLDS(unpack(&muster__client_request__descriptor, buf_bytes(&request), &limits, &arena,
                     &message, NULL));
        check_message(((Muster__ClientRequest *)message)->txn);
    } else {
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    }
    arena_done(&arena);
    buf_done(&request);
}

static bool take_flags(struct txn_input *input, char *text, struct err *err)
{
    txn_input_clear(input);
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        const char *name = strsep(&line, "=");
        const struct txn_field *field = txn_fields;
        while (field->name && strcmp(field->name, name) != 0)
            field++;
        if (field->name && !txn_input_text(input, field, line ? line : "", err))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct txn_input input;
    struct err err = {0};
    if (size < 2)
        return 0;
    bool json = fuzz_byte(&in) % 2 == 0;
    char *text = strndup((const char *)in.data, in.length);
    HOLDS(text);
    if (json ? txn_input_json(&input, (const char *)in.data, in.length, &err)
             : take_flags(&input, text, &err))
        hand_over(&input);
    else
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    free(text);
    return 0;
}
