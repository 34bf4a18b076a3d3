/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LOGS_GUARD_H
#define AGENT_LOGS_GUARD_H

#include "base/buf.h"

/*
 * The guard of a log bundle. Lines of other people's programs leave the terminal, so it looks for
 * card numbers in more forms than base/mask.h does for one text of ours, and rather masks too much:
 * BCD bytes in a line that is not text, UTF-16, groups with any separator or a line's end between
 * them, hex of ASCII, dumped bytes, base64 of all that, and what follows the number on a track.
 * Afterwards there are no NULs and no control characters but line ends and tabs in it. Pure.
 *
 * Not found: a number that is encrypted, compressed, escaped in a way of its own (%34, \u0034),
 * spread over a hex dump's lines, or between words.
 */
/* In place; it may get shorter. False: no memory, and it must not leave. */
bool logs_guard(struct buf *text, bool *ret_masked, struct err *err) MUSTER_CHECK;

/* agent/logs_guard_bytes.c: of bytes that need not be text. */
bool logs_guard_bytes(uint8_t *data, size_t length);
/* Each token that is base64 (RFC 4648, both alphabets) of something with a card number. */
bool logs_guard_base64(struct buf *text, bool *ret_masked, struct err *err) MUSTER_CHECK;

/* A card number, digit by digit: 13 to 19, Luhn, beginning like one (base/mask.h). */
struct logs_number {
    unsigned digits, sum[2];
    bool begins_well;
};
enum { LOGS_NUMBER_MAX = 19 };
void logs_number_add(struct logs_number *number, unsigned digit);
bool logs_number_is_card(const struct logs_number *number);

#endif
