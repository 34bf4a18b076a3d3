/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include "agent/client_wire.h"
#include "base/exit_codes.h"
#include "proto/arena.h"
#include "proto/local.pb-c.h"

#include <getopt.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/*
 * What the subcommands of `muster` share. Each is one function that takes its own argv, argv[0]
 * being its name, and returns an exit code (base/exit_codes.def).
 */
int command_decode(int argc, char **argv);
int command_record(int argc, char **argv);
int command_status(int argc, char **argv);
int command_selfcheck(int argc, char **argv);
int command_why(int argc, char **argv);
int command_import(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_apply(int argc, char **argv);
int command_lease(int argc, char **argv);

struct command_options {
    const char *name; /* of the subcommand */
    const char *socket_path;
    int deadline_ms;
    bool json;
};

/* Options that every subcommand has; none of its own may use these letters. */
#define COMMAND_SHORT_OPTIONS "ho:"
#define COMMAND_LONG_OPTIONS                                                                       \
    {"help", no_argument, NULL, 'h'}, {"output", required_argument, NULL, 'o'},                    \
        {"socket", required_argument, NULL, 's'},                                                  \
    {                                                                                              \
        "deadline", required_argument, NULL, 'd'                                                   \
    }
extern const char command_common_help[];

/* What MUSTER_SOCKET and the defaults say, before any option. */
void command_options_init(struct command_options *options, const char *name, int deadline_ms);
/* Takes one option that getopt_long returned; false: the command line is wrong, which was said. */
bool command_take_option(struct command_options *options, int option, const char *value);
/* Parses a command line that has no options but the common ones. False: end with *ret_exit. */
bool command_parse_common(struct command_options *options, int argc, char **argv, const char *help,
                          int *ret_exit);
/* The same with one word, which must be there. */
bool command_parse_one(struct command_options *options, int argc, char **argv, const char *help,
                       const char *what, const char **ret_word, int *ret_exit);

/* "muster record: ..." on stderr, card numbers masked. */
void command_say(const struct command_options *options, const char *fmt, ...) MUSTER_PRINTF(2, 3);
/* Says the error and returns its exit code. */
int command_fail(const struct command_options *options, const struct err *err);
int command_usage_error(const struct command_options *options);

/* Questions, one after the other, and their answers, which live in `arena`. */
struct command_talk {
    const struct command_options *options;
    struct client_wire wire;
    uint64_t asked;
};
bool command_talk_begin(struct command_talk *talk, const struct command_options *options,
                        struct err *err) MUSTER_CHECK;
void command_talk_end(struct command_talk *talk);
/* `err` is set when the agent says no; the reply is given then too, unless there was none. */
bool command_talk_ask(struct command_talk *talk, Muster__ClientRequest *request,
                      struct arena *arena, Muster__ClientReply **ret_reply,
                      struct err *err) MUSTER_CHECK;

/* One question and its answer, which lives in `arena`. */
bool command_ask(const struct command_options *options, Muster__ClientRequest *request,
                 struct arena *arena, Muster__ClientReply **ret_reply,
                 struct err *err) MUSTER_CHECK;

/* Takes `root` over. */
int command_print_json(const struct command_options *options, json_t *root);
/* How the terminal stands with its broker: of `muster status`. */
void command_print_link(const Muster__AgentStatus *status);
json_t *command_link_json(const Muster__AgentStatus *status);
void command_print_trust(const Muster__AgentStatus *status);
json_t *command_trust_json(const Muster__AgentStatus *status);
/* Whether it is well, and what was found damaged. Adds to `object`, and returns it. */
void command_print_well(const Muster__AgentStatus *status);
json_t *command_add_health(json_t *object, const Muster__AgentStatus *status);
/* A time for people; "never" for 0. `out` takes 32 bytes. */
void command_time(int64_t wall_ms, char out[32]);
/* Text of foreign origin for a terminal: control characters become '?', in place. */
const char *command_plain(char *text);

/* The state report as JSON, and as a table with one line per item. */
json_t *command_state_json(const Muster__StateReport *state);
/* What differs, in the words that the fleet has for it too; null: nothing, or nothing was told. */
json_t *command_difference_json(const Muster__ItemReport *item);
void command_print_items(const Muster__StateReport *state);
/* What waits, for what, since when and until when: a generation, keys and packages, actions (and
 * what came of those that are over). */
void command_print_waits(const Muster__ApplyReport *apply);
json_t *command_waits_json(const Muster__ApplyReport *apply);
void command_print_placings(Muster__Placing *const *placings, size_t count);
json_t *command_placings_json(Muster__Placing *const *placings, size_t count);
void command_print_actions(Muster__PlanAction *const *actions, size_t count);
json_t *command_actions_json(Muster__PlanAction *const *actions, size_t count);
/* How what is in force proves itself, or why what was is no more. */
void command_print_probation(const Muster__StateReport *state);
json_t *command_probation_json(const Muster__StateReport *state);
/* What the payment application is in the middle of. */
void command_print_lease(const Muster__LeaseState *lease);
json_t *command_lease_json(const Muster__LeaseState *lease);
/* Items that differ from what is wanted and were not repaired. */
size_t command_count_unrepaired(const Muster__StateReport *state);

#endif
