/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include "agent/decode.h"
#include "base/file.h"
#include "proto/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INPUT_BYTES = 64 * 1024 * 1024,
    READ_STEP_BYTES = 64 * 1024,
    OPTION_AS = 'a',
    OPTION_FRAMES = 'f',
    OPTION_ROOT = 'r',
    OPTION_KEY = 'k',
    OPTION_DEVICE = 'D',
};

static const char help[] =
    "Usage: muster decode [OPTION]... FILE\n"
    "Prints any message of this system from FILE ('-': standard input): what a terminal and the\n"
    "fleet send each other, what is said on the local sockets, blobs, bundles, the spool's chain "
    "of\n"
    "incarnations. What it is is found out in this order, and only one may fit: by its first "
    "bytes,\n"
    "as a sealed message, as a bare one, as frames of a socket.\n\n"
    "      --as KIND            do not find out: it is this\n"
    "      --frames             length-delimited messages, as on a local socket\n"
    "      --root FILE          check what the fleet signed with this trust root's keys\n"
    "      --key FILE           check the signature with this key (PEM)\n"
    "      --device ID          whose it is, where the message does not say (hello, batch)\n"
    "  -o, --output table|json  how to print (table)\n"
    "      --json               the same as -o json\n"
    "  -h, --help               this text\n\n";

struct arguments {
    struct command_options common;
    struct decode_options decode;
    const char *path, *root_path, *key_path;
};

static int print_help(void)
{
    char names[512];
    decode_names(names, sizeof names);
    (void)printf(
        "%sKinds: %s.\n\n"
        "Exit codes: 0 printed, 1 printed and a signature is not good, 2 wrong usage, 3 no "
        "message\nof this system (what was tried is said), 6 it cannot be read.\n",
        help, names);
    return EXIT_OK;
}

static bool take_option(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case OPTION_AS:
        arguments->decode.as = value;
        if (decode_name_known(value))
            return true;
        command_say(&arguments->common, "--as %s: no such kind; --help lists them", value);
        return false;
    case OPTION_FRAMES:
        arguments->decode.frames = true;
        return true;
    case OPTION_ROOT:
        arguments->root_path = value;
        return true;
    case OPTION_KEY:
        arguments->key_path = value;
        return true;
    case OPTION_DEVICE:
        arguments->decode.device = value;
        return true;
    case 'j':
        return command_take_option(&arguments->common, 'o', "json");
    default:
        return command_take_option(&arguments->common, option, value);
    }
}

/* False: end with *ret_exit. */
static bool parse(struct arguments *arguments, int argc, char **argv, int *ret_exit)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"as", required_argument, NULL, OPTION_AS},
                                          {"frames", no_argument, NULL, OPTION_FRAMES},
                                          {"root", required_argument, NULL, OPTION_ROOT},
                                          {"key", required_argument, NULL, OPTION_KEY},
                                          {"device", required_argument, NULL, OPTION_DEVICE},
                                          {0}};
    int option = 0;
    bool ok = true;
    while (ok && (option = getopt_long(argc, argv, "ho:", longs, NULL)) != -1) {
        if (option == 'h') {
            *ret_exit = print_help();
            return false;
        }
        ok = take_option(arguments, option, optarg);
    }
    if (ok && optind + 1 != argc) {
        command_say(&arguments->common, optind == argc ? "FILE is missing" : "more than one FILE");
        ok = false;
    }
    if (!ok) {
        *ret_exit = command_usage_error(&arguments->common);
        return false;
    }
    arguments->path = argv[optind];
    return true;
}

static bool read_input(const char *path, struct buf *content, struct err *err)
{
    if (strcmp(path, "-") != 0)
        return file_read(path, INPUT_BYTES, content, err);
    for (;;) {
        uint8_t *to = buf_reserve(content, READ_STEP_BYTES, err);
        ssize_t n = to == NULL ? -1 : read(STDIN_FILENO, to, READ_STEP_BYTES);
        if (to == NULL)
            return err_context(err, "standard input");
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "standard input");
        if (n == 0)
            return true;
        content->length += n > 0 ? (size_t)n : 0;
    }
}

static bool read_keys(const struct arguments *arguments, struct trust **ret_trust,
                      struct verify_key **ret_key, struct err *err)
{
    struct buf root = {0};
    bool ok = true;
    if (arguments->root_path != NULL)
        ok = file_read(arguments->root_path, LIMIT_ROOT_BYTES, &root, err) &&
             (trust_open(buf_bytes(&root), ret_trust, err) ||
              err_context(err, "%s", arguments->root_path));
    buf_done(&root);
    return ok &&
           (arguments->key_path == NULL || verify_key_read(arguments->key_path, ret_key, err));
}

static int print(const struct arguments *arguments, const struct decoded *decoded)
{
    int exit_code = EXIT_OK;
    if (arguments->common.json) {
        exit_code = command_print_json(&arguments->common, json_incref(decoded->root));
    } else if (!decode_print(decoded->root, stdout)) {
        command_say(&arguments->common, "cannot write the answer");
        exit_code = EXIT_SYSTEM;
    }
    return exit_code == EXIT_OK && decoded->refused ? EXIT_NO : exit_code;
}

/* A bundle may be longer than what fits in memory: NULL if it is none, or no file. */
static FILE *open_bundle(const struct arguments *arguments)
{
    uint8_t head[64];
    struct stat found;
    const char *as = arguments->decode.as;
    if (strcmp(arguments->path, "-") == 0 || (as != NULL && strcmp(as, "bundle") != 0) ||
        stat(arguments->path, &found) != 0 || !S_ISREG(found.st_mode))
        return NULL;
    FILE *file = fopen(arguments->path, "rbe");
    if (file == NULL)
        return NULL;
    size_t length = fread(head, 1, sizeof head, file);
    if (decode_bundle_begins(bytes_of(head, length)) && fseeko(file, 0, SEEK_SET) == 0)
        return file;
    (void)fclose(file);
    return NULL;
}

static int decode_bundle(const struct arguments *arguments, FILE *file)
{
    struct decoded decoded = {0};
    struct err err = {0};
    if (!decode_bundle_file(file, &arguments->decode, &decoded, &err)) {
        command_say(&arguments->common, "%s: %s", arguments->path, err.text);
        return exit_code_of(&err);
    }
    int exit_code = print(arguments, &decoded);
    json_decref(decoded.root);
    return exit_code;
}

static int decode_input(const struct arguments *arguments, struct bytes in)
{
    struct decoded decoded = {0};
    struct buf tried = {0};
    struct err err = {0};
    int exit_code = EXIT_OK;
    if (decode_bytes(in, &arguments->decode, &decoded, &tried, &err)) {
        exit_code = print(arguments, &decoded);
        json_decref(decoded.root);
    } else {
        command_say(&arguments->common, "%s: %s", arguments->path, err.text);
        for (size_t at = 0; at < tried.length;) {
            const uint8_t *end = memchr(tried.data + at, '\n', tried.length - at);
            size_t length = (size_t)(end - (tried.data + at));
            command_say(&arguments->common, "tried as %.*s", (int)length,
                        (const char *)tried.data + at);
            at += length + 1;
        }
        exit_code = exit_code_of(&err);
    }
    buf_done(&tried);
    return exit_code;
}

int command_decode(int argc, char **argv)
{
    struct arguments arguments = {0};
    int exit_code = EXIT_OK;
    command_options_init(&arguments.common, argv[0], 1);
    if (!parse(&arguments, argc, argv, &exit_code))
        return exit_code;
    struct buf content = {.limit = INPUT_BYTES};
    struct trust *trust = NULL;
    struct verify_key *key = NULL;
    struct err err = {0};
    bool ok = read_keys(&arguments, &trust, &key, &err);
    arguments.decode.trust = trust;
    arguments.decode.key = key;
    FILE *bundle = ok ? open_bundle(&arguments) : NULL;
    if (bundle != NULL)
        exit_code = decode_bundle(&arguments, bundle);
    else if (ok && read_input(arguments.path, &content, &err))
        exit_code = decode_input(&arguments, buf_bytes(&content));
    else
        exit_code = command_fail(&arguments.common, &err);
    if (bundle != NULL)
        (void)fclose(bundle);
    trust_free(trust);
    verify_key_free(key);
    buf_done(&content);
    return exit_code;
}
