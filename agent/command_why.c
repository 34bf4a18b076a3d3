/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"
#include "agent/txn_input.h"

enum { DEADLINE_MS = 5000 };

static const char help[] =
    "Usage: muster why [OPTION]...\n"
    "Tells the newest things that went wrong or were put right on this terminal, newest first:\n"
    "results that were not approved, drift, repairs, refusals, actions, key slots, trouble with "
    "the\n"
    "spool.\n\n";

/* The record's kind in the words of the trade; a failed result is an event without a kind. */
static const char *kind_word(Muster__EventKind kind)
{
    static const struct {
        Muster__EventKind kind;
        const char *word;
    } words[] = {
        {MUSTER__EVENT_KIND__EVENT_UNKNOWN, "result"},
        {MUSTER__EVENT_KIND__EVENT_OPEN, "start"},
        {MUSTER__EVENT_KIND__EVENT_STATE, "state"},
        {MUSTER__EVENT_KIND__EVENT_DRIFT, "drift"},
        {MUSTER__EVENT_KIND__EVENT_PROPOSED, "proposed"},
        {MUSTER__EVENT_KIND__EVENT_REPAIR, "repair"},
        {MUSTER__EVENT_KIND__EVENT_REFUSED, "refused"},
        {MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "not applied"},
        {MUSTER__EVENT_KIND__EVENT_APPLY, "applying"},
        {MUSTER__EVENT_KIND__EVENT_PACKAGE, "package"},
        {MUSTER__EVENT_KIND__EVENT_SPOOL, "spool"},
        {MUSTER__EVENT_KIND__EVENT_ACTION, "action"},
        {MUSTER__EVENT_KIND__EVENT_KEYS, "key slots"},
        {MUSTER__EVENT_KIND__EVENT_CLOCK, "clock"},
        {MUSTER__EVENT_KIND__EVENT_LIVENESS, "liveness"},
        {MUSTER__EVENT_KIND__EVENT_LOG, "log"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].kind == kind)
            return words[i].word;
    return "event"; /* of an agent that is newer */
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
