/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"
#include "agent/txn_input.h"

enum { DEADLINE_MS = 5000 };

static const char help[] =
    "Usage: muster why [OPTION]...\n"
    "Tells the newest things that went wrong or were put right on this terminal, newest first:\n"
    "results that were not approved, drift, repairs, refusals, trouble with the spool.\n\n";

/* The record's kind in the words of the trade; a failed result is an event without a kind. */
static const char *kind_word(Muster__EventKind kind)
{
    switch (kind) {
    case MUSTER__EVENT_KIND__EVENT_OPEN:
        return "start";
    case MUSTER__EVENT_KIND__EVENT_STATE:
        return "state";
    case MUSTER__EVENT_KIND__EVENT_DRIFT:
        return "drift";
    case MUSTER__EVENT_KIND__EVENT_PROPOSED:
        return "proposed";
    case MUSTER__EVENT_KIND__EVENT_REPAIR:
        return "repair";
    case MUSTER__EVENT_KIND__EVENT_REFUSED:
        return "refused";
    case MUSTER__EVENT_KIND__EVENT_APPLY_FAILED:
        return "not applied";
    case MUSTER__EVENT_KIND__EVENT_APPLY:
        return "applying";
    case MUSTER__EVENT_KIND__EVENT_PACKAGE:
        return "package";
    case MUSTER__EVENT_KIND__EVENT_SPOOL:
        return "spool";
    default:
        return "result";
    }
}

static int print_json(const struct command_options *options, const Muster__ClientReply *reply)
{
    json_t *events = json_array();
    for (size_t i = 0; i < reply->n_events; i++) {
        const Muster__Event *event = reply->events[i];
        (void)json_array_append_new(
            events, json_pack("{s:I, s:s, s:s, s:s}", "wall_ms", (json_int_t)event->wall_ms, "kind",
                              kind_word(event->kind), "item", event->item, "text", event->text));
    }
    return command_print_json(options, json_pack("{s:o}", "events", events));
}

static int print_story(const Muster__ClientReply *reply)
{
    if (reply->n_events == 0)
        (void)printf("Nothing went wrong as far as this terminal remembers.\n");
    for (size_t i = 0; i < reply->n_events; i++) {
        const Muster__Event *event = reply->events[i];
        char time[32];
        command_time(event->wall_ms, time);
        (void)printf("%s  %-11s  %s%s%s\n", time, kind_word(event->kind),
                     command_plain(event->item), event->item[0] != '\0' ? ": " : "",
                     command_plain(event->text));
    }
    return EXIT_OK;
}

int command_why(int argc, char **argv)
{
    struct command_options options;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!command_parse_common(&options, argc, argv, help, &exit_code))
        return exit_code;
    Muster__WhyQuery query = MUSTER__WHY_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_WHY;
    request.why = &query;
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply *reply = NULL;
    if (!command_ask(&options, &request, &arena, &reply, &err))
        exit_code = command_fail(&options, &err);
    else
        exit_code = options.json ? print_json(&options, reply) : print_story(reply);
    arena_done(&arena);
    return exit_code;
}
