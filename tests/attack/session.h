/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ATTACK_SESSION_H
#define TESTS_ATTACK_SESSION_H

#include "agent/agent_parts.h"
#include "base/stream.h"
#include "proto/hello.pb-c.h"
#include "proto/topics.h"
#include "tests/attack/strike.h"

/*
 * A whole agent on real files, over its real link socket; the link, the broker and the fleet beyond
 * are the test's. Its clock is the test's too. What comes down is given to it as its link port
 * would, which tells whether it was taken.
 */
struct session {
    struct strike
        strike; /* the fleet as it speaks to this device; `version`: its newest manifest */
    char folder[TERMINAL_PATH];
    struct agent_settings settings;
    uv_loop_t loop;
    struct clock clock;
    int64_t now_ms;
    struct agent *agent;
    struct stream *link; /* NULL: none */
    int64_t struck_ms;   /* when the attack began */
    unsigned hellos;
    uint8_t nonce[16], nonce_before[16]; /* of the two newest hellos that went up */
    struct buf welcome;                  /* the newest that the fleet sent */
    struct buf manifest, older;          /* the fleet's two newest, as sent */
    Muster__Action **orders;             /* that manifests have */
    size_t order_count;
    struct buf scratch;
};

/* What the fleet, or a thief, says to a hello. */
struct answer {
    const char *topic_device, *device, *context, *domain;
    Muster__Role role;
    bool forged; /* a thief signs it */
    uint8_t nonce[17];
    size_t nonce_length;
    int64_t time_ms;
    uint64_t root_version, epoch, version;
    uint8_t sha256[32];
    struct bytes manifest, receipt; /* empty: none */
    bool again;                     /* all streams from their beginning */
    bool all;                       /* a receipt: of all that was made here */
    uint64_t beyond;                /* and so many more */
    int lane;                       /* not 0: of this one instead of theirs */
    bool backwards;                 /* its ranges descend */
};

/* Enrols it in `folder`, which is made, and brings it to the fleet's second manifest. */
void session_open(struct session *session, const struct fleet *fleet, const char *folder,
                  const char *device);
/* One that is there already, as it stood when the fleet's newest manifest was `version`; its agent
 * is not started. */
void session_resume(struct session *session, const struct fleet *fleet, const char *folder,
                    const char *device, uint64_t version);
void session_start(struct session *session);
void session_close(struct session *session);
void session_path(char *out, size_t size, const char *folder, const char *name);
/* A power cycle: the link has to join again. */
void session_restart(struct session *session);
/* The link comes, and has a session with a broker: returns when a hello went up. */
void session_join(struct session *session);
void session_leave(struct session *session);
/* Time goes by until another hello goes up. */
void session_ask(struct session *session, int64_t step_ms);
void session_later(struct session *session, int64_t ms);
void session_turn(struct session *session); /* until nothing is left to do */

bool session_take(struct session *session, enum topic_kind kind, const char *device,
                  struct bytes payload, struct err *err);
/* All content that is wanted and to be had comes. */
void session_fetch(struct session *session);
/* The fleet's next manifest, of content that was never sent before; not sent yet. */
void session_plan(struct session *session);
void session_send_manifest(struct session *session);

/* What the fleet would say to the newest hello, or of what is committed. */
void session_welcome(const struct session *session, struct answer *ret_answer);
void session_receipt(const struct session *session, struct answer *ret_answer);
void session_seal_welcome(struct session *session, const struct thief *thief,
                          const struct answer *answer, struct buf *out);
void session_seal_receipt(struct session *session, const struct thief *thief,
                          const struct answer *answer, struct buf *out);
/* The fleet welcomes it, and its newest manifest is in force and proved fresh. NULL: so it is. */
const char *session_answered(struct session *session);

/* The keys are changed, and the manifest is made anew under them. */
void session_rotate(struct session *session);

/* One more record that nobody has receipted. */
void session_record(struct session *session);
uint64_t session_owed(const struct session *session);
/* Over all that a message of the fleet may change here, beside the records; `held` alone: over
 * documents, manifest and floors. */
void session_digest(const struct session *session, bool held, uint8_t ret_digest[32]);

/* One attack in progress, at a point of the session. */
enum point {
    POINT_ASKED,     /* a hello waits for its answer */
    POINT_AGAIN,     /* a second one does, the first was not answered */
    POINT_WELCOMED,  /* nothing waits */
    POINT_REJOINED,  /* the connection was lost, a hello was not answered, another waits */
    POINT_RESTARTED, /* the same after a power cycle */
    POINTS
};
const char *point_name(enum point point);

/* What a message is meant to do, and how it is judged. */
enum telling {
    TELLING_WELCOME, /* refused, and changes nothing */
    TELLING_RECEIPT, /* refused, and frees nothing */
    TELLING_INSIDE,  /* a welcome that is good: what it carries is refused */
    TELLING_STALE,   /* nothing that could be refused: it must be said that it is stale */
    TELLING_LATE,    /* content that does not come: it must be said that it is late */
};

struct session_variant {
    enum attack attack;
    const char *name;
    enum telling telling;
    unsigned needs; /* as in struct variant, as is `reason` */
    Muster__Refusal reason;
    bool revoked;    /* after the keys were changed */
    unsigned points; /* 1 << point; 0: all */
    void (*prepare)(struct session *session);
    void (*mutate)(struct session *session, struct answer *answer);
    void (*spoil)(struct session *session, struct buf *message);
    /* Not NULL: does all of it. */
    void (*act)(struct session *session);
};

struct session_variants {
    const struct session_variant *list;
    size_t count;
};
extern const struct session_variants attacks_on_welcomes, attacks_on_receipts, attacks_on_silence,
    attacks_on_session_pairs;

/* One case, and the control after it. */
void session_strike(struct session *session, const struct session_variant *variant,
                    const struct thief *thief, enum point point, struct tally *tally);

#endif
