/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/world.h"

#include "base/file.h"
#include "proto/desired.pb-c.h"
#include "tests/fuzz/published_key.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *fuzz_file(struct bytes content)
{
    static int file = -1;
    static char path[64];
    if (file < 0)
        file = memfd_create("fuzz", MFD_CLOEXEC);
    HOLDS(file >= 0 && ftruncate(file, 0) == 0 && fchmod(file, 0600) == 0);
    HOLDS(content.length == 0 ||
          pwrite(file, content.data, content.length, 0) == (ssize_t)content.length);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

static char dir[FUZZ_PATH_BYTES / 2];

static void remove_dir(void)
{
    (void)file_remove_tree(dir, NULL);
}

const char *fuzz_dir(void)
{
    if (dir[0]) {
        HOLDS(file_remove_tree(dir, NULL));
    } else {
        const char *temporary = getenv("TMPDIR");
        int length = snprintf(dir, sizeof dir, "%s/muster-fuzz-%ld", temporary ? temporary : "/tmp",
                              (long)getpid());
        HOLDS(length > 0 && (size_t)length < sizeof dir && atexit(remove_dir) == 0);
    }
    HOLDS(mkdir(dir, 0700) == 0);
    return dir;
}

void fuzz_path(const char *name, char *out)
{
    HOLDS(path_join(out, FUZZ_PATH_BYTES, dir, name, NULL));
}

/* ---- keys ---- */

const struct sign_key *fuzz_key(void)
{
    static struct sign_key *key;
    uint8_t der[48];
    char pem[256], text[96];
    struct err err = {0};
    if (key)
        return key;
    HOLDS(hex_decode(PKCS8_PREFIX PUBLISHED_SECRET, 96, der, sizeof der));
    HOLDS(EVP_EncodeBlock((unsigned char *)text, der, sizeof der) == 64);
    int length = snprintf(pem, sizeof pem, "-----BEGIN %s-----\n%s\n-----END %s-----\n",
                          "PRIVATE KEY", text, "PRIVATE KEY");
    if (!sign_key_read(fuzz_file(bytes_of(pem, (size_t)length)), &key, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return key;
}

struct buf fuzz_seal(const char *domain, const char *context, struct bytes body)
{
    struct buf out = {0};
    const struct sign_key *key = fuzz_key();
    HOLDS(seal(domain, context, body, &key, 1, true, &out, NULL));
    return out;
}

const struct trust *fuzz_trust(void)
{
    static struct trust *trust;
    enum { ROLES = MUSTER__ROLE__ROLE_RECEIPT };
    Muster__PublicKey key = MUSTER__PUBLIC_KEY__INIT, *keys[] = {&key};
    Muster__RoleKeys roles[ROLES], *list[ROLES];
    Muster__Root root = MUSTER__ROOT__INIT;
    struct bytes spki = sign_key_spki(fuzz_key());
    struct buf body = {0};
    if (trust)
        return trust;
    key.algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
    key.spki = (ProtobufCBinaryData){spki.length, (uint8_t *)(uintptr_t)spki.data};
    for (int i = 0; i < ROLES; i++) {
        muster__role_keys__init(&roles[i]);
        roles[i].role = (Muster__Role)(i + 1);
        roles[i].threshold = 1;
        roles[i].keys = keys;
        roles[i].n_keys = 1;
        list[i] = &roles[i];
    }
    root.version = 1;
    root.epoch = 1;
    root.roles = list;
    root.n_roles = ROLES;
    HOLDS(pack(&root.base, &body, NULL));
    struct buf envelope = fuzz_seal("root", "", buf_bytes(&body));
    HOLDS(trust_open(buf_bytes(&envelope), &trust, NULL));
    buf_done(&envelope);
    buf_done(&body);
    return trust;
}

/* ---- taking an input apart ---- */

struct bytes fuzz_take(struct bytes *in, size_t count)
{
    struct bytes taken = bytes_of(in->data, count < in->length ? count : in->length);
    in->data += taken.length;
    in->length -= taken.length;
    return taken;
}

static int socket_at(const char *path, struct sockaddr_un *ret_address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    HOLDS(fd >= 0 && strlen(path) < sizeof ret_address->sun_path);
    memcpy(ret_address->sun_path, path, strlen(path) + 1);
    return fd;
}

int fuzz_listen(const char *path)
{
    struct sockaddr_un address;
    int fd = socket_at(path, &address);
    HOLDS(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    return fd;
}

int fuzz_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = socket_at(path, &address);
    HOLDS(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

uint8_t fuzz_byte(struct bytes *in)
{
    return (uint8_t)fuzz_number(in, 1);
}

uint64_t fuzz_number(struct bytes *in, size_t count)
{
    struct bytes taken = fuzz_take(in, count);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.length; i++)
        value |= (uint64_t)taken.data[i] << (8 * i);
    return value;
}
