/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/webhook_sign.h"

#include "fleet/base64.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_BYTES = 32, MAC_BYTES = 32, HEAD_CHARS = 160 };

static bool put_base64(const char *prefix, struct bytes data, char *ret_text, size_t size,
                       struct err *err)
{
    struct buf text = {0};
    bool ok = base64_encode(data, &text, err);
    if (ok)
        (void)snprintf(ret_text, size, "%s%s", prefix, (const char *)text.data);
    if (text.data != NULL)
        explicit_bzero(text.data, text.length);
    buf_done(&text);
    return ok;
}

bool webhook_secret_text(const uint8_t *secret, char ret_text[WEBHOOK_SECRET_TEXT_CHARS],
                         struct err *err)
{
    return put_base64("whsec_", bytes_of(secret, SECRET_BYTES), ret_text, WEBHOOK_SECRET_TEXT_CHARS,
                      err);
}

bool webhook_sign(const uint8_t *secret, const char *id, int64_t timestamp_s, struct bytes body,
                  char ret_signature[WEBHOOK_SIGNATURE_CHARS], struct err *err)
{
    char head[HEAD_CHARS];
    uint8_t mac[MAC_BYTES];
    unsigned length = 0;
    struct buf signed_text = {0};
    int n = snprintf(head, sizeof head, "%s.%" PRId64 ".", id, timestamp_s);
    if (n < 0 || n >= HEAD_CHARS)
        return err_set(err, ERR_INVALID, "webhook id %.60s: too long", id);
    bool ok = buf_append(&signed_text, head, (size_t)n, err) &&
              buf_append(&signed_text, body.data, body.length, err);
    if (ok && HMAC(EVP_sha256(), secret, SECRET_BYTES, signed_text.data, signed_text.length, mac,
                   &length) == NULL)
        ok = err_set(err, ERR_NO_MEMORY, "webhook: no memory for a signature");
    buf_done(&signed_text);
    return ok && put_base64("v1,", bytes_of(mac, sizeof mac), ret_signature,
                            WEBHOOK_SIGNATURE_CHARS, err);
}
