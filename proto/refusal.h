/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_REFUSAL_H
#define PROTO_REFUSAL_H

#include "base/err.h"
#include "proto/refusal.pb-c.h"

/* Sets the error and which check it was; false, so that a check can end with `return refuse(...)`.
 */
bool refuse(struct err *err, Muster__Refusal reason, enum err_code code, const char *fmt, ...)
    MUSTER_PRINTF(4, 5);
/* The same for an error that is set already; one that names a check keeps it. */
bool refuse_as(struct err *err, Muster__Refusal reason);
/* For what unseal() or unpack() said no to: REFUSAL_MALFORMED where the bytes are wrong,
 * `otherwise` where they are not signed as they must be; no memory is no refusal. */
bool refuse_unread(struct err *err, Muster__Refusal otherwise);
#define refuse(...) err_told((refuse)(__VA_ARGS__))
#define refuse_as(...) err_told((refuse_as)(__VA_ARGS__))
#define refuse_unread(...) err_told((refuse_unread)(__VA_ARGS__))
Muster__Refusal refusal_of(const struct err *err);
enum { REFUSAL_NAME_CHARS = 40 };
/* "document_floor": for people, metrics and JSON; "unknown" for one of a newer version. */
void refusal_name(Muster__Refusal reason, char out[REFUSAL_NAME_CHARS]);

#endif
