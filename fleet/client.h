/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CLIENT_H
#define FLEET_CLIENT_H

#include "base/buf.h"

#include <jansson.h>

/*
 * Calls to musterd's API, one at a time: over its unix socket, or with a token over its TCP
 * listener on this host, or from anywhere through a server that does TLS before it. What is asked
 * too often is asked again when musterd says so, for a minute. Errors carry the server's own word:
 * its code becomes err's; where it does not answer at all err is ERR_UNAVAILABLE and names the
 * address.
 */
struct client;

/* "unix:/run/musterd/api.sock", "http://127.0.0.1:8080" or "https://fleet.example". Does not
 * connect yet. */
bool client_open(const char *server, struct client **ret_client, struct err *err) MUSTER_CHECK;
void client_close(struct client *client);
/* Shown with every call from now on; copied. ERR_INVALID: it cannot be a token. */
bool client_show_token(struct client *client, const char *token, struct err *err) MUSTER_CHECK;

/* Of an https server: the file of certificates by which it is verified, PEM, in place of the
 * system's. */
bool client_trust(struct client *client, const char *file, struct err *err) MUSTER_CHECK;

/* `path` begins with '/' and is percent-encoded where it must be. The caller decrefs the reply. */
bool client_get(struct client *client, const char *path, json_t **ret_reply,
                struct err *err) MUSTER_CHECK;
/* The bytes themselves, appended to `out`: of a blob, of a root. */
bool client_fetch(struct client *client, const char *path, struct buf *out,
                  struct err *err) MUSTER_CHECK;
bool client_put(struct client *client, const char *path, struct bytes body, json_t **ret_reply,
                struct err *err) MUSTER_CHECK;
bool client_post(struct client *client, const char *path, const json_t *body, json_t **ret_reply,
                 struct err *err) MUSTER_CHECK;
/* A GET whose answer goes on: `more` is given its bytes as they come, and returns false to end it.
 * True: it was ended, by whomever, after a good beginning. `last_event_id`: "" for none. */
bool client_follow(struct client *client, const char *path, const char *last_event_id,
                   bool (*more)(void *ctx, struct bytes part), void *ctx,
                   struct err *err) MUSTER_CHECK;
bool client_delete(struct client *client, const char *path, json_t **ret_reply,
                   struct err *err) MUSTER_CHECK;

#endif
