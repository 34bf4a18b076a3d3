/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_key.h"

#include "base/file.h"
#include "proto/seal.h"
#include "proto/sealed.h"

#include <openssl/pem.h>

bool agent_key_make(const char *path, FILE *out, struct err *err)
{
    struct sign_key *key = NULL;
    bool ok = file_exists(path) ? sign_key_read(path, &key, err) : sign_key_make(path, &key, err);
    if (!ok)
        return false;
    struct bytes spki = sign_key_spki(key);
    ok =
        PEM_write(out, PEM_STRING_PUBLIC, "", spki.data, (long)spki.length) > 0 && fflush(out) == 0;
    sign_key_free(key);
    return ok || err_set(err, ERR_IO, "the public key could not be written");
}

bool agent_sealing_key_make(const char *path, const char *device, FILE *out, struct err *err)
{
    struct sealing_key *key = NULL;
    struct buf pem = {0};
    bool ok =
        file_exists(path) ? sealing_key_read(path, &key, err) : sealing_key_make(path, &key, err);
    ok = ok && sealing_key_request(key, device, &pem, err);
    if (ok && (fwrite(pem.data, 1, pem.length, out) != pem.length || fflush(out) != 0))
        ok = err_set(err, ERR_IO, "the certification request could not be written");
    buf_done(&pem);
    sealing_key_free(key);
    return ok;
}
