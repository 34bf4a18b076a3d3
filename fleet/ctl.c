/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/ctl_table.h"
#include "proto/topics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_SERVER "unix:/run/musterd/api.sock"

/* In the order of the help; a row without a command begins a group. */
static const struct {
    const char *group;
    const struct ctl_command *command;
} commands[] = {
    {"What happens", NULL},
    {NULL, &ctl_errors},
    {NULL, &ctl_rates},
    {NULL, &ctl_top},
    {NULL, &ctl_find},
    {NULL, &ctl_presence},
    {NULL, &ctl_watch},
    {NULL, &ctl_audit},
    {"Devices", NULL},
    {NULL, &ctl_get_devices},
    {NULL, &ctl_describe_device},
    {NULL, &ctl_device_add},
    {NULL, &ctl_device_import},
    {NULL, &ctl_device_export},
    {NULL, &ctl_device_move},
    {NULL, &ctl_device_swap},
    {NULL, &ctl_device_state},
    {NULL, &ctl_device_suspend},
    {NULL, &ctl_device_resume},
    {NULL, &ctl_device_retire},
    {NULL, &ctl_device_history},
    {NULL, &ctl_device_label},
    {NULL, &ctl_describe_terminal},
    {NULL, &ctl_get_duties},
    {NULL, &ctl_duty_done},
    {"Stores, regions, groups, merchants", NULL},
    {NULL, &ctl_store_set},
    {NULL, &ctl_get_stores},
    {NULL, &ctl_region_set},
    {NULL, &ctl_get_regions},
    {NULL, &ctl_group_add},
    {NULL, &ctl_group_remove},
    {NULL, &ctl_get_groups},
    {NULL, &ctl_merchant_erase},
    {NULL, &ctl_get_erasures},
    {"What devices are to hold", NULL},
    {NULL, &ctl_doc_publish},
    {NULL, &ctl_doc_sign},
    {NULL, &ctl_doc_cosign},
    {NULL, &ctl_doc_seal},
    {NULL, &ctl_doc_resign},
    {NULL, &ctl_device_sealing},
    {NULL, &ctl_get_documents},
    {NULL, &ctl_diff},
    {NULL, &ctl_plan},
    {NULL, &ctl_assign},
    {NULL, &ctl_unassign},
    {NULL, &ctl_get_proposals},
    {NULL, &ctl_propose_accept},
    {NULL, &ctl_propose_refuse},
    {NULL, &ctl_get_keys},
    {NULL, &ctl_bundle},
    {"What devices are to do once", NULL},
    {NULL, &ctl_action},
    {NULL, &ctl_get_actions},
    {NULL, &ctl_logs},
    {"Signing keys and trust", NULL},
    {NULL, &ctl_keys_make},
    {NULL, &ctl_keys_new},
    {NULL, &ctl_keys_rotate},
    {NULL, &ctl_keys_revoke},
    {NULL, &ctl_keys_sign},
    {NULL, &ctl_keys_check},
    {NULL, &ctl_keys_show},
    {NULL, &ctl_root_publish},
    {NULL, &ctl_get_roots},
    {"Who may ask, and what is kept", NULL},
    {NULL, &ctl_token_add},
    {NULL, &ctl_token_list},
    {NULL, &ctl_token_revoke},
    {NULL, &ctl_changes},
    {NULL, &ctl_webhook_add},
    {NULL, &ctl_webhook_list},
    {NULL, &ctl_webhook_remove},
    {NULL, &ctl_webhook_test},
    {NULL, &ctl_retention},
};
enum { COMMANDS = sizeof commands / sizeof *commands, TOKEN_FILE_BYTES = 4096 };

static const struct ctl_option common[] = {
    {.name = "--server",
     .value = "ADDRESS",
     .help = "unix:PATH, http://127.0.0.1:PORT or https://HOST[:PORT]"
             " [$MUSTERCTL_SERVER or " DEFAULT_SERVER "]"},
    {.name = "--ca",
     .value = "FILE",
     .help = "certificates to verify an https server by, PEM [$MUSTERCTL_CA or the system's]"},
    {.name = "--token-file",
     .value = "FILE",
     .help = "holds the token to show to musterd [$MUSTERCTL_TOKEN is the token itself]"},
    {.name = "--output", .alias = "-o", .value = "table|json|csv", .help = "how to print [table]"},
    {.name = "--help", .alias = "-h", .help = "this text"},
    {0},
};

static const struct {
    int number;
    const char *meaning;
} exit_codes[] = {
#define EXIT_CODE(name, number, meaning) {number, meaning},
#include "base/exit_codes.def"
#undef EXIT_CODE
};

/* What the words of options stand for. */
static const char units[] =
    "\nDURATION is 250ms, 5s, 15m, 24h, 7d ...; MOMENT is 2026-11-23T14:05Z or "
    "2026-11-23T14:05:30+08:00.\n";

static void print_summary(const struct ctl_command *command, FILE *out)
{
    fprintf(out, "  %-18s %s\n", command->words, command->summary);
}

static void print_usage(FILE *out)
{
    fputs("usage: musterctl COMMAND [ARGUMENTS] [OPTIONS]\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].group != NULL)
            fprintf(out, "\n%s:\n", commands[i].group);
        else
            print_summary(commands[i].command, out);
    }
    fputs("\nOptions of every command:\n", out);
    ctl_args_help(common, out);
    fputs(units, out);
    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        fprintf(out, "  %d  %s\n", exit_codes[i].number, exit_codes[i].meaning);
    fputs("\nmusterctl COMMAND --help tells more; musterctl device --help lists what begins so.\n",
          out);
}

static bool begins_with(const struct ctl_command *command, const char *word)
{
    const size_t length = strlen(word);
    return command != NULL && strncmp(command->words, word, length) == 0 &&
           command->words[length] == ' ';
}

/* Several commands begin with this word. */
static bool is_family(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (begins_with(commands[i].command, word))
            return true;
    }
    return false;
}

static void print_family(const char *word, FILE *out)
{
    fprintf(out, "usage: musterctl %s ... [ARGUMENTS] [OPTIONS]\n\n", word);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (begins_with(commands[i].command, word))
            print_summary(commands[i].command, out);
    }
    fputs("\nEach with --help tells more.\n", out);
}

static bool says_unit(const struct ctl_option *option)
{
    for (; option != NULL && option->name != NULL; option++) {
        if (option->value != NULL &&
            (strcmp(option->value, "DURATION") == 0 || strcmp(option->value, "MOMENT") == 0))
            return true;
    }
    return false;
}

static void print_help(const struct ctl_command *command, FILE *out)
{
    fprintf(out, "usage: musterctl %s%s%s [OPTIONS]\n\n%s\n", command->words,
            command->arguments[0] == '\0' ? "" : " ", command->arguments, command->summary);
    if (command->notes != NULL)
        fprintf(out, "\n%s\n", command->notes);
    if (command->options != NULL && command->options->name != NULL) {
        fputs("\nOptions:\n", out);
        ctl_args_help(command->options, out);
    }
    fputs("\nOptions of every command:\n", out);
    ctl_args_help(common, out);
    if (!command->has_csv)
        fputs("\nIt prints no table: -o csv is refused.\n", out);
    if (says_unit(command->options))
        fputs(units, out);
}

/* The command that the first one or two words call; `*ret_words` is how many. */
static const struct ctl_command *find_command(char *const *words, size_t count, size_t *ret_words)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (commands[i].command == NULL)
            continue;
        const char *name = commands[i].command->words;
        const char *space = strchr(name, ' ');
        size_t first = space == NULL ? strlen(name) : (size_t)(space - name);
        if (count < 1 || strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
            continue;
        if (space != NULL && (count < 2 || strcmp(words[1], space + 1) != 0))
            continue;
        *ret_words = space == NULL ? 1 : 2;
        return commands[i].command;
    }
    return NULL;
}

/* Options may stand before the command too: `--server X get devices`. They are moved behind. */
static size_t leading_options(char *const *words, size_t count)
{
    size_t at = 0;
    while (at < count && words[at][0] == '-' && strcmp(words[at], "-h") != 0 &&
           strcmp(words[at], "--help") != 0)
        at += strchr(words[at], '=') == NULL ? 2 : 1;
    return at < count ? at : count;
}

/* Never on the command line itself, where everybody on this machine reads it. */
static bool show_token(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *file = ctl_arg(args, "--token-file", NULL);
    const char *token = getenv("MUSTERCTL_TOKEN");
    struct buf text = {.limit = TOKEN_FILE_BYTES};
    if (file == NULL)
        return token == NULL || token[0] == '\0' || client_show_token(ctl->client, token, err) ||
               err_context(err, "$MUSTERCTL_TOKEN");
    bool ok = file_read(file, TOKEN_FILE_BYTES - 1, &text, err) && buf_append(&text, "", 1, err);
    if (ok) {
        text.data[strcspn((char *)text.data, " \r\n")] = '\0';
        ok = client_show_token(ctl->client, (const char *)text.data, err);
    }
    if (!ok)
        (void)err_context(err, "--token-file %s", file);
    buf_done(&text);
    return ok;
}

static bool trust(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *file = ctl_arg(args, "--ca", getenv("MUSTERCTL_CA"));
    return file == NULL || file[0] == '\0' || client_trust(ctl->client, file, err) ||
           err_context(err, "--ca");
}

static bool read_common(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *output = ctl_arg(args, "--output", "table");
    const char *server = getenv("MUSTERCTL_SERVER");
    if (server == NULL || server[0] == '\0')
        server = DEFAULT_SERVER;
    ctl->server = ctl_arg(args, "--server", server);
    ctl->json = strcmp(output, "json") == 0;
    bool csv = strcmp(output, "csv") == 0;
    if (!ctl->json && !csv && strcmp(output, "table") != 0)
        return err_set(err, ERR_INVALID, "--output %.40s: expected table, json or csv", output);
    if (csv) { /* what is written for people around the tables has no place there */
        FILE *nowhere = fopen("/dev/null", "we");
        if (nowhere == NULL)
            return err_errno(err, errno, "/dev/null");
        ctl->csv = ctl->out;
        ctl->out = nowhere;
    }
    return client_open(ctl->server, &ctl->client, err) && trust(ctl, args, err) &&
           show_token(ctl, args, err);
}

static int run_command(const struct ctl_command *command, const struct ctl_args *args,
                       struct err *err)
{
    if (args->argument_count < command->argument_count ||
        args->argument_count > command->argument_count + command->optional_count) {
        err_set(err, ERR_INVALID, "expected: musterctl %s %s", command->words, command->arguments);
        return EXIT_USAGE;
    }
    if (!command->has_csv && strcmp(ctl_arg(args, "--output", "table"), "csv") == 0) {
        err_set(err, ERR_INVALID, "it prints no table, and nothing was done: take -o json");
        return EXIT_USAGE;
    }
    struct ctl ctl = {.clock = &clock_real, .out = stdout};
    int code = EXIT_USAGE;
    if (read_common(&ctl, args, err))
        code = command->run(&ctl, args, err);
    client_close(ctl.client);
    if (ctl.csv != NULL)
        (void)fclose(ctl.out);
    if (ctl.csv != NULL && !ctl.csv_begun && code == EXIT_OK)
        fprintf(stderr, "musterctl %s: there is no table to print; see -o json\n", command->words);
    if (fflush(stdout) != 0 && code == EXIT_OK) {
        err_set(err, ERR_IO, "writing the output failed");
        code = EXIT_SYSTEM;
    }
    return code;
}

static void print_error(const struct ctl_command *command, int code, const struct err *err)
{
    if (err->text[0] != '\0')
        fprintf(stderr, "musterctl %s: %s\n", command->words, err->text);
    if (code == EXIT_USAGE)
        fprintf(stderr, "See: musterctl %s --help\n", command->words);
    if (code == EXIT_UNREACHABLE)
        fputs("Is musterd running, and is --server (or $MUSTERCTL_SERVER) its address?\n", stderr);
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Words that call no command: who asked for help gets it, of all or of those that begin so. */
static int run_none(char *const *words, size_t count)
{
    const bool help = count > 0 && (asks_help(words[0]) || (count > 1 && asks_help(words[1])));
    if (count == 0 || asks_help(words[0]))
        print_usage(help ? stdout : stderr);
    else if (count > 1 && !help)
        fprintf(stderr,
                "musterctl: there is no command \"%.40s %.40s\"\nSee: musterctl%s%s --help\n",
                words[0], words[1], is_family(words[0]) ? " " : "",
                is_family(words[0]) ? words[0] : "");
    else if (is_family(words[0]))
        print_family(words[0], help ? stdout : stderr);
    else
        fprintf(stderr, "musterctl: there is no command \"%.40s\"\nSee: musterctl --help\n",
                words[0]);
    return help && (asks_help(words[0]) || is_family(words[0])) ? EXIT_OK : EXIT_USAGE;
}

/* `words` in the command's order: the options that stood in front are at the end. */
static int run_words(char **words, size_t count)
{
    size_t used = 0;
    const struct ctl_command *command = find_command(words, count, &used);
    if (command == NULL)
        return run_none(words, count);
    struct err err = {0};
    struct ctl_args args;
    int code = EXIT_USAGE;
    if (ctl_args_read(&args, command->options, common, words + used, count - used, &err)) {
        bool help = ctl_arg(&args, "--help", NULL) != NULL;
        if (help)
            print_help(command, stdout);
        code = help ? EXIT_OK : run_command(command, &args, &err);
    }
    if (code != EXIT_OK)
        print_error(command, code, &err);
    return code;
}

int ctl_main(int argc, char *const *argv)
{
    size_t count = argc > 0 ? (size_t)argc - 1 : 0;
    size_t leading = leading_options(argv + 1, count);
    char **words = calloc(count + 1, sizeof *words);
    if (words == NULL) {
        fputs("musterctl: no memory\n", stderr);
        return EXIT_SYSTEM;
    }
    for (size_t i = 0; i < count; i++)
        words[i] = argv[1 + (leading + i) % count];
    int code = run_words(words, count);
    free(words);
    return code;
}

/* ---- for the commands ---- */

bool ctl_device_id(const char *id, struct err *err)
{
    if (!device_id_valid(id))
        return err_set(err, ERR_INVALID, "\"%.40s\" is not a device id: expected [a-z0-9-]{1,32}",
                       id);
    return true;
}

bool ctl_is_dry_run(const struct ctl_args *args)
{
    return ctl_arg(args, "--dry-run", NULL) != NULL;
}

void ctl_say_dry_run(struct ctl *ctl)
{
    if (!ctl->json)
        fputs("Nothing was changed: this was a dry run.\n", ctl->out);
}

const char *ctl_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

int64_t ctl_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

void ctl_add_number(struct ctl_table *table, const json_t *object, const char *name)
{
    if (json_is_null(json_object_get(object, name)))
        ctl_table_text(table, "-");
    else
        ctl_table_count(table, ctl_number(object, name));
}

bool ctl_print_table(struct ctl *ctl, struct ctl_table *table, const char *nothing)
{
    if (ctl->csv == NULL)
        return ctl_table_print(table, ctl->out, nothing);
    if (ctl->csv_begun)
        fputs("\r\n", ctl->csv);
    ctl->csv_begun = true;
    return ctl_table_csv(table, ctl->csv);
}

FILE *ctl_aside(const struct ctl *ctl)
{
    return ctl->csv != NULL ? stderr : ctl->out;
}

bool ctl_guard_output(const struct ctl *ctl, struct err *err)
{
    struct stat file;
    const int fd = fileno(ctl->out);
    if (fstat(fd, &file) != 0)
        return err_errno(err, errno, "the output");
    return !S_ISREG(file.st_mode) || (file.st_mode & 077) == 0 || fchmod(fd, 0600) == 0 ||
           err_errno(err, errno, "the output is a file that others may read");
}

int ctl_print_json(struct ctl *ctl, const json_t *value, struct err *err)
{
    if (value == NULL || json_dumpf(value, ctl->out, JSON_INDENT(2)) != 0) {
        err_set(err, ERR_IO, "the JSON could not be written");
        return EXIT_SYSTEM;
    }
    fputc('\n', ctl->out);
    return EXIT_OK;
}

int ctl_show_newest(struct ctl *ctl, const char *path, const char *list, int64_t limit,
                    const char *older, bool (*print)(struct ctl *ctl, const json_t *reply),
                    struct err *err)
{
    json_t *reply;
    if (!client_get(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else if (!print(ctl, reply))
        code = EXIT_SYSTEM;
    else if (list != NULL && (int64_t)json_array_size(json_object_get(reply, list)) == limit)
        fprintf(ctl_aside(ctl), "These are the newest %" PRId64 "; for older ones: %s.\n", limit,
                older);
    json_decref(reply);
    return code;
}

int ctl_show(struct ctl *ctl, const char *path, bool (*print)(struct ctl *ctl, const json_t *reply),
             struct err *err)
{
    return ctl_show_newest(ctl, path, NULL, 0, NULL, print, err);
}
