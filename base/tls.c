/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include "base/log.h"

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

/* TLS 1.2 with forward secrecy and an AEAD, or not at all (RFC 9325, 4.2); 1.3 has nothing else. */
static const char suites_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20";

struct tls {
    SSL_CTX *context;
    char host[256];
    bool numeric;
    int socket_error;
    bool established;
    char reason[440];
    struct tls_counts counts;
    uint64_t allowed_from; /* of counts.raw_down */
    size_t allowed_bytes;
    bool overrun;
    struct tls_judge judge;
    bool forgave;
    struct tls_kept *kept;
    bool offered, resumed, alerted;
    unsigned record[2]; /* length of the record being read, and being written */
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

/* Whether only a clock that may be wrong speaks against the certificate in hand. */
static bool forgivable(const struct tls *tls, X509_STORE_CTX *store)
{
    time_t from = (time_t)(tls->judge.expired_from_ms / 1000);

    switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return tls->judge.early;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return from > 0 &&
               X509_cmp_time(X509_get0_notAfter(X509_STORE_CTX_get_current_cert(store)), &from) > 0;
    default:
        return false;
    }
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!ok && forgivable(tls, store)) {
        if (!tls->forgave) {
            log_warn("TLS: by this clock, which may be wrong, \"%s\" is true of the certificate of "
                     "%s; it is taken until the fleet has said what time it is",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)), tls->host);
        }
        tls->forgave = true;
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
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
        tls->counts.raw_down - tls->allowed_from > tls->allowed_bytes) {
        tls->overrun = true;
        BIO_clear_retry_flags(bio); /* left over from an earlier read, they would mean "later" */
        errno = EMSGSIZE;
        return -1;
    }
    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0 && processed != NULL) {
        tls->counts.raw_down += *processed;
    } else if (operation == (BIO_CB_WRITE | BIO_CB_RETURN) && result > 0 && processed != NULL) {
        tls->counts.raw_up += *processed;
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
    tls->offered = tls->kept != NULL && tls_kept_offer(tls->kept, ssl);
}

/* What a record of `length` holds for the application. All suites we offer are AEADs with a tag of
 * 16 bytes; TLS 1.3 adds the inner type, AES-GCM in TLS 1.2 the explicit nonce. */
static unsigned plain_bytes(const SSL *ssl, unsigned length)
{
    unsigned extra = 16;

    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        extra += 1;
    } else if (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl)) != NID_chacha20_poly1305) {
        extra += 8;
    }
    return length > extra ? length - extra : 0;
}

/* Called for each record's header, and in TLS 1.3, where that hides it, for its true type. */
static void on_record(int writing, int version, int what, const void *data, size_t length, SSL *ssl,
                      void *arg)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    bool hidden = SSL_version(ssl) >= TLS1_3_VERSION;
    const uint8_t *bytes = data;
    uint64_t *count = writing ? &tls->counts.plain_up : &tls->counts.plain_down;

    (void)version, (void)arg;
    if (what == SSL3_RT_HEADER && length == SSL3_RT_HEADER_LENGTH) {
        tls->record[writing] = (unsigned)bytes[3] << 8 | bytes[4];
    }
    if (what == (hidden ? SSL3_RT_INNER_CONTENT_TYPE : SSL3_RT_HEADER) &&
        bytes[0] == SSL3_RT_APPLICATION_DATA) {
        *count += plain_bytes(ssl, tls->record[writing]);
    }
}

/* A ticket came. TLS 1.3 sends it after the handshake, and as many as it likes. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (tls->kept != NULL && !tls->forgave) { /* resumed, nobody would look at certificates */
        tls_kept_take(tls->kept, ssl, session);
    }
    return 0; /* the reference stays OpenSSL's */
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (where == SSL_CB_HANDSHAKE_START && !tls->established) {
        on_handshake_start(tls, (SSL *)(uintptr_t)ssl);
    } else if (where == SSL_CB_HANDSHAKE_DONE) {
        tls->established = true;
        tls->resumed = SSL_session_reused(ssl) == 1;
    } else if (where == SSL_CB_READ_ALERT && (value & 0xff) != SSL3_AD_CLOSE_NOTIFY) {
        tls->alerted = true;
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
    tls->kept = settings->kept;
    tls->judge = settings->judge;
    (void)snprintf(tls->host, sizeof tls->host, "%s", host);
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_msg_callback(context, on_record);
    (void)SSL_CTX_set_session_cache_mode(context,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, suites_1_2) != 1 || !load_files(context, settings, err) ||
        !set_expected(context, tls, settings->judge.at_ms, err)) {
        tls_close(tls);
        return false;
    }
    *ret_tls = tls;
    return true;
}

void tls_close(struct tls *tls)
{
    if (tls != NULL) {
        if (tls->offered && !tls->established && tls->counts.raw_down > 0) {
            tls_kept_disappoint(tls->kept, tls->alerted);
        }
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

void *tls_context(struct tls *tls)
{
    return tls->context;
}

const struct tls_counts *tls_counts(const struct tls *tls)
{
    return &tls->counts;
}

bool tls_resumed(const struct tls *tls)
{
    return tls->resumed;
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
    tls->allowed_from = tls->counts.raw_down;
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

void tls_deafen(void *ssl)
{
    if (ssl != NULL) {
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
    }
}

bool tls_has_pending(const void *ssl)
{
    return ssl != NULL && SSL_pending((const SSL *)ssl) > 0;
}
