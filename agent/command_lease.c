/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"
#include "base/span.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 5000 };

static const char lease_help[] =
    "Usage: muster lease [OPTION]...\n"
    "Shows what the payment application has said that it is in the middle of.\n\n"
    "      --forget TERMINAL  has this logical terminal forgotten, as if it had never been spoken\n"
    "                         for: an application that is gone, an index that was never meant.\n"
    "                         \"all\": every one. Only root and the agent's own user may\n";

static const char *said_word(Muster__Said said)
{
    return said == MUSTER__SAID__SAID_YES ? "yes" : said == MUSTER__SAID__SAID_NO ? "no" : "unsaid";
}

json_t *command_lease_json(const Muster__LeaseState *lease)
{
    json_t *terminals = json_array();
    for (size_t i = 0; lease != NULL && i < lease->n_terminals; i++) {
        const Muster__LeaseTerminal *of = lease->terminals[i];
        (void)json_array_append_new(
            terminals, json_pack("{s:I, s:b, s:b, s:I, s:s, s:s, s:s, s:I}", "terminal",
                                 (json_int_t)of->terminal, "transaction", (int)of->transaction,
                                 "assumed", (int)of->assumed, "left_ms", (json_int_t)of->left_ms,
                                 "reversal", said_word(of->reversal), "batch", said_word(of->batch),
                                 "who", of->who, "since_ms", (json_int_t)of->since_ms));
    }
    if (lease == NULL) {
        json_decref(terminals);
        return json_null();
    }
    return json_pack("{s:b, s:b, s:b, s:b, s:b, s:o}", "known", (int)lease->known, "transaction",
                     (int)lease->transaction, "reversal", (int)lease->reversal, "batch",
                     (int)lease->batch, "lost", (int)lease->lost, "terminals", terminals);
}

static void print_transaction(const Muster__LeaseTerminal *of)
{
    char left[SPAN_WORDS_CHARS];
    span_words((int64_t)of->left_ms, true, left);
    if (of->assumed)
        (void)printf("may be in a transaction, for %s at most: nobody has said since the agent "
                     "started",
                     left);
    else if (of->transaction)
        (void)printf("in a transaction, for %s at most", left);
    else
        (void)printf("idle");
}

static void print_terminal(const Muster__LeaseTerminal *of)
{
    char since[SPAN_WORDS_CHARS];
    (void)printf("terminal %" PRIu32 ": ", of->terminal);
    print_transaction(of);
    if (of->reversal == MUSTER__SAID__SAID_YES)
        (void)printf("; an open reversal");
    if (of->batch == MUSTER__SAID__SAID_YES)
        (void)printf("; a batch to be settled");
    if (of->reversal == MUSTER__SAID__SAID_NOTHING || of->batch == MUSTER__SAID__SAID_NOTHING)
        (void)printf("; reversal and batch have not been spoken of");
    span_words((int64_t)of->since_ms, false, since);
    if (of->who[0] != '\0')
        (void)printf(" (%s, %s ago)\n", command_plain(of->who), since);
    else
        (void)printf("\n");
}

void command_print_lease(const Muster__LeaseState *lease)
{
    if (lease == NULL)
        return;
    if (!lease->known)
        (void)printf("The payment application has not been heard of.\n");
    else
        (void)printf("The payment application:\n");
    if (lease->lost)
        (void)printf("what it said before the agent started is lost\n");
    for (size_t i = 0; i < lease->n_terminals; i++)
        print_terminal(lease->terminals[i]);
}

static bool take_terminal(const struct command_options *options, const char *value,
                          Muster__ForgetQuery *query)
{
    char *end = NULL;
    unsigned long terminal = strtoul(value, &end, 10);
    query->all = strcmp(value, "all") == 0;
    query->terminal = query->all ? 0 : (uint32_t)terminal;
    if (query->all || (*value >= '0' && *value <= '9' && *end == '\0' && terminal <= UINT32_MAX))
        return true;
    command_say(options, "--forget %s: expected the index of a logical terminal, or all", value);
    return false;
}

/* False: end with *ret_exit. */
static bool parse(struct command_options *options, int argc, char **argv,
                  Muster__ForgetQuery *query, bool *ret_forget, int *ret_exit)
{
    static const struct option longs[] = {
        COMMAND_LONG_OPTIONS, {"forget", required_argument, NULL, 'f'}, {0}};
    int option = 0;
    while ((option = getopt_long(argc, argv, COMMAND_SHORT_OPTIONS, longs, NULL)) != -1) {
        bool good = true;
        if (option == 'h') {
            (void)printf("%s%s", lease_help, command_common_help);
            *ret_exit = EXIT_OK;
            return false;
        }
        if (option == 'f') {
            *ret_forget = true;
            good = take_terminal(options, optarg, query);
        } else {
            good = command_take_option(options, option, optarg);
        }
        if (!good) {
            *ret_exit = command_usage_error(options);
            return false;
        }
    }
    if (optind == argc)
        return true;
    command_say(options, "unexpected argument %s", argv[optind]);
    *ret_exit = command_usage_error(options);
    return false;
}

static int print_reply(const struct command_options *options, const Muster__ClientReply *reply)
{
    struct err err = {0};
    if (reply->plan == NULL || reply->plan->lease == NULL) {
        err_set(&err, ERR_INVALID, "the agent's answer says nothing of the payment application");
        return command_fail(options, &err);
    }
    if (options->json)
        return command_print_json(options, command_lease_json(reply->plan->lease));
    command_print_lease(reply->plan->lease);
    return EXIT_OK;
}

int command_lease(int argc, char **argv)
{
    struct command_options options;
    Muster__PlanQuery look = MUSTER__PLAN_QUERY__INIT;
    Muster__ForgetQuery query = MUSTER__FORGET_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    bool forget = false;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!parse(&options, argc, argv, &query, &forget, &exit_code))
        return exit_code;
    if (forget) {
        request.what_case = MUSTER__CLIENT_REQUEST__WHAT_FORGET;
        request.forget = &query;
    } else {
        request.what_case = MUSTER__CLIENT_REQUEST__WHAT_PLAN;
        request.plan = &look;
    }
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply *reply = NULL;
    exit_code = command_ask(&options, &request, &arena, &reply, &err)
                    ? print_reply(&options, reply)
                    : command_fail(&options, &err);
    arena_done(&arena);
    return exit_code;
}
