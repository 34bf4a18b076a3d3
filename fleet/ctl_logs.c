/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "proto/action.h"
#include "proto/limits.h"
#include "proto/seal.h"

#include <inttypes.h>
#include <string.h>
#include <zstd.h>

/* What a terminal sent is not believed: neither the frame nor its length. */
static bool unfold(struct bytes frame, uint64_t text_bytes, struct buf *text, struct err *err)
{
    unsigned long long length = ZSTD_getFrameContentSize(frame.data, frame.length);
    if (length == ZSTD_CONTENTSIZE_UNKNOWN || length == ZSTD_CONTENTSIZE_ERROR ||
        length != text_bytes || length == 0 || length > LIMIT_LOG_TEXT_BYTES)
        return err_set(err, ERR_INVALID,
                       "what the terminal sent is not a frame of the %" PRIu64
                       " bytes that it spoke of",
                       text_bytes);
    text->limit = LIMIT_LOG_TEXT_BYTES;
    uint8_t *room = buf_reserve(text, (size_t)length, err);
    if (room == NULL)
        return false;
    size_t done = ZSTD_decompress(room, (size_t)length, frame.data, frame.length);
    if (ZSTD_isError(done) || done != length)
        return err_set(err, ERR_INVALID, "what the terminal sent does not unfold: %s",
                       ZSTD_isError(done) ? ZSTD_getErrorName(done) : "too short");
    text->length = done;
    return true;
}

static bool check(const json_t *action, struct bytes frame, struct err *err)
{
    uint8_t told[32], digest[32];
    const char *hex = ctl_text(action, "log_sha256");
    sha256(frame, digest);
    if (!hex_decode(hex, strlen(hex), told, sizeof told) ||
        memcmp(told, digest, sizeof digest) != 0)
        return err_set(err, ERR_INVALID,
                       "the pieces together are not what the terminal said it sent (sha256 %.16s)",
                       hex);
    return true;
}

static bool fetch(struct ctl *ctl, const char *id, json_t **ret_action, struct buf *text,
                  struct err *err)
{
    char path[120];
    struct buf frame = {.limit = 2 * LIMIT_LOG_BUNDLE_BYTES};
    (void)snprintf(path, sizeof path, "/api/v1/actions/%s", id);
    if (!client_get(ctl->client, path, ret_action, err))
        return false;
    (void)snprintf(path, sizeof path, "/api/v1/actions/%s/log", id);
    bool ok = client_fetch(ctl->client, path, &frame, err) &&
              check(*ret_action, buf_bytes(&frame), err) &&
              unfold(buf_bytes(&frame), (uint64_t)ctl_number(*ret_action, "log_bytes"), text, err);
    buf_done(&frame);
    return ok;
}

static int write_log(struct ctl *ctl, const struct ctl_args *args, const json_t *action,
                     struct bytes text, struct err *err)
{
    char name[128];
    const char *out = ctl_arg(args, "--out", NULL);
    if (out == NULL) {
        (void)snprintf(name, sizeof name, "%s-%s.log", ctl_text(action, "device"),
                       ctl_text(action, "id"));
        out = name;
    }
    if (!file_write(out, text, 0600, err))
        return exit_code_of(err);
    if (!ctl->json) {
        fprintf(ctl->out, "%s: %zu bytes of logs of %s\n", out, text.length,
                ctl_text(action, "device"));
        return EXIT_OK;
    }
    json_t *told =
        json_pack("{s:s, s:s, s:s, s:I}", "id", ctl_text(action, "id"), "device",
                  ctl_text(action, "device"), "file", out, "bytes", (json_int_t)text.length);
    int code = ctl_print_json(ctl, told, err);
    json_decref(told);
    return code;
}

static int logs(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *action = NULL;
    struct buf text = {0};
    if (!action_id_valid(args->arguments[0])) {
        err_set(err, ERR_INVALID, "\"%.40s\" is not the id of an action: see musterctl get actions",
                args->arguments[0]);
        return EXIT_USAGE;
    }
    int code = fetch(ctl, args->arguments[0], &action, &text, err)
                   ? write_log(ctl, args, action, buf_bytes(&text), err)
                   : exit_code_of(err);
    buf_done(&text);
    json_decref(action);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--out", .value = "FILE", .help = "where to [DEVICE-ACTION.log]"},
    {0},
};

const struct ctl_command ctl_logs = {
    .words = "logs",
    .arguments = "ACTION",
    .summary = "Put the logs that an action brought together, check them, write them to a file.",
    .options = options,
    .argument_count = 1,
    .run = logs,
};
