/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TLS_KEPT_H
#define BASE_TLS_KEPT_H

#include "base/err.h"

#include <stdint.h>

struct ssl_st;
struct ssl_session_st;
struct stack_st_X509;

/*
 * The newest TLS session with one broker, to resume it: half of the bytes, and no signature. In
 * memory only: written down it would be a second private key that no certificate's end revokes, to
 * save some 2 KB at each start of the program.
 *
 * A resumed handshake shows no certificate. So the broker's, which was checked when the session
 * began, is checked once more before each offer: against the CA file, the time and the name that
 * hold now; and the session goes with the certificate of ours that it was made with.
 */
struct tls_kept { /* zeroed: empty */
    struct ssl_session_st *session;
    struct stack_st_X509 *chain; /* that the broker showed, its own certificate first */
    uint8_t own[32];             /* SHA-256 of our certificate */
    bool refused;                /* this broker ends handshakes that offer one: never again */
};

/* Offers the session if one is kept and still good; before the handshake. */
bool tls_kept_offer(struct tls_kept *kept, struct ssl_st *ssl);
/* Keeps a copy of `session` instead of the one before: OpenSSL marks the original as not to be
 * resumed when a connection breaks off. */
void tls_kept_take(struct tls_kept *kept, struct ssl_st *ssl, const struct ssl_session_st *session);
/* The handshake that offered it failed. */
void tls_kept_disappoint(struct tls_kept *kept, bool alerted);
void tls_kept_forget(struct tls_kept *kept);

#endif
