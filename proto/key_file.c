/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_file.h"

#include "base/buf.h"
#include "base/file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEY_FILE_BYTES = 16 * 1024 };

bool openssl_refused(struct err *err, enum err_code code, const char *what)
{
    char text[160] = "no reason given";
    unsigned long reason = ERR_get_error();
    if (reason != 0)
        ERR_error_string_n(reason, text, sizeof text);
    ERR_clear_error();
    return err_set(err, code, "%s: %s", what, text);
}

/* Key files have no passphrase; without this OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    if (size > 0)
        out[0] = '\0';
    (void)writing;
    (void)ctx;
    return -1;
}

static bool is_private(const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return err_errno(err, errno, "%s", path);
    if ((status.st_mode & 077) != 0)
        return err_set(err, ERR_REFUSED,
                       "%s: a private key that others may use (mode %03o): make a new one, mode "
                       "0600",
                       path, (unsigned)(status.st_mode & 0777));
    return true;
}

/* The first private key of a PEM text, else the first public one unless `private_only`. */
static EVP_PKEY *read_pem(struct bytes pem, bool private_only)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    if (bio == NULL)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL && !private_only && BIO_reset(bio) == 1)
        key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return key;
}

static bool read_file(const char *path, bool private_only, EVP_PKEY **ret_key, struct err *err)
{
    struct buf pem = {0};
    if (!file_read(path, KEY_FILE_BYTES, &pem, err))
        return false;
    EVP_PKEY *key = read_pem(buf_bytes(&pem), private_only);
    if (pem.data != NULL)
        OPENSSL_cleanse(pem.data, pem.length);
    buf_done(&pem);
    if (key == NULL) {
        openssl_refused(err, ERR_INVALID, private_only ? "no private key" : "no key");
        return err_context(err, "%s", path);
    }
    ERR_clear_error();
    *ret_key = key;
    return true;
}

bool key_file_read(const char *path, EVP_PKEY **ret_key, struct err *err)
{
    return is_private(path, err) && read_file(path, true, ret_key, err);
}

bool key_file_read_public(const char *path, EVP_PKEY **ret_key, struct err *err)
{
    return read_file(path, false, ret_key, err);
}

/* Beside `path` first, so that it is whole or not there. */
static bool put(const char *path, struct bytes pem, struct err *err)
{
    char fresh[4096];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err_set(err, ERR_INVALID, "the path is too long");
    if (!file_write(fresh, pem, 0600, err))
        return false;
    bool linked = file_link(fresh, path, err);
    if (!linked && file_exists(path))
        err_set(err, ERR_CONFLICT, "there is a key already");
    return file_remove(fresh, linked ? err : NULL) && linked;
}

bool key_file_write(const char *path, const EVP_PKEY *key, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    bool ok = false;
    if (file_exists(path)) {
        err_set(err, ERR_CONFLICT, "there is a key already");
    } else if (bio == NULL ||
               PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        openssl_refused(err, ERR_NO_MEMORY, "the key cannot be written");
    } else {
        long length = BIO_get_mem_data(bio, &pem);
        ok = put(path, bytes_of(pem, (size_t)length), err);
    }
    BIO_free(bio);
    return ok || err_context(err, "%s", path);
}
