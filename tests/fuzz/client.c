/* SPDX-License-Identifier: Apache-2.0 */
/* What something that is not the agent says to libmuster on the agent's socket. A call must come
 * back with an answer that is whole, and say "stored" only where it was told so. */
#include "agent/client.h"
#include "base/utf8.h"
#include "tests/fuzz/world.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int listening;
    struct bytes says;
};

/* Says it, and no more; then hears the caller out, so that the caller never meets a reset. */
static void *run(void *ctx)
{
    struct peer *peer = ctx;
    int fd = accept4(peer->listening, NULL, NULL, SOCK_CLOEXEC);
    char heard[1024];
    if (fd < 0)
        return NULL;
    (void)send(fd, peer->says.data, peer->says.length, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, heard, sizeof heard, 0) > 0)
        continue;
    (void)close(fd);
    return NULL;
}

static void check(bool stored, const struct muster_answer *answer)
{
    HOLDS(stored == (answer->status == MUSTER_STORED || answer->status == MUSTER_DUPLICATE));
    HOLDS(memchr(answer->text, 0, sizeof answer->text));
    HOLDS(answer->key_length == 3 && memcmp(answer->key, "key", 3) == 0);
    HOLDS(!stored || answer->seq > 0);
    /* One line, which people read. */
    HOLDS(stored || utf8_valid(bytes_of(answer->text, strlen(answer->text))));
    for (const char *c = answer->text; *c; c++)
        HOLDS((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_text(const char *text, size_t size)
{
    HOLDS(memchr(text, 0, size) && utf8_valid(bytes_of(text, strlen(text))));
    for (const char *c = text; *c; c++)
        HOLDS((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_lease(bool said, const struct muster_lease *lease)
{
    HOLDS(said == (lease->status == MUSTER_STORED));
    HOLDS(said || lease->generation == 0);
    check_text(lease->path, sizeof lease->path);
    check_text(lease->waiting, sizeof lease->waiting);
    check_text(lease->text, sizeof lease->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int listening = -1;
    static char path[FUZZ_PATH_BYTES];
    struct muster_answer answer;
    struct muster_lease lease;
    pthread_t thread;
    if (listening < 0) {
        (void)fuzz_dir();
        fuzz_path("client.sock", path);
        listening = fuzz_listen(path);
    }
    struct peer peer = {.listening = listening, .says = bytes_of(data, size)};
    struct muster_client_settings settings = {.socket_path = path, .deadline_ms = 5000};
    struct muster_client *client = muster_client_open(&settings);
    struct muster_txn txn = {
        .outcome = MUSTER_OUTCOME_DECLINED, .code = "57", .idempotency_key = {"key", 3}};
    HOLDS(client && pthread_create(&thread, NULL, run, &peer) == 0);
    check(muster_record(client, &txn, &answer), &answer);
    muster_client_close(client);
    HOLDS(pthread_join(thread, NULL) == 0);
    client = muster_client_open(&settings);
    HOLDS(client && pthread_create(&thread, NULL, run, &peer) == 0);
    check_lease(muster_lease_begin(client, 1, 0, &lease), &lease);
    muster_client_close(client);
    HOLDS(pthread_join(thread, NULL) == 0);
    return 0;
}
