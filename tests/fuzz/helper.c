/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches muster-helper over its socket, in a frame as long as it is: only a verb of its list
 * runs anything, everything else is refused or ends the connection, and nothing ends the helper. */
#include "agent/helper.h"
#include "base/log.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct world {
    uv_loop_t loop;
    struct helper_settings settings;
    struct helper *helper;
};

static struct world *world_open(void)
{
    static struct world world;
    struct err err = {0};
    char dir[] = "/tmp/muster-fuzz-XXXXXX";
    if (world.helper != NULL)
        return &world;
    log_init("fuzz", LOG_ERROR);
    HOLDS(mkdtemp(dir) != NULL && uv_loop_init(&world.loop) == 0);
    world.settings = (struct helper_settings){.reboot = "/bin/true now", .limit_ms = 10000};
    (void)snprintf(world.settings.socket, sizeof world.settings.socket, "%s/s", dir);
    HOLDS(helper_open(&world.loop, &world.settings, &world.helper, &err));
    return &world;
}

static int ask(const struct world *world, struct bytes frame)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    uint8_t length[10];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", world->settings.socket);
    HOLDS(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    size_t bytes = varint_put(frame.length, length);
    HOLDS(send(fd, length, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
    if (frame.length > 0)
        HOLDS(send(fd, frame.data, frame.length, MSG_NOSIGNAL) == (ssize_t)frame.length);
    return fd;
}

/* What comes back; 0: the connection was closed. */
static size_t wait_answer(struct world *world, int fd, uint8_t *out, size_t size)
{
    for (;;) {
        ssize_t n = recv(fd, out, size, MSG_DONTWAIT);
        if (n >= 0)
            return (size_t)n;
        if (errno == ECONNRESET)
            return 0;
        HOLDS(errno == EAGAIN || errno == EINTR);
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void judge(const Muster__HelperRequest *request, struct bytes answer)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELPER_FRAME_BYTES};
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    uint64_t length = 0;
    int head = varint_get(answer, &length);
    HOLDS(head > 0 && length == answer.length - (size_t)head);
    HOLDS(unpack(&muster__helper_reply__descriptor,
                 bytes_of(answer.data + head, answer.length - (size_t)head), &limits, &arena,
                 &message, NULL));
    const Muster__HelperReply *reply = (const Muster__HelperReply *)message;
    bool listed = strcmp(request->verb, "reboot") == 0;
    HOLDS(reply->id == request->id);
    HOLDS(reply->outcome ==
          (listed ? MUSTER__HELPER_OUTCOME__HELPER_DONE : MUSTER__HELPER_OUTCOME__HELPER_REFUSED));
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELPER_FRAME_BYTES,
                                                .max_elements = 8};
    struct world *world = world_open();
    struct arena arena = {.limit_bytes = 4 * (size_t)LIMIT_HELPER_FRAME_BYTES};
    ProtobufCMessage *message = NULL;
    uint8_t answer[LIMIT_HELPER_FRAME_BYTES];
    if (size > LIMIT_HELPER_FRAME_BYTES)
        return 0;
    bool good = unpack(&muster__helper_request__descriptor, bytes_of(data, size), &limits, &arena,
                       &message, NULL);
    int fd = ask(world, bytes_of(data, size));
    size_t length = wait_answer(world, fd, answer, sizeof answer);
    HOLDS(good == (length > 0));
    if (good)
        judge((const Muster__HelperRequest *)message, bytes_of(answer, length));
    (void)close(fd);
    for (int i = 0; i < 3; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    arena_done(&arena);
    return 0;
}
