/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MARKED_H
#define BASE_MARKED_H

#include <stdint.h>

/* Every process of this user whose environment it was started with has this entry, "NAME=value":
 * what a child has started, wherever in the tree of processes, in whatever session that is by now.
 * One that was started with a cleared environment is not found. */

/* Ends them (SIGKILL). */
void marked_end(const char *entry);
/* Holds them, and what they start from then on, to files of at most so many bytes (SIGXFSZ). */
void marked_limit(const char *entry, int64_t file_bytes);

#endif
