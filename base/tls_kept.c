/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_kept.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static bool own_digest(SSL *ssl, uint8_t out[32])
{
    const X509 *own = SSL_get_certificate(ssl);
    unsigned length = 32;

    return own != NULL && X509_digest(own, EVP_sha256(), out, &length) == 1 && length == 32;
}

/* As the handshake did: with the same store, name, time and purpose. */
static bool still_trusted(const struct tls_kept *kept, SSL *ssl)
{
    SSL_CTX *context = SSL_get_SSL_CTX(ssl);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool ok = check != NULL && sk_X509_num(kept->chain) > 0 &&
              X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context),
                                  sk_X509_value(kept->chain, 0), kept->chain) == 1 &&
              X509_STORE_CTX_set_default(check, "ssl_server") == 1 &&
              X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(check),
                                     SSL_CTX_get0_param(context)) == 1 &&
              X509_verify_cert(check) == 1;

    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return ok;
}

bool tls_kept_offer(struct tls_kept *kept, SSL *ssl)
{
    uint8_t own[32];

    if (kept->session == NULL) {
        return false;
    }
    if (!own_digest(ssl, own) || memcmp(own, kept->own, sizeof own) != 0 ||
        !still_trusted(kept, ssl)) {
        tls_kept_forget(kept);
        return false;
    }
    SSL_SESSION *copy = SSL_SESSION_dup(kept->session);
    bool ok = copy != NULL && SSL_set_session(ssl, copy) == 1;
    SSL_SESSION_free(copy);
    return ok;
}

void tls_kept_take(struct tls_kept *kept, SSL *ssl, const SSL_SESSION *session)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

    if (kept->refused || SSL_get_verify_result(ssl) != X509_V_OK ||
        SSL_SESSION_is_resumable(session) != 1) {
        return;
    }
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy == NULL) {
        return;
    }
    SSL_SESSION_free(kept->session);
    kept->session = copy;
    if (!SSL_session_reused(ssl)) { /* else the chain is the one that is kept */
        sk_X509_pop_free(kept->chain, X509_free);
        kept->chain = X509_chain_up_ref(chain);
    }
    if (kept->chain == NULL || !own_digest(ssl, kept->own)) {
        tls_kept_forget(kept);
    }
}

void tls_kept_disappoint(struct tls_kept *kept, bool alerted)
{
    kept->refused = kept->refused || alerted;
    tls_kept_forget(kept);
}

void tls_kept_forget(struct tls_kept *kept)
{
    SSL_SESSION_free(kept->session);
    sk_X509_pop_free(kept->chain, X509_free);
    kept->session = NULL;
    kept->chain = NULL;
}
