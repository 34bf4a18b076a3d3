/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

/* Repairs may fetch over a slow line. */
enum { DEADLINE_MS = 60000 };

static const char help[] =
    "Usage: muster selfcheck [OPTION]...\n"
    "Hashes every file that was applied, repairs what is the agent's to repair, and shows the\n"
    "result. Ends with 1 when something differs and was not repaired.\n\n";

static int print_result(const struct command_options *options, const Muster__StateReport *state)
{
    size_t unrepaired = command_count_unrepaired(state);
    bool clean = unrepaired == 0 && (state->converged || state->manifest_version == 0);
    if (options->json) {
        int exit_code = command_print_json(options, command_state_json(state));
        if (exit_code != EXIT_OK)
            return exit_code;
    } else {
        command_print_items(state);
        (void)printf("%zu items checked, %zu differ and were not repaired%s\n", state->n_items,
                     unrepaired, clean || unrepaired > 0 ? "" : "; the manifest is not in force");
    }
    return clean ? EXIT_OK : EXIT_NO;
}

int command_selfcheck(int argc, char **argv)
{
    struct command_options options;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!command_parse_common(&options, argc, argv, help, &exit_code))
        return exit_code;
    Muster__SelfcheckQuery query = MUSTER__SELFCHECK_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_SELFCHECK;
    request.selfcheck = &query;
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply *reply = NULL;
    if (!command_ask(&options, &request, &arena, &reply, &err)) {
        exit_code = command_fail(&options, &err);
    } else if (reply->state == NULL) {
        err_set(&err, ERR_INVALID, "the agent's answer holds no state");
        exit_code = command_fail(&options, &err);
    } else {
        exit_code = print_result(&options, reply->state);
    }
    arena_done(&arena);
    return exit_code;
}
