/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/refusal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

bool(refuse)(struct err *err, Muster__Refusal reason, enum err_code code, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)err_set(err, code, "%s", text);
    return refuse_as(err, reason);
}

bool(refuse_as)(struct err *err, Muster__Refusal reason)
{
    if (err != NULL && err->reason == 0)
        err->reason = (int)reason;
    return false;
}

bool(refuse_unread)(struct err *err, Muster__Refusal otherwise)
{
    if (err == NULL || err->code == ERR_NO_MEMORY)
        return false;
    return refuse_as(err,
                     err->code == ERR_INVALID ? MUSTER__REFUSAL__REFUSAL_MALFORMED : otherwise);
}

Muster__Refusal refusal_of(const struct err *err)
{
    return (Muster__Refusal)err->reason;
}

void refusal_name(Muster__Refusal reason, char out[REFUSAL_NAME_CHARS])
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&muster__refusal__descriptor, (int)reason);
    const char *name = value != NULL ? value->name + sizeof "REFUSAL_" - 1 : "UNKNOWN";
    size_t i = 0;
    for (; name[i] != '\0' && i < REFUSAL_NAME_CHARS - 1; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}
