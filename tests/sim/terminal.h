/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_TERMINAL_H
#define TESTS_SIM_TERMINAL_H

#include "agent/agent_parts.h"
#include "agent/link.h"
#include "tests/sim/curve.h"
#include "tests/sim/source.h"

/*
 * One simulated terminal: all of muster-agent and all of muster-link, on the loop of all of them.
 * What is not theirs is behind their own seams: the spool is in memory (memory_spool.c), the socket
 * between the two (memory_stream.c), MQTT is plain (plain_mqtt.c), files are not synced.
 */
struct terminal_count {
    uint64_t results, declined, amount_minor;
    uint64_t suspects; /* with the code 57 */
};

struct terminal {
    char device[LIMIT_DEVICE_ID_CHARS + 1];
    struct agent_settings agent_settings;
    struct link_settings link_settings;
    struct agent *agent; /* NULL: not open */
    struct link *link;
    struct curve_till curve;
    struct source_till till;
    struct rng rng;
    void *crowd;      /* whose it is: */
    uv_timer_t timer; /* the next result */
    struct terminal_count count;
    uint64_t suspects_before; /* they began to be told */
    bool settled;             /* see terminal_is_settled */
};

/* Where the files of terminal `index` (from 0) are: its id, and DIR/<id>. */
void terminal_name(size_t index, char ret_device[LIMIT_DEVICE_ID_CHARS + 1]);
/* Makes the folder, the agent key, and DIR/<id>/agent.pub as muster-agent --make-key prints it. */
bool terminal_make(const char *dir, size_t index, struct err *err) MUSTER_CHECK;

/* What all of them are set to, written to DIR/agent.conf and DIR/link.conf, and read as the
 * programs themselves do. */
struct crowd_settings;
bool terminal_settings(const struct crowd_settings *settings, struct terminal *ret_terminal,
                       struct err *err) MUSTER_CHECK;

/* `terminal` holds the settings of all. `failed` is called when its agent cannot go on. */
bool terminal_open(struct terminal *terminal, uv_loop_t *loop, const char *dir, size_t index,
                   void (*failed)(void *ctx, enum agent_end end, const struct err *err), void *ctx,
                   struct err *err) MUSTER_CHECK;
void terminal_close(struct terminal *terminal);
/* After the loop has run out. */
void terminal_free(struct terminal *terminal);

/* Welcomed, and what the fleet wants is in force. */
bool terminal_is_settled(struct terminal *terminal);
/* Given to the agent as the payment application's word would be. */
bool terminal_record(struct terminal *terminal, struct world_result *result,
                     struct err *err) MUSTER_CHECK;

#endif
