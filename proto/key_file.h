/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_KEY_FILE_H
#define PROTO_KEY_FILE_H

#include "base/err.h"

#include <openssl/types.h>

/* Private keys as files: PEM (PKCS #8), mode 0600. For the modules of proto that hold keys. */

/* ERR_REFUSED: others may read the file, so it is nobody's secret. */
bool key_file_read(const char *path, EVP_PKEY **ret_key, struct err *err) MUSTER_CHECK;
/* PEM "PUBLIC KEY", or a private key's file for its public half. */
bool key_file_read_public(const char *path, EVP_PKEY **ret_key, struct err *err) MUSTER_CHECK;
/* ERR_CONFLICT: there is a file already; it is never overwritten. */
bool key_file_write(const char *path, const EVP_PKEY *key, struct err *err) MUSTER_CHECK;

/* Says what of OpenSSL's went wrong, and empties its list of errors; false. */
bool openssl_refused(struct err *err, enum err_code code, const char *what);

#endif
