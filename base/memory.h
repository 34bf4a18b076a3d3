/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/* How much memory a program holds that runs for years on a terminal with little of it. None of the
 * calls changes what a program does. */

/* Early in main, before any thread: one heap for all threads, and big blocks mapped apart, so that
 * they are given back whole. Otherwise glibc grows a heap for each worker thread, and raises with
 * every big block that is freed the size from which it maps them. */
void memory_frugal(void);

/* After a stretch of work that does not come again soon (start-up, a TLS handshake): gives free
 * heap back, and lets go of pages of program and libraries, read-only and unchanged, that this
 * process has mapped. What is needed again is mapped again from the page cache, or read from the
 * file: microseconds each. Start-up runs through far more of libcrypto than a day of work does. */
void memory_settle(void);

/* After work that took much memory and is done: what is free between pieces that are in use goes
 * back to the system. Milliseconds where there are many megabytes of it. */
void memory_give_back(void);

#endif
