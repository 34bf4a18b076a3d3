/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * An error is a value: what happened, where, why, and the next step, as one line of text.
 * Functions that can fail return false and fill the last parameter; the boundary that owns the
 * foreign message (SQLite, OpenSSL, errno) writes it, callers put their context in front.
 * The text is UTF-8 whatever it quotes, and logged once, where it is given up. `err` may be NULL.
 */
enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,  /* the bytes or arguments are wrong; the same call will fail again */
    ERR_REFUSED,  /* well-formed, but not allowed: signature, identity, policy */
    ERR_CONFLICT, /* contradicts what is already held under the same name */
    ERR_NOT_FOUND,
    ERR_FULL,        /* a quota, a window or the disk is full; may pass later */
    ERR_TIMEOUT,     /* not done within the stated time; the outcome may be unknown */
    ERR_UNAVAILABLE, /* the other side is not there */
    ERR_IO,          /* the device or database failed; see the text */
    ERR_NO_MEMORY,
    ERR_NEWER, /* sound, but of a version that this program does not know yet: update it */
};

struct err {
    enum err_code code;
    int reason; /* which check it was, by the numbers of the module that failed; 0: none */
    char text[480];
};

#define MUSTER_CHECK __attribute__((warn_unused_result))
#define MUSTER_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Both return false, so that a failing function can end with `return err_set(...)`. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) MUSTER_PRINTF(3, 4);
/* Appends ": <strerror(errnum)>"; ENOSPC and EDQUOT become ERR_FULL, ENOENT ERR_NOT_FOUND. */
bool err_errno(struct err *err, int errnum, const char *fmt, ...) MUSTER_PRINTF(3, 4);
/* Puts "context: " before the text that is there. */
bool err_context(struct err *err, const char *fmt, ...) MUSTER_PRINTF(2, 3);

/* All three, seen from outside of their file, are false for the compiler and the analyzer too: what
 * a failed function would have given is then known not to be read. */
static inline bool err_told(bool told)
{
    (void)told;
    return false;
}
#define err_set(...) err_told((err_set)(__VA_ARGS__))
#define err_errno(...) err_told((err_errno)(__VA_ARGS__))
#define err_context(...) err_told((err_context)(__VA_ARGS__))

/* A short stable word for counters and JSON: "invalid", "refused", ... */
const char *err_code_name(enum err_code code);

#endif
