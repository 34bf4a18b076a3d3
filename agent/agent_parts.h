/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENT_PARTS_H
#define AGENT_AGENT_PARTS_H

/* What agent.c wires together; for the agent_*.c files, and for a test that is the link and the
 * fleet at once. */

#include "agent/account.h"
#include "agent/actions.h"
#include "agent/agent.h"
#include "agent/content_wait.h"
#include "agent/freshness.h"
#include "agent/gate_hook.h"
#include "agent/hello.h"
#include "agent/import.h"
#include "agent/installer.h"
#include "agent/intake.h"
#include "agent/keyring.h"
#include "agent/lease_kept.h"
#include "agent/linkport.h"
#include "agent/liveness.h"
#include "agent/proofs.h"
#include "agent/recorder.h"
#include "agent/registrar.h"
#include "agent/roots.h"
#include "agent/samples.h"
#include "agent/sender.h"
#include "agent/suspect.h"
#include "agent/timekeeper.h"
#include "agent/txn.h"
#include "base/log.h"
#include "proto/trust.h"

/* Of the link's publishes that carry no batch: the uplink never counts up to it. */
#define HELLO_TOKEN UINT64_MAX

/* An action of the manifest held that may not begin yet. */
struct action_wait {
    char id[LIMIT_ACTION_ID_CHARS + 1]; /* "": free */
    int64_t noted_ms;                   /* time since boot: it is known */
    int64_t since_ms;                   /* and could begin but for its gate; -1: it could not */
    char why[FRESHNESS_WHY_CHARS];
    bool told;
};

/* The word to the fleet that the action under way begins. */
struct action_word {
    bool awaited; /* the receipt of it, and nothing is done yet */
    bool stored;  /* as this record: */
    uint64_t incarnation, seq;
    int64_t since_ms; /* as of action_wait */
    int64_t by_ms;    /* time since boot: then it goes on without a receipt */
};

struct agent_actions {
    struct actions book;
    bool opened;
    bool looking, again;   /* at them; something happened meanwhile */
    bool unsaved;          /* the journal on the medium is not what it should be */
    struct action running; /* id "": none is */
    struct action_wait waits[LIMIT_MANIFEST_ACTIONS];
    struct gate_hook_asker asks[2]; /* the gate hook: is it idle, is it settled? */
    struct helper_call *helper;     /* under way */
    struct action_word word;
    int64_t down_by_ms; /* of a reboot: time since boot by when it should have happened */
    uv_timer_t timer;
};

struct agent {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct agent_settings *settings;
    void (*failed)(void *ctx, enum agent_end end, const struct err *err);
    void *failed_ctx;

    struct roots roots;
    struct trust *trust; /* of `roots` */
    struct sign_key *key;
    struct spool *spool;
    struct recorder *recorder;
    struct linkport *port;
    struct gate_hook_program *gate_hook; /* NULL: there is none */
    struct registrar *registrar;
    struct keyring *keyring;
    struct installer *installer;
    uint8_t packages_of[32]; /* hash of the packages that what runs was asked for last */
    uint8_t keys_of[32];     /* hash of the key blocks that the slots were asked for last */
    struct intake *intake;
    struct sender sender;
    struct hello hello;
    struct freshness freshness;
    struct content_wait content;
    struct txn_guard guard;
    struct suspect_profile suspects;
    uint8_t suspects_of[32]; /* digest of the generation whose code profiles these are */
    /* The same of the last good generation: what is on probation is held to the measure that was
     * there before it. */
    struct suspect_profile good_suspects;
    uint8_t good_suspects_of[32];
    uint64_t suspect_results;
    struct account account;
    struct samples samples;   /* not yet told in a health record */
    int64_t fleet_at_boot_ms; /* the fleet's wall clock when ours since boot was 0; 0: not known */
    uint8_t boot_id[16];

    uv_timer_t pump_timer, probe_timer, forget_timer, look_timer;
    uint64_t pumps, pumps_seen; /* now, and when last looked at */
    bool settled;               /* since the last pump */
    bool closing;

    bool begun; /* OPEN and the first sample are recorded, the registrar may tell its state */
    unsigned forget_rounds;
    bool forget_more; /* the last one removed something and may have left some */

    struct liveness liveness;
    bool told_healthy; /* to the service manager */
    uint64_t progress; /* receipts that freed something */
    struct {
        char why[480]; /* "": none */
        int64_t since_ms, tried_ms;
        uint64_t refused;
        bool full;
        struct log_gate gate;
    } fault; /* records cannot be stored */

    struct {
        bool from_file; /* a manifest that is being looked at */
        struct err why; /* a refusal that a root on its way may settle; code 0: none */
        int64_t since_ms;
    } put_off;

    struct lease lease; /* what the payment application is in the middle of */
    struct lease_kept lease_kept;
    bool lease_unsaved;                 /* what outlives the agent is not yet on the medium */
    struct lease_answer *lease_answers; /* that wait for the end of a switch */
    struct registrar_waited waited_kept;

    struct agent_actions actions;
    struct proofs proofs;
    bool less_told;            /* that a receipt claimed less than an earlier one, this session */
    int64_t receipts_since_ms; /* those issued earlier no longer count: see agent_receipts.c */
    int64_t last_receipt_ms, last_welcome_ms; /* wall */
    struct timekeeper timekeeper;
    int64_t hello_asked_ms; /* time since boot, of the newest hello */
    uint64_t receipts_refused, messages_refused;
    struct log_gate gate; /* of lines that the broker can cause */
};

/* agent.c: does what is due now and plans the next time. Call after anything happened. */
void agent_pump(struct agent *agent);
/* The spool failed for good where no record was given: it must be opened afresh. */
void agent_spool_failed(struct agent *agent, const struct err *err);

/* agent_liveness.c: faults that are told and outlasted, and whether the work gets on. */
void agent_start_looking(struct agent *agent);
/* Records were not stored, or were again. */
void agent_not_stored(struct agent *agent, size_t count, const struct err *err);
void agent_stored(struct agent *agent);
bool agent_healthy(const struct agent *agent, char *why, size_t size);

/* agent_records.c: what goes into the spool. */
bool agent_record_txn(struct agent *agent, Muster__TxnResult *txn, recorder_done *done,
                      void *done_ctx, struct err *err) MUSTER_CHECK;
void agent_record_event(struct agent *agent, const Muster__Event *event);
/* `done` when it is stored, or not; false: it was not even tried. */
bool agent_record_event_then(struct agent *agent, const Muster__Event *event, enum haste haste,
                             recorder_done *done, void *done_ctx);
/* A start that has nothing to tell leaves no record: OPEN, the first sample and what is held are
 * told with the first thing that is recorded, or when there is somebody to hear it. */
void agent_begin(struct agent *agent);
/* What opening the spool had to do, if anything: that is something to tell, also offline. */
void agent_record_opened(struct agent *agent);
/* Takes a sample; it becomes a record when one is due, or `now`. */
void agent_record_health(struct agent *agent, bool now);
void agent_sample_health(struct agent *agent, Muster__Health *ret_health);

/* agent_policy.c: when things go up, and what that costs. */
struct uplink_policy agent_uplink_policy(const struct agent_settings *settings);
/* Reads the code profiles of the generation in force and of the last good one, if those are others
 * than before. */
void agent_load_profiles(struct agent *agent);
/* How much of a hurry a result is in; says so when it is suspect. */
enum haste agent_haste_of(struct agent *agent, const Muster__TxnResult *txn);
/* Takes what the link has counted into the month's account. */
void agent_look_at_traffic(struct agent *agent);
bool agent_load_traffic(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_save_traffic(struct agent *agent);

/* agent_probation.c: what results say of the generation in force. */
struct registrar_probation agent_probation(const struct agent *agent);
bool agent_store_txn(struct agent *agent, const Muster__TxnResult *txn, recorder_done *done,
                     void *done_ctx, struct err *err) MUSTER_CHECK;
/* At the start: those that an end without order has left uncounted. */
void agent_count_again(struct agent *agent);
/* After a switch: those who waited for it are answered. */
void agent_switched(void *ctx);
/* What carries the connection is another: the line is made again. */
void agent_redial(void *ctx);

/* agent_desired.c: desired state on its way to the registrar, and whether it is proved fresh. */
bool agent_take_manifest(struct agent *agent, struct bytes envelope, bool from_file,
                         struct err *err) MUSTER_CHECK;
/* Whether this refusal waits for the fleet's word on which root is the newest. */
bool agent_put_off(struct agent *agent, const struct err *why);
/* It has waited for `least_ms`: it is told now. */
void agent_tell_put_off(struct agent *agent, int64_t least_ms);
/* Does this welcome speak of a root or a manifest that is neither here nor in it? */
bool agent_is_behind(const struct agent *agent, const Muster__Welcome *welcome);
void agent_note_welcome(struct agent *agent, const Muster__Welcome *welcome);
void agent_look_at_freshness(struct agent *agent, char ret_why[FRESHNESS_WHY_CHARS]);
/* What the registry may take, as its events ask; `ctx` is the agent. */
bool agent_look_at_room(void *ctx, struct room *ret_room);
bool agent_tell_trust(struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                      struct err *err) MUSTER_CHECK;

/* agent_packages.c: applications and firmware. */
bool agent_open_installer(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_close_installer(struct agent *agent);
void agent_ask_what_runs(struct agent *agent);
/* Other packages may be in force than before. */
void agent_look_at_packages(struct agent *agent);

/* agent_keys.c: the key slots. */
bool agent_open_keyring(struct agent *agent, struct err *err) MUSTER_CHECK;
/* Other key blocks may be in force than before. */
void agent_look_at_keys(struct agent *agent);
/* Puts itself before `*done` where this result is a sign-on: once it is stored, keys are judged by
 * it. `unwatch` where it was not queued. */
bool agent_watch_sign_on(struct agent *agent, const Muster__TxnResult *txn, recorder_done **done,
                         void **done_ctx, struct err *err) MUSTER_CHECK;
void agent_unwatch_sign_on(recorder_done *done, void *done_ctx);

/* agent_content.c: content that is wanted and does not come. */
void agent_content_wanted(struct agent *agent, const uint8_t (*blobs)[32], const uint64_t *sizes,
                          size_t count);
/* Asks for it and tells that it is late, when that is due. */
void agent_look_at_content(struct agent *agent, int64_t now_ms);
/* The registry's state has changed: what was late may not be lacking any more. */
void agent_content_settled(struct agent *agent);
/* As registrar_state, and which items wait for content that is late. */
bool agent_state(const struct agent *agent, struct arena *arena, Muster__StateReport *ret_state,
                 struct err *err) MUSTER_CHECK;
/* The same, for people on the terminal: with what the fleet knows by itself. */
bool agent_state_shown(const struct agent *agent, struct arena *arena,
                       Muster__StateReport *ret_state, struct err *err) MUSTER_CHECK;
bool agent_tell_content(const struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                        struct err *err) MUSTER_CHECK;

/* agent_session.c: what is said with the fleet beside batches. */
void agent_say_hello(struct agent *agent);
/* False: refused, which is counted and told here. */
bool agent_take_message(struct agent *agent, const char *topic, struct bytes payload,
                        struct err *err);

/* agent_lease.c: what the payment application is in the middle of, and what waits for its end. */
bool agent_open_lease(struct agent *agent, struct err *err) MUSTER_CHECK;
/* Sets those that take what it says, and tell it. */
void agent_lease_handlers(struct intake_handlers *handlers);
/* Writes what outlives the agent, if that is not on the medium; says so once when it fails. */
bool agent_keep_lease(struct agent *agent, struct err *err);
bool agent_take_lease(struct agent *agent, const Muster__LeaseQuery *query,
                      const struct intake_speaker *who, void (*done)(void *done_ctx),
                      void *done_ctx, struct err *err) MUSTER_CHECK;
void agent_lease_gone(struct agent *agent, const void *holder);
/* A person has what is known of a logical terminal forgotten, which is told. */
bool agent_forget_lease(struct agent *agent, const Muster__ForgetQuery *query,
                        const struct intake_speaker *who, struct err *err) MUSTER_CHECK;
/* Those whose answers waited for the end of a switch, or of the replacing of a key. */
void agent_answer_leases(struct agent *agent);
/* For who waits: `ctx` is the agent. */
void agent_look_at_lease(void *ctx, struct gate_lease *ret_lease);
bool agent_tell_lease(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                      struct err *err) MUSTER_CHECK;
bool agent_plan(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                struct err *err) MUSTER_CHECK;

/* agent_decide.c: what a person has looked at. */
struct agent_seen {
    struct bytes generation;            /* its digest; empty: none waited */
    const ProtobufCBinaryData *placing; /* digests of keys and packages */
    size_t placing_count;
};
/* He has just that put in force, in its slot, installed. ERR_CONFLICT: nothing waits, or something
 * else than he has looked at; then nothing is done. */
bool agent_decide(struct agent *agent, const struct agent_seen *seen, const char *who,
                  struct err *err) MUSTER_CHECK;
/* Keys and packages that wait by themselves. */
bool agent_list_placings(const struct agent *agent, struct arena *arena,
                         Muster__Placing ***ret_list, size_t *ret_count,
                         struct err *err) MUSTER_CHECK;

bool agent_load_waited(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_save_waited(struct agent *agent, bool closing);

/* agent_import.c: what comes in a file. */
bool agent_import(struct agent *agent, struct import *import, const Muster__ImportQuery *query,
                  struct arena *arena, Muster__ClientReply *reply, struct err *err) MUSTER_CHECK;

/* agent_roots.c: the chain of trust roots. */
bool agent_open_roots(struct agent *agent, struct err *err) MUSTER_CHECK;
/* That the kept chain was damaged, if it was. */
void agent_tell_roots(struct agent *agent);
/* Has what is gone or changed of the chain on the medium written again, and tells it. */
void agent_check_roots(struct agent *agent);
/* Has the link subscribe to the root after the one in force. */
void agent_await_root(struct agent *agent);
bool agent_take_root(struct agent *agent, uint64_t version, struct bytes envelope,
                     struct err *err) MUSTER_CHECK;

/* agent_receipts.c: receipts, and what a fleet that was restored asks for again. */
bool agent_take_receipt(struct agent *agent, struct bytes envelope, struct err *err) MUSTER_CHECK;
/* Of a welcome that answers the newest hello. */
void agent_take_again(struct agent *agent, const Muster__Welcome *welcome);
bool agent_load_receipts(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_save_receipts(struct agent *agent);

/* agent_clock.c: what is known of true time. Looking at the clock tells of a jump, if there was
 * one. */
bool agent_load_clock(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_save_clock(struct agent *agent);
void agent_look_at_clock(struct agent *agent);
void agent_tell_link_time(struct agent *agent);
void agent_clock_welcomed(struct agent *agent, int64_t fleet_ms);
/* Both times of a result, as far as the application does not say. */
void agent_place_txn(struct agent *agent, Muster__TxnResult *txn);

/* agent_actions.c: what the fleet has ordered to be done once. */
bool agent_open_actions(struct agent *agent, struct err *err) MUSTER_CHECK;
void agent_close_actions(struct agent *agent);
/* Begins what may begin, tells what is to be told, keeps what is not kept. */
void agent_look_at_actions(struct agent *agent);
/* What an application must not begin beside is being done: its sales wait for the end. */
bool agent_interrupts(const struct agent *agent);
/* The terminal or its application is being restarted, or will be once the fleet knows of it. */
bool agent_restarts(const struct agent *agent);
/* agent_lease.c: something is, or a generation is switched, a key replaced. */
bool agent_is_changing(const struct agent *agent);
/* How the action under way ended. */
void agent_action_ended(struct agent *agent, Muster__ActionStep step, const char *fmt, ...)
    MUSTER_PRINTF(3, 4);
void agent_action_logged(struct agent *agent, const struct actions_log *log, const char *text);
/* Those that wait or are being done, and if `ends` the last that were. */
bool agent_list_actions(const struct agent *agent, bool ends, struct arena *arena,
                        Muster__PlanAction ***ret_list, size_t *ret_count,
                        struct err *err) MUSTER_CHECK;

/* agent_actions_gate.c: may it begin beside what the application is in the middle of? `why` takes
 * FRESHNESS_WHY_CHARS: what it waits for. */
bool agent_action_may(struct agent *agent, const struct action *action, int64_t waited_ms,
                      char *ret_why);

/* How its gate stands: when it opens, when what it waits for ends. */
struct gate_answer agent_action_gate(const struct agent *agent, Muster__ActionKind kind,
                                     int64_t waited_ms);
void agent_action_gate_join(struct agent *agent);
void agent_action_gate_leave(struct agent *agent);

/* agent_actions_word.c: what is not done before the fleet knows that it begins. */
bool agent_action_announces(Muster__ActionKind kind);
void agent_word_await(struct agent *agent, int64_t waits_since_ms);
void agent_word_stored(void *ctx, const struct spool_record *record, const struct err *err);
/* Begins what waits for it, if that may begin now. */
void agent_look_at_word(struct agent *agent);

/* agent_actions_kinds.c: doing them. ERR_REFUSED before anything is marked: not on this terminal.
 */
bool agent_action_allowed(const struct agent *agent, const struct action *action,
                          struct err *err) MUSTER_CHECK;
void agent_action_begin(struct agent *agent);

/* agent_logs.c */
bool agent_logs_begin(struct agent *agent, const struct action *action,
                      struct err *err) MUSTER_CHECK;

/* agent_status.c: answers to `muster status` and `muster why`. */
bool agent_status(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                  struct err *err) MUSTER_CHECK;
bool agent_why(struct agent *agent, uint32_t limit, struct arena *arena, Muster__ClientReply *reply,
               struct err *err) MUSTER_CHECK;

#endif
