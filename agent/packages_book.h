/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PACKAGES_BOOK_H
#define AGENT_PACKAGES_BOOK_H

#include "agent/packages.h"

/* What was handed to the installer, on the medium before and after: <state>/packages. */
struct packages_book {
    size_t count;
    struct package_row rows[PACKAGES_ROWS]; /* the oldest first */
};

/* None yet: empty. `ret_lost`: it is damaged or cannot be read, and is empty: that is no reason to
 * store no results. ERR_NO_MEMORY. */
bool packages_book_read(const char *path, struct packages_book *ret_book, bool *ret_lost,
                        struct err *err) MUSTER_CHECK;
/* The file's bytes; false: damaged, and nothing is given. */
bool packages_book_parse(struct bytes file, struct packages_book *ret_book);
bool packages_book_write(const char *path, const struct packages_book *book,
                         struct err *err) MUSTER_CHECK;

/* NULL: nothing is remembered of it. */
struct package_row *packages_book_find(struct packages_book *book,
                                       const struct package_wanted *wanted);
/* The same, made if there is none; where no more fit, the oldest refused one goes. */
struct package_row *packages_book_row(struct packages_book *book,
                                      const struct package_wanted *wanted);
/* Of what is not wanted any more only refusals stay: that is not handed over again unchanged. */
bool packages_book_keep(struct packages_book *book, const struct package_wanted *wanted,
                        size_t count);
/* Forgets refusals: a person wants to have it tried again. */
bool packages_book_forgive(struct packages_book *book);

#endif
