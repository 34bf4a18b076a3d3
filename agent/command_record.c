/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command_feed.h"
#include "agent/txn_input.h"
#include "base/buf.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE_MS = 5000,
    OPTION_JSON = 'j',
    FIRST_FIELD_OPTION = 256, /* beyond every letter */
    FIELDS_MAX = 64,
};

struct record_arguments {
    struct command_options common;
    struct txn_input input;
    bool has_fields;
    const char *json_path;
};

static void print_field_help(const struct txn_field *field)
{
    static const char *const forms[] = {
        [TXN_FIELD_KEY] = "TEXT",  [TXN_FIELD_NUMBER] = "N",  [TXN_FIELD_SIGNED] = "N",
        [TXN_FIELD_ENUM] = "WORD", [TXN_FIELD_TEXT] = "TEXT", [TXN_FIELD_BYTES] = "HEX",
        [TXN_FIELD_BOOL] = ""};
    char flag[64];
    (void)snprintf(flag, sizeof flag, "--%s %s", field->flag, forms[field->kind]);
    (void)printf("  %-27s %-20s  %s\n", flag, field->name, field->help);
    if (field->kind != TXN_FIELD_ENUM)
        return;
    char words[200];
    txn_field_words(field, words, sizeof words);
    (void)printf("  %-27s %-20s  %s\n", "", "", words);
}

static int print_help(void)
{
    (void)printf(
        "Usage: muster record --outcome WORD [FIELD]... [OPTION]...\n"
        "       muster record --json FILE [OPTION]...\n"
        "Hands one transaction result to the agent, or one for each line of FILE ('-': standard\n"
        "input), a JSON object with the field names below. It ends when the agent has committed\n"
        "them to disk. A line that is refused is told as FILE:LINE: why, and the others go on.\n"
        "Give each line an idempotency_key: then a file can be fed again and nothing counts "
        "twice.\n"
        "There is no field for a card number, and none may be put into a text.\n\n"
        "Flag, JSON name, meaning:\n");
    for (const struct txn_field *field = txn_fields; field->name != NULL; field++)
        print_field_help(field);
    (void)printf("\n      --json FILE          read JSON lines\n%s\n", command_common_help);
    (void)printf("Exit codes: 0 stored (also when stored before), 2 wrong usage, 3 refused, 4 no\n"
                 "agent, 5 no answer in time (feed again under the same key), 6 no room or disk "
                 "failed.\n");
    return EXIT_OK;
}

static void long_options(struct option longs[FIELDS_MAX + 6])
{
    const struct option common[] = {COMMAND_LONG_OPTIONS,
                                    {"json", required_argument, NULL, OPTION_JSON}};
    size_t count = sizeof common / sizeof common[0];
    memcpy(longs, common, sizeof common);
    for (int i = 0; txn_fields[i].name != NULL && i < FIELDS_MAX; i++)
        longs[count++] = (struct option){
            .name = txn_fields[i].flag,
            .has_arg = txn_fields[i].kind == TXN_FIELD_BOOL ? no_argument : required_argument,
            .val = FIRST_FIELD_OPTION + i};
    longs[count] = (struct option){0};
}

static bool take_field(struct record_arguments *arguments, int option, const char *value)
{
    const struct txn_field *field = &txn_fields[option - FIRST_FIELD_OPTION];
    struct err err = {0};
    arguments->has_fields = true;
    if (txn_input_text(&arguments->input, field, value != NULL ? value : "", &err))
        return true;
    command_say(&arguments->common, "--%s: %s", field->flag, err.text);
    return false;
}

/* False: end with *ret_exit. */
static bool parse(struct record_arguments *arguments, int argc, char **argv, int *ret_exit)
{
    struct option longs[FIELDS_MAX + 6];
    long_options(longs);
    int option = 0;
    bool ok = true;
    while (ok && (option = getopt_long(argc, argv, COMMAND_SHORT_OPTIONS, longs, NULL)) != -1) {
        if (option == 'h') {
            *ret_exit = print_help();
            return false;
        }
        if (option == OPTION_JSON)
            arguments->json_path = optarg;
        else if (option >= FIRST_FIELD_OPTION)
            ok = take_field(arguments, option, optarg);
        else
            ok = command_take_option(&arguments->common, option, optarg);
    }
    const char *wrong = NULL;
    if (ok && optind < argc)
        wrong = "there is an argument that belongs to no option";
    else if (ok && arguments->json_path != NULL && arguments->has_fields)
        wrong = "--json goes without the flags of a single result";
    else if (ok && arguments->json_path == NULL &&
             arguments->input.txn.outcome == MUSTER_OUTCOME_UNKNOWN)
        wrong = "--outcome is missing";
    if (wrong != NULL)
        command_say(&arguments->common, "%s", wrong);
    if (ok && wrong == NULL)
        return true;
    *ret_exit = command_usage_error(&arguments->common);
    return false;
}

static int exit_code_of_status(enum muster_status status)
{
    static const int codes[] = {
        [MUSTER_STORED] = EXIT_OK,      [MUSTER_DUPLICATE] = EXIT_OK,
        [MUSTER_INVALID] = EXIT_INPUT,  [MUSTER_FULL] = EXIT_SYSTEM,
        [MUSTER_FAILED] = EXIT_SYSTEM,  [MUSTER_UNREACHABLE] = EXIT_UNREACHABLE,
        [MUSTER_TIMEOUT] = EXIT_TIMEOUT};
    return codes[status];
}

static const char *status_word(enum muster_status status)
{
    static const char *const words[] = {
        [MUSTER_STORED] = "stored",   [MUSTER_DUPLICATE] = "duplicate",
        [MUSTER_INVALID] = "refused", [MUSTER_FULL] = "full",
        [MUSTER_FAILED] = "failed",   [MUSTER_UNREACHABLE] = "unreachable",
        [MUSTER_TIMEOUT] = "timeout"};
    return words[status];
}

static int print_answer(const struct record_arguments *arguments,
                        const struct muster_answer *answer, const char *key)
{
    int exit_code = exit_code_of_status(answer->status);
    char incarnation[17];
    (void)snprintf(incarnation, sizeof incarnation, "%016" PRIx64, answer->incarnation);
    if (exit_code != EXIT_OK)
        command_say(&arguments->common, "%s (key %s)", answer->text, key);
    if (arguments->common.json) {
        int printed = command_print_json(&arguments->common,
                                         json_pack("{s:s, s:s, s:s, s:I, s:s}", "status",
                                                   status_word(answer->status), "key", key,
                                                   "incarnation", incarnation, "seq",
                                                   (json_int_t)answer->seq, "text", answer->text));
        return exit_code != EXIT_OK ? exit_code : printed;
    }
    if (exit_code == EXIT_OK)
        (void)printf("%s: incarnation %s, seq %" PRIu64 ", key %s\n", status_word(answer->status),
                     incarnation, answer->seq, key);
    return exit_code;
}

static int record_one(struct record_arguments *arguments)
{
    const struct muster_client_settings settings = {
        .socket_path = arguments->common.socket_path,
        .deadline_ms = arguments->common.deadline_ms,
    };
    struct muster_txn *txn = &arguments->input.txn;
    char key[2 * 16 + 1];
    /* Made here as text, so that the key that is printed can be given to --key. */
    if (txn->idempotency_key.length == 0) {
        uint8_t random[16];
        random_bytes(random, sizeof random);
        hex_encode(random, sizeof random, key);
        txn->idempotency_key = (struct muster_bytes){key, strlen(key)};
    }
    struct muster_client *client = muster_client_open(&settings);
    if (client == NULL) {
        command_say(&arguments->common, "--socket %s: no socket can have that path",
                    settings.socket_path);
        txn->idempotency_key = (struct muster_bytes){0};
        return command_usage_error(&arguments->common);
    }
    struct muster_answer answer;
    (void)muster_record(client, txn, &answer);
    muster_client_close(client);
    txn->idempotency_key = (struct muster_bytes){0}; /* it may have been ours, which ends here */
    char key_text[sizeof answer.key + 1];
    (void)snprintf(key_text, sizeof key_text, "%.*s", (int)answer.key_length,
                   (const char *)answer.key);
    return print_answer(arguments, &answer, key_text);
}

int command_record(int argc, char **argv)
{
    struct record_arguments arguments = {0};
    int exit_code = EXIT_OK;
    command_options_init(&arguments.common, argv[0], DEADLINE_MS);
    if (!parse(&arguments, argc, argv, &exit_code))
        return exit_code;
    return arguments.json_path != NULL ? command_feed(&arguments.common, arguments.json_path)
                                       : record_one(&arguments);
}
