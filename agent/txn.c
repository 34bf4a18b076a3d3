/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/txn.h"

#include "base/mask.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { TOKEN_BYTES = 8, KEY_MAX_BYTES = 32, AID_MIN_BYTES = 5, AID_MAX_BYTES = 16 };

static bool check_number(const char *field, uint64_t value, uint64_t max, struct err *err)
{
    if (value <= max)
        return true;
    return err_set(err, ERR_INVALID, "%s = %llu: expected 0 to %llu", field,
                   (unsigned long long)value, (unsigned long long)max);
}

static bool check_enum(const char *field, const ProtobufCEnumDescriptor *type, int value,
                       struct err *err)
{
    if (protobuf_c_enum_descriptor_get_value(type, value) != NULL)
        return true;
    return err_set(err, ERR_INVALID, "%s = %d: not a value of %s", field, value, type->name);
}

static bool check_text(const char *field, const char *text, size_t max, bool alphanumeric,
                       struct err *err)
{
    size_t length = strlen(text);
    if (length > max)
        return err_set(err, ERR_INVALID, "%s has %zu characters: expected at most %zu", field,
                       length, max);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (alphanumeric ? isalnum(c) == 0 : c < 0x20 || c == 0x7f)
            return err_set(err, ERR_INVALID, "%s: character %zu is 0x%02x: expected %s", field,
                           i + 1, c, alphanumeric ? "letters and digits" : "printable text");
    }
    return true;
}

static bool check_bytes(const char *field, const ProtobufCBinaryData *data, size_t min, size_t max,
                        struct err *err)
{
    if (data->len == 0 || (data->len >= min && data->len <= max))
        return true;
    if (min == max)
        return err_set(err, ERR_INVALID, "%s has %zu bytes: expected none or %zu", field, data->len,
                       min);
    return err_set(err, ERR_INVALID, "%s has %zu bytes: expected none or %zu to %zu", field,
                   data->len, min, max);
}

static bool check_numbers(const Muster__TxnResult *txn, struct err *err)
{
    return check_number("terminal", txn->terminal, 255, err) &&
           check_number("acquirer", txn->acquirer, 255, err) &&
           check_number("stan", txn->stan, 999999, err) &&
           check_number("batch_number", txn->batch_number, 999999, err) &&
           check_number("scheme", txn->scheme, 255, err) &&
           check_number("currency", txn->currency, 999, err) &&
           check_number("host_hint", txn->host_hint, 9, err) &&
           check_number("capk_index", txn->capk_index, 255, err) &&
           check_number("amount_minor", txn->amount_minor, UINT64_C(999999999999), err) &&
           check_number("attempts", txn->attempts, 1000, err);
}

static bool check_enums(const Muster__TxnResult *txn, struct err *err)
{
    return check_enum("type", &muster__txn_type__descriptor, (int)txn->type, err) &&
           check_enum("entry_mode", &muster__entry_mode__descriptor, (int)txn->entry_mode, err) &&
           check_enum("fallback", &muster__fallback_reason__descriptor, (int)txn->fallback, err) &&
           check_enum("outcome", &muster__outcome__descriptor, (int)txn->outcome, err) &&
           check_enum("code_source", &muster__code_source__descriptor, (int)txn->code_source,
                      err) &&
           check_enum("network", &muster__network_type__descriptor, (int)txn->network, err);
}

static bool check_texts(const Muster__TxnResult *txn, struct err *err)
{
    return check_text("issuer_bucket", txn->issuer_bucket, 24, false, err) &&
           check_text("rrn", txn->rrn, 12, true, err) &&
           check_text("auth_code", txn->auth_code, 6, true, err) &&
           check_text("code", txn->code, 4, true, err) &&
           check_text("app_version", txn->app_version, 24, false, err) &&
           check_text("firmware_version", txn->firmware_version, 24, false, err);
}

static bool check_all_bytes(const Muster__TxnResult *txn, struct err *err)
{
    return check_bytes("aid", &txn->aid, AID_MIN_BYTES, AID_MAX_BYTES, err) &&
           check_bytes("card_token", &txn->card_token, TOKEN_BYTES, TOKEN_BYTES, err) &&
           check_bytes("tvr", &txn->tvr, 5, 5, err) && check_bytes("tsi", &txn->tsi, 2, 2, err) &&
           check_bytes("cvm_result", &txn->cvm_result, 3, 3, err) &&
           check_bytes("capk_rid", &txn->capk_rid, 5, 5, err) &&
           check_bytes("generation", &txn->generation, 8, 8, err);
}

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
    return check_numbers(txn, err) && check_enums(txn, err) && check_texts(txn, err) &&
           check_all_bytes(txn, err);
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

/* Keyed, so that what is stored tells nothing without this process's memory (PCI DSS 3.5.1.1),
 * yet the same bytes give the same answer: a retry is still known, a token still compares. */
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
