/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/txn.h"

#include "agent/txn_checks.h"
#include "base/mask.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { KEY_MAX_BYTES = 32 };

bool txn_check(const Muster__TxnResult *txn, struct err *err)
{
    if (txn->idempotency_key.len < 1 || txn->idempotency_key.len > KEY_MAX_BYTES)
        return err_set(err, ERR_INVALID,
                       "idempotency_key has %zu bytes: expected 1 to 32, the same again when the "
                       "result is handed over again",
                       txn->idempotency_key.len);
    if (txn->outcome == MUSTER__OUTCOME__OUTCOME_UNKNOWN)
        return err_set(err, ERR_INVALID,
                       "outcome is missing: expected approved, declined, no_answer, cancelled or "
                       "read_failed");
#define TXN_LENGTH(name) txn->name.len
#include "agent/txn_checks.def"
    return true;
}

static bool text_spells_card(struct bytes data)
{
    char text[KEY_MAX_BYTES];
    if (data.length > sizeof text)
        return false;
    memcpy(text, data.data, data.length);
    return mask_card_numbers(text, data.length);
}

/* Sixteen digits fit into eight bytes as BCD. */
static bool bcd_spells_card(struct bytes data)
{
    char text[2 * KEY_MAX_BYTES + 1];
    if (data.length > KEY_MAX_BYTES)
        return false;
    hex_encode(data.data, data.length, text);
    return mask_card_numbers(text, 2 * data.length);
}

static bool guard_text(char *text)
{
    return text[0] != '\0' && mask_card_numbers(text, strlen(text));
}

/* Keyed, so that what is stored tells nothing to who has not the key (PCI DSS 3.5.1.1), yet the
 * same bytes give the same answer: a retry is still known, a token still compares. */
static bool guard_bytes(const struct txn_guard *guard, ProtobufCBinaryData *data)
{
    struct bytes bytes = bytes_of(data->data, data->len);
    if (data->len == 0 || !(text_spells_card(bytes) || bcd_spells_card(bytes)))
        return false;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (HMAC(EVP_sha256(), guard->key, sizeof guard->key, data->data, data->len, digest, &length) ==
        NULL)
        memset(digest, 0, sizeof digest);
    size_t keep = data->len < length ? data->len : length;
    memset(data->data, 0, data->len);
    memcpy(data->data, digest, keep);
    return true;
}

void txn_guard(const struct txn_guard *guard, Muster__TxnResult *txn)
{
    bool masked = guard_text(txn->issuer_bucket);
    masked |= guard_text(txn->app_version);
    masked |= guard_text(txn->firmware_version);
    masked |= guard_bytes(guard, &txn->idempotency_key);
    masked |= guard_bytes(guard, &txn->card_token);
    masked |= guard_bytes(guard, &txn->aid);
    txn->masked = masked;
}
