/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/hostline.h"

#include "base/buf.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { FRAME_BYTES = 1024, PREFIX_BYTES = 10, LIMIT_S = 2 };

static bool connect_line(struct hostline *line, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (line->descriptor >= 0)
        return true;
    if (strlen(line->path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "%s: too long for a socket", line->path);
    strcpy(address.sun_path, line->path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = LIMIT_S};
    if (descriptor < 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        int reason = errno;
        if (descriptor >= 0)
            close(descriptor);
        return err_errno(err, reason, "no line to the acquirer at %s", line->path);
    }
    line->descriptor = descriptor;
    return true;
}

static bool send_all(int descriptor, struct bytes data, struct err *err)
{
    while (data.length > 0) {
        ssize_t sent = send(descriptor, data.data, data.length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return err_errno(err, errno, "the acquirer takes nothing");
        data = bytes_of(data.data + sent, data.length - (size_t)sent);
    }
    return true;
}

static bool receive_all(int descriptor, uint8_t *data, size_t length, struct err *err)
{
    while (length > 0) {
        ssize_t got = recv(descriptor, data, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "the acquirer says nothing");
        if (got == 0)
            return err_set(err, ERR_UNAVAILABLE, "the acquirer hung up");
        data += got;
        length -= (size_t)got;
    }
    return true;
}

static bool receive_frame(int descriptor, uint8_t frame[FRAME_BYTES], size_t *ret_length,
                          struct err *err)
{
    uint8_t prefix[PREFIX_BYTES];
    uint64_t length = 0;
    for (size_t have = 1; have <= sizeof prefix; have++) {
        if (!receive_all(descriptor, &prefix[have - 1], 1, err))
            return false;
        if (varint_get(bytes_of(prefix, have), &length) > 0)
            break;
    }
    if (length > FRAME_BYTES)
        return err_set(err, ERR_INVALID, "the acquirer's answer is too long");
    *ret_length = (size_t)length;
    return receive_all(descriptor, frame, (size_t)length, err);
}

bool hostline_ask(struct hostline *line, const World__HostRequest *request,
                  World__HostReply **ret_reply, struct err *err)
{
    uint8_t frame[PREFIX_BYTES + FRAME_BYTES];
    size_t length = world__host_request__get_packed_size(request);
    if (length > FRAME_BYTES)
        return err_set(err, ERR_INVALID, "the question to the acquirer is too long");
    size_t prefix = varint_put(length, frame);
    world__host_request__pack(request, frame + prefix);
    World__HostReply *reply = NULL;
    if (!connect_line(line, err))
        return false;
    if (send_all(line->descriptor, bytes_of(frame, prefix + length), err) &&
        receive_frame(line->descriptor, frame, &length, err)) {
        reply = world__host_reply__unpack(NULL, length, frame);
        if (!reply)
            err_set(err, ERR_INVALID, "the acquirer's answer makes no sense");
    }
    if (!reply) {
        hostline_close(line);
        return false;
    }
    *ret_reply = reply;
    return true;
}

void hostline_close(struct hostline *line)
{
    if (line->descriptor >= 0)
        close(line->descriptor);
    line->descriptor = -1;
}
