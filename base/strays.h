/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STRAYS_H
#define BASE_STRAYS_H

/* Ends (SIGKILL) every process of this user whose environment it was started with has this entry,
 * "NAME=value": what a child has started, wherever in the tree of processes, in whatever session
 * that is by now. One that was started with a cleared environment is not found. */
void strays_end(const char *entry);

#endif
