/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include "agent/client_wire.h"
#include "base/clock.h"
#include "base/mask.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MAX_MS = 24 * 60 * 60 * 1000 };

const char command_common_help[] =
    "  -o, --output table|json  how to print (table)\n"
    "      --socket PATH        the agent's socket ($MUSTER_SOCKET, /run/muster/client.sock)\n"
    "      --deadline MS        how long to wait for the agent\n"
    "  -h, --help               this text\n";

void command_options_init(struct command_options *options, const char *name, int deadline_ms)
{
    const char *socket_path = getenv("MUSTER_SOCKET");
    *options = (struct command_options){
        .name = name,
        .socket_path =
            socket_path != NULL && socket_path[0] != '\0' ? socket_path : "/run/muster/client.sock",
        .deadline_ms = deadline_ms,
    };
}

void command_say(const struct command_options *options, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)mask_card_numbers(text, strlen(text));
    (void)fprintf(stderr, "muster %s: %s\n", options->name, command_plain(text));
}

int command_usage_error(const struct command_options *options)
{
    (void)fprintf(stderr, "Try 'muster %s --help'.\n", options->name);
    return EXIT_USAGE;
}

int command_fail(const struct command_options *options, const struct err *err)
{
    if (err->code == ERR_UNAVAILABLE)
        command_say(options, "%s; see that muster-agent runs, or name its socket with --socket",
                    err->text);
    else
        command_say(options, "%s", err->text);
    return exit_code_of(err);
}

static bool take_deadline(struct command_options *options, const char *value)
{
    char *end = NULL;
    long ms = strtol(value, &end, 10);
    if (*value == '\0' || *end != '\0' || ms < 1 || ms > DEADLINE_MAX_MS) {
        command_say(options, "--deadline %s: expected milliseconds from 1 to %d", value,
                    DEADLINE_MAX_MS);
        return false;
    }
    options->deadline_ms = (int)ms;
    return true;
}

bool command_take_option(struct command_options *options, int option, const char *value)
{
    switch (option) {
    case 's':
        options->socket_path = value;
        return true;
    case 'd':
        return take_deadline(options, value);
    case 'o':
        options->json = strcmp(value, "json") == 0;
        if (options->json || strcmp(value, "table") == 0)
            return true;
        command_say(options, "--output %s: expected table or json", value);
        return false;
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

/* Behind the options, in any order with them: as many words as `max`. */
static bool parse(struct command_options *options, int argc, char **argv, const char *help, int max,
                  int *ret_exit)
{
    static const struct option longs[] = {COMMAND_LONG_OPTIONS, {0}};
    int option = 0;
    while ((option = getopt_long(argc, argv, COMMAND_SHORT_OPTIONS, longs, NULL)) != -1) {
        if (option == 'h') {
            (void)printf("%s%s", help, command_common_help);
            *ret_exit = EXIT_OK;
            return false;
        }
        if (!command_take_option(options, option, optarg)) {
            *ret_exit = command_usage_error(options);
            return false;
        }
    }
    if (optind + max < argc) {
        command_say(options, "unexpected argument %s", argv[optind + max]);
        *ret_exit = command_usage_error(options);
        return false;
    }
    return true;
}

bool command_parse_common(struct command_options *options, int argc, char **argv, const char *help,
                          int *ret_exit)
{
    return parse(options, argc, argv, help, 0, ret_exit);
}

bool command_parse_one(struct command_options *options, int argc, char **argv, const char *help,
                       const char *what, const char **ret_word, int *ret_exit)
{
    if (!parse(options, argc, argv, help, 1, ret_exit))
        return false;
    if (optind == argc) {
        command_say(options, "%s is missing", what);
        *ret_exit = command_usage_error(options);
        return false;
    }
    *ret_word = argv[optind];
    return true;
}

static bool reply_is_ok(const Muster__ClientReply *reply, struct err *err)
{
    switch (reply->status) {
    case MUSTER__REPLY_STATUS__REPLY_OK:
    case MUSTER__REPLY_STATUS__REPLY_DUPLICATE:
        return true;
    case MUSTER__REPLY_STATUS__REPLY_INVALID:
        return err_set(err, ERR_INVALID, "the agent refused the question: %s", reply->why);
    case MUSTER__REPLY_STATUS__REPLY_FULL:
        return err_set(err, ERR_FULL, "the agent has no room: %s", reply->why);
    default:
        return err_set(err, ERR_IO, "the agent failed: %s", reply->why);
    }
}

static bool exchange(struct client_wire *wire, const Muster__ClientRequest *request,
                     int64_t until_ms, struct arena *arena, Muster__ClientReply **ret_reply,
                     struct err *err)
{
    struct buf packed = {.limit = LIMIT_CLIENT_FRAME_BYTES};
    struct bytes frame = {0};
    bool ok = pack(&request->base, &packed, err) &&
              client_wire_queue(wire, buf_bytes(&packed), err) &&
              client_wire_receive(wire, until_ms, &frame, err);
    buf_done(&packed);
    if (!ok)
        return false;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_CLIENT_FRAME_BYTES};
    ProtobufCMessage *message = NULL;
    struct err why = {0};
    if (!unpack(&muster__client_reply__descriptor, frame, &limits, arena, &message, &why))
        return err_set(err, ERR_IO, "the agent's answer: %.300s", why.text);
    *ret_reply = (Muster__ClientReply *)message;
    return reply_is_ok(*ret_reply, err);
}

bool command_talk_begin(struct command_talk *talk, const struct command_options *options,
                        struct err *err)
{
    *talk = (struct command_talk){.options = options};
    if (!client_wire_init(&talk->wire, options->socket_path, LIMIT_CLIENT_FRAME_BYTES, err))
        return false;
    if (client_wire_connect(&talk->wire, clock_boot_ms(&clock_real) + options->deadline_ms, err))
        return true;
    command_talk_end(talk);
    return false;
}

void command_talk_end(struct command_talk *talk)
{
    client_wire_done(&talk->wire);
}

bool command_talk_ask(struct command_talk *talk, Muster__ClientRequest *request,
                      struct arena *arena, Muster__ClientReply **ret_reply, struct err *err)
{
    request->id = ++talk->asked;
    return exchange(&talk->wire, request, clock_boot_ms(&clock_real) + talk->options->deadline_ms,
                    arena, ret_reply, err);
}

bool command_ask(const struct command_options *options, Muster__ClientRequest *request,
                 struct arena *arena, Muster__ClientReply **ret_reply, struct err *err)
{
    struct command_talk talk;
    Muster__ClientReply *reply = NULL;
    if (!command_talk_begin(&talk, options, err))
        return false;
    bool ok = command_talk_ask(&talk, request, arena, &reply, err);
    command_talk_end(&talk);
    if (ok)
        *ret_reply = reply;
    return ok;
}

int command_print_json(const struct command_options *options, json_t *root)
{
    bool ok = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(root);
    if (ok)
        return EXIT_OK;
    command_say(options, "cannot write the answer");
    return EXIT_SYSTEM;
}

void command_time(int64_t wall_ms, char out[32])
{
    if (wall_ms == 0)
        memcpy(out, "never", 6);
    else
        clock_format(wall_ms, out);
}

const char *command_plain(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return text;
}
