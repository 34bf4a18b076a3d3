/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* sd_notify(3) without libsystemd: sends `state` ("READY=1", "STATUS=...", "WATCHDOG=1") as a
 * datagram to $NOTIFY_SOCKET; nothing happens when that is not set. */
void notify_send(const char *state);

#endif
