/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include "base/tls_kept.h"
#include "base/tls_time.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The client side of one mutual TLS connection: an SSL_CTX of our own (TLS 1.2 or newer, host name
 * or address checked against the subjectAltNames) that also watches the connection made with it:
 * why it failed, and how much the peer sends. One object for one connection.
 */
struct tls;

struct tls_settings {
    const char *ca_path, *certificate_path, *key_path; /* PEM */
    struct tls_judge judge; /* of certificates; 0: strictly, at the clock's time */
    struct tls_kept *kept;  /* resumed from, and renewed; outlives the connection; NULL: neither */
};

/* `host` is what the peer's certificate must carry. ERR_INVALID or ERR_NOT_FOUND names the file. */
bool tls_open(const struct tls_settings *settings, const char *host, bool numeric,
              struct tls **ret_tls, struct err *err) MUSTER_CHECK;
void tls_close(struct tls *tls);
void *tls_context(struct tls *tls); /* SSL_CTX *, owned here */

struct tls_counts {                /* bytes of this connection so far */
    uint64_t plain_up, plain_down; /* of the application */
    uint64_t raw_up, raw_down;     /* of records, handshake included */
};
const struct tls_counts *tls_counts(const struct tls *tls);
/* An earlier session went on: no certificates were sent. */
bool tls_resumed(const struct tls *tls);

/* The errno of the TCP connection when TLS began to use it, 0 if it was sound. */
int tls_socket_error(const struct tls *tls);
/* The first thing that went wrong, for people; NULL if nothing did. */
const char *tls_reason(const struct tls *tls);

/* The next read beyond this many raw bytes from now fails; tls_overrun says so. 0: no limit. */
void tls_allow(struct tls *tls, size_t bytes);
bool tls_overrun(const struct tls *tls);

/* The handshake was once complete; true also after the connection has gone. */
bool tls_established(const struct tls *tls);
/* Of the connection's `ssl` (SSL *), which may be NULL. */
bool tls_wants_write(const void *ssl); /* the handshake waits for room to write */
void tls_deafen(void *ssl);            /* reads nothing more, not even what is decrypted */
bool tls_has_pending(const void *ssl); /* bytes that poll(2) does not see */

#endif
