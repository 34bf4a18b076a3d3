/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WEBHOOK_SIGN_H
#define FLEET_WEBHOOK_SIGN_H

#include "base/buf.h"

/* How a webhook's request says that it is from musterd, by the Standard Webhooks specification
 * (standardwebhooks.com, 1.0), so that its libraries verify it: HMAC-SHA256 over
 * "ID.TIMESTAMP.BODY", under a secret that people are shown as "whsec_" and its base64. */
enum { WEBHOOK_SECRET_TEXT_CHARS = 6 + 44 + 1, WEBHOOK_SIGNATURE_CHARS = 3 + 44 + 1 };

/* `secret` has 32 bytes. */
bool webhook_secret_text(const uint8_t *secret, char ret_text[WEBHOOK_SECRET_TEXT_CHARS],
                         struct err *err) MUSTER_CHECK;
/* The header webhook-signature, "v1,BASE64"; `timestamp_s` is the header webhook-timestamp. */
bool webhook_sign(const uint8_t *secret, const char *id, int64_t timestamp_s, struct bytes body,
                  char ret_signature[WEBHOOK_SIGNATURE_CHARS], struct err *err) MUSTER_CHECK;

#endif
