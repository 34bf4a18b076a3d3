/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool(err_set)(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    err->code = code;
    err->reason = 0;
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    utf8_clean(err->text);
    return false;
}

/* Appends ": more", cut where the room ends. */
static void append(struct err *err, const char *more)
{
    size_t at = strlen(err->text);
    size_t room = sizeof err->text - 1 - at;
    const char *parts[] = {": ", more};
    for (size_t i = 0; i < 2; i++) {
        size_t length = strnlen(parts[i], room);
        memcpy(err->text + at, parts[i], length);
        at += length;
        room -= length;
    }
    err->text[at] = '\0';
}

static enum err_code code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOENT:
        return ERR_NOT_FOUND;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
    case EPIPE:
    case ECONNRESET:
        return ERR_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return ERR_REFUSED;
    default:
        return ERR_IO;
    }
}

bool(err_errno)(struct err *err, int errnum, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    append(err, strerror(errnum));
    utf8_clean(err->text);
    err->code = code_of_errno(errnum);
    err->reason = 0;
    return false;
}

bool(err_context)(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    append(err, inner);
    utf8_clean(err->text);
    return false;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INVALID:
        return "invalid";
    case ERR_REFUSED:
        return "refused";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_FULL:
        return "full";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_IO:
        return "io";
    case ERR_NO_MEMORY:
        return "no_memory";
    case ERR_NEWER:
        return "newer";
    }
    return "unknown";
}
