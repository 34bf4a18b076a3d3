/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MASK_H
#define BASE_MASK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The guard for free text and log lines: replaces every run of 13 to 19 digits (single spaces or
 * hyphens between groups allowed) that passes Luhn (ISO/IEC 7812-1 annex B) and starts like a
 * payment card (first digit 2 to 6, or 9 for domestic ranges) by '*', in place, keeping the length.
 * A group of 17 digits or more is searched for such numbers too: something may be glued to one.
 * Returns whether anything was masked. It is a last net: typed fields keep card numbers out, this
 * one never refuses a record.
 */
bool mask_card_numbers(char *text, size_t length);

#endif
