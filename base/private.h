/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PRIVATE_H
#define BASE_PRIVATE_H

#include "base/err.h"

/* For processes that hold keys. Early in main: no core dump is ever written or handed to a
 * collector, and no other process of the same user reads this one's memory. */
bool private_process(struct err *err) MUSTER_CHECK;

/* A few pages for what is secret: not swapped, in no dump, zero at first; what cannot be locked is
 * an error where `must_lock`. private_done wipes them. */
bool private_pages(size_t length, bool must_lock, void **ret_pages, struct err *err) MUSTER_CHECK;
void private_done(void *pages, size_t length);

#endif
