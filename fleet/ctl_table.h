/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_TABLE_H
#define FLEET_CTL_TABLE_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

/*
 * A table for people: columns as wide as their widest cell, numbers to the right, headings bold on
 * a terminal. Cells are copied; control characters in them, which foreign text may carry, are
 * shown as '?', wide characters count as two columns.
 */
struct ctl_table;

/* `headings`, separated by '|'; one that begins with '>' is set to the right. NULL: no memory,
 * which the functions below bear and print tells. */
struct ctl_table *ctl_table_new(const char *headings);
/* The next cell, from left to right, row after row. Running out of memory is kept for print. */
void ctl_table_text(struct ctl_table *table, const char *text);
void ctl_table_format(struct ctl_table *table, const char *fmt, ...) MUSTER_PRINTF(2, 3);
/* A number, which in CSV stays one. */
void ctl_table_number(struct ctl_table *table, const char *fmt, ...) MUSTER_PRINTF(2, 3);
void ctl_table_count(struct ctl_table *table, int64_t count); /* 1,234,567 */
void ctl_table_ago(struct ctl_table *table, int64_t wall_ms, int64_t now_ms);
/* `text`, and in CSV the moment; nothing there for 0. */
void ctl_table_moment(struct ctl_table *table, const char *text, int64_t wall_ms);
/* `text`, and in CSV `plain`: of our own making, for nothing is put before it. */
void ctl_table_plain(struct ctl_table *table, const char *text, const char *plain);
/* Prints (without a row: `nothing`) and frees; false if cells were lost for want of memory. */
bool ctl_table_print(struct ctl_table *table, FILE *out, const char *nothing);

/* The same as CSV (RFC 4180, UTF-8), for programs: counts without commas, moments as in ISO 8601,
 * nothing for "-". Text that a spreadsheet would take for a formula has a ' before it. */
bool ctl_table_csv(struct ctl_table *table, FILE *out);

enum { CTL_TEXT_BYTES = 32 };
void ctl_count_text(int64_t count, char text[CTL_TEXT_BYTES]);
/* In KB (1,024 bytes), rounded; a terminal may have said anything. */
int64_t ctl_kilobytes(int64_t bytes);
/* How long that is, without its sign: "200 ms", "3s", "5m", "10h", "3652d". */
void ctl_span_text(int64_t span_ms, char text[CTL_TEXT_BYTES]);
/* "3s ago" "12m ago" "5h ago" "4d ago", "never" for 0, "in 3s" when it lies ahead. */
void ctl_ago_text(int64_t wall_ms, int64_t now_ms, char text[CTL_TEXT_BYTES]);

#endif
