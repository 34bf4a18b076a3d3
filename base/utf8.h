/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

/* Decodes the first code point of `text`: returns how many bytes it takes, 0 where the text is
 * empty or not UTF-8 (RFC 3629: no surrogates, nothing overlong). */
size_t utf8_next(struct bytes text, uint32_t *ret_code);
bool utf8_valid(struct bytes text);
/* Each byte that belongs to no code point becomes '?', in place: what foreign programs said, or
 * what was cut off in the middle of one. No message may carry other text (proto/unpack.h). */
void utf8_clean(char *text);
/* A control character, or one that turns the direction of what follows: it makes a terminal show
 * something else than is there. */
bool utf8_obeyed(uint32_t code);
/* Columns that a code point takes on a terminal: 0, 1, or 2 for East Asian wide ones. */
unsigned utf8_columns(uint32_t code);

#endif
