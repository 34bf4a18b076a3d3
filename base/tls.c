/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct tls {
    SSL_CTX *context;
    char host[256];
    bool numeric;
    int socket_error;
    bool established;
    char reason[440];
    size_t allowed_bytes, read_bytes;
    bool overrun;
};

static bool openssl_error(struct err *err, const char *what, const char *path)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s %s: %s", what, path, reason ? reason : "unusable");
}

/* Without this OpenSSL would ask for a password on the terminal. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)writing, (void)ctx;
    if (size > 0) {
        buf[0] = '\0';
    }
    return 0;
}

static void set_reason(struct tls *tls, const char *what, const char *detail)
{
    if (tls->reason[0] == '\0') {
        (void)snprintf(tls->reason, sizeof tls->reason, "%s%s", what, detail);
    }
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!ok) {
        char text[400];
        (void)snprintf(text, sizeof text, "%s (expected %s)",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)), tls->host);
        set_reason(tls, "certificate refused: ", text);
    }
    return ok;
}

/* Stands between the socket and OpenSSL: a peer that sends more than was allowed is cut off before
 * the bytes are read, whatever the library above would have made of them. */
static long on_bio(BIO *bio, int operation, const char *data, size_t length, int arg_int,
                   long arg_long, int result,
                   size_t *processed) // NOLINT(readability-non-const-parameter): OpenSSL's type
{
    struct tls *tls = (struct tls *)BIO_get_callback_arg(bio);

    (void)data, (void)length, (void)arg_int, (void)arg_long;
    if (operation == BIO_CB_READ && tls->allowed_bytes > 0 &&
        tls->read_bytes > tls->allowed_bytes) {
        tls->overrun = true;
        BIO_clear_retry_flags(bio); /* left over from an earlier read, they would mean "later" */
        errno = EMSGSIZE;
        return -1;
    }
    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0 && processed != NULL) {
        tls->read_bytes += *processed;
    }
    return result;
}

static void on_handshake_start(struct tls *tls, SSL *ssl)
{
    socklen_t length = sizeof tls->socket_error;

    /* The first write would swallow the reason why TCP failed. */
    if (getsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_ERROR, &tls->socket_error, &length) != 0) {
        tls->socket_error = errno;
    }
    BIO_set_callback_arg(SSL_get_rbio(ssl), (char *)tls);
    BIO_set_callback_ex(SSL_get_rbio(ssl), on_bio);
    /* libmosquitto connects to an address; SNI wants the name, and no address (RFC 6066, 3). */
    (void)SSL_set_tlsext_host_name(ssl, tls->numeric ? NULL : tls->host);
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (where == SSL_CB_HANDSHAKE_START && !tls->established) {
        on_handshake_start(tls, (SSL *)(uintptr_t)ssl);
    } else if (where == SSL_CB_HANDSHAKE_DONE) {
        tls->established = true;
    } else if (where == SSL_CB_READ_ALERT && (value & 0xff) != SSL3_AD_CLOSE_NOTIFY) {
        set_reason(tls, "peer sent TLS alert: ", SSL_alert_desc_string_long(value));
    }
}

static bool file_usable(const char *what, const char *path, bool secret, struct err *err)
{
    struct stat info;

    if (stat(path, &info) != 0 || access(path, R_OK) != 0) {
        return err_errno(err, errno, "%s %s", what, path);
    }
    if (secret && (info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        return err_set(err, ERR_REFUSED, "%s %s: every user can read or write it", what, path);
    }
    return true;
}

static bool load_files(SSL_CTX *context, const struct tls_settings *settings, struct err *err)
{
    if (!file_usable("CA file", settings->ca_path, false, err) ||
        !file_usable("certificate", settings->certificate_path, false, err) ||
        !file_usable("private key", settings->key_path, true, err)) {
        return false;
    }
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context, settings->ca_path) != 1) {
        return openssl_error(err, "CA file", settings->ca_path);
    }
    if (SSL_CTX_use_certificate_chain_file(context, settings->certificate_path) != 1) {
        return openssl_error(err, "certificate", settings->certificate_path);
    }
    if (SSL_CTX_use_PrivateKey_file(context, settings->key_path, SSL_FILETYPE_PEM) != 1) {
        return openssl_error(err, "private key", settings->key_path);
    }
    return true;
}

static bool set_expected(SSL_CTX *context, const struct tls *tls, int64_t verify_at_ms,
                         struct err *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    int ok = tls->numeric ? X509_VERIFY_PARAM_set1_ip_asc(param, tls->host)
                          : X509_VERIFY_PARAM_set1_host(param, tls->host, 0);
    if (ok != 1) {
        return err_set(err, ERR_INVALID, "host \"%s\" cannot be checked", tls->host);
    }
    if (verify_at_ms > 0) {
        X509_VERIFY_PARAM_set_time(param, (time_t)(verify_at_ms / 1000));
    }
    return true;
}

bool tls_open(const struct tls_settings *settings, const char *host, bool numeric,
              struct tls **ret_tls, struct err *err)
{
    struct tls *tls = calloc(1, sizeof *tls);
    SSL_CTX *context = tls == NULL ? NULL : SSL_CTX_new(TLS_client_method());

    if (context == NULL) {
        free(tls);
        return err_set(err, ERR_NO_MEMORY, "no memory for TLS");
    }
    tls->context = context;
    tls->numeric = numeric;
    (void)snprintf(tls->host, sizeof tls->host, "%s", host);
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(context, on_info);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        !load_files(context, settings, err) ||
        !set_expected(context, tls, settings->verify_at_ms, err)) {
        tls_close(tls);
        return false;
    }
    *ret_tls = tls;
    return true;
}

void tls_close(struct tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

void *tls_context(struct tls *tls)
{
    return tls->context;
}

int tls_socket_error(const struct tls *tls)
{
    return tls->socket_error;
}

const char *tls_reason(const struct tls *tls)
{
    return tls->reason[0] != '\0' ? tls->reason : NULL;
}

void tls_allow(struct tls *tls, size_t bytes)
{
    tls->allowed_bytes = bytes;
    tls->read_bytes = 0;
}

bool tls_overrun(const struct tls *tls)
{
    return tls->overrun;
}

bool tls_established(const struct tls *tls)
{
    return tls->established;
}

bool tls_wants_write(const void *ssl)
{
    return ssl != NULL && SSL_want_write((const SSL *)ssl);
}

bool tls_has_pending(const void *ssl)
{
    return ssl != NULL && SSL_pending((const SSL *)ssl) > 0;
}
