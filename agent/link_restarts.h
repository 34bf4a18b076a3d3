/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LINK_RESTARTS_H
#define AGENT_LINK_RESTARTS_H

/*
 * How often in a row muster-link has ended before a session was stable. A broker that makes it
 * crash would else be asked again at full speed, for the back-off dies with the process. A byte a
 * start, in the service's runtime directory, which is no flash; a boot begins anew.
 */
enum { LINK_RESTARTS_MAX = 16 };

/* Counts this start and gives how many there were before. `directory` is what the service manager
 * says in RUNTIME_DIRECTORY (systemd.exec(5)); NULL: nothing is remembered. */
unsigned link_restarts_count(const char *directory);
/* A session was stable, or somebody wants this end. */
void link_restarts_forget(const char *directory);

#endif
