/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYS_BLOT_H
#define AGENT_KEYS_BLOT_H

/*
 * A loader's reason on its way into logs, events and the fleet's database. It may be a library's
 * dump of what it was given, so only what cannot be a key passes: words of letters in one case or
 * with a capital first, and short numbers. A word of both cases and digits, a longer number, and
 * hexadecimal digits of four bytes or more, however they are parted, become asterisks.
 */
enum { KEYS_BLOT_RUN = 8, KEYS_BLOT_TOTAL = 16 };

void keys_blot(char *text);

#endif
