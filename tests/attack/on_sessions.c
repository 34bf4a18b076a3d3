/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in a session: welcomes and receipts that are old, another's, or a thief's; and what
 * is held back. */
#include "proto/limits.h"
#include "tests/attack/session.h"

#include <string.h>

static void replace(struct buf *message, const struct buf *with)
{
    buf_clear(message);
    must(buf_append(message, with->data, with->length, NULL), "memory", NULL);
}

/* ---- on the way ---- */

static void change_body(struct session *session, struct buf *message)
{
    (void)session;
    message->data[message->length / 4] ^= 1;
}

static void change_signature(struct session *session, struct buf *message)
{
    (void)session;
    message->data[message->length - 3] ^= 1;
}

static void cut(struct session *session, struct buf *message)
{
    (void)session;
    message->length--;
}

static void empty(struct session *session, struct buf *message)
{
    (void)session;
    message->length = 0;
}

static void swell(struct session *session, struct buf *message)
{
    static const uint8_t more[4096];
    (void)session;
    while (message->length <= LIMIT_WELCOME_BYTES)
        must(buf_append(message, more, sizeof more, NULL), "memory", NULL);
}

/* The fleet's last one, which was taken. */
static void replay(struct session *session, struct buf *message)
{
    replace(message, &session->welcome);
}

/* ---- nonces ---- */

/* The fleet's answer to the hello before: late, held back, or of the session before. */
static void to_the_hello_before(struct session *session, struct answer *answer)
{
    memcpy(answer->nonce, session->nonce_before, sizeof session->nonce_before);
}

static void to_nobody(struct session *session, struct answer *answer)
{
    (void)session;
    memset(answer->nonce, 0, sizeof answer->nonce);
}

static void to_nothing(struct session *session, struct answer *answer)
{
    (void)session;
    answer->nonce_length = 0;
}

static void to_half(struct session *session, struct answer *answer)
{
    (void)session;
    answer->nonce_length = 8;
}

static void to_more(struct session *session, struct answer *answer)
{
    (void)session;
    answer->nonce_length = sizeof answer->nonce;
}

/* ---- by whom, for whom ---- */

static void as_manifest(struct session *session, struct answer *answer)
{
    (void)session;
    answer->domain = "manifest";
}

static void as_receipt(struct session *session, struct answer *answer)
{
    (void)session;
    answer->domain = "receipt";
}

static void as_welcome(struct session *session, struct answer *answer)
{
    (void)session;
    answer->domain = "welcome";
}

static void by_receipt(struct session *session, struct answer *answer)
{
    (void)session;
    answer->role = MUSTER__ROLE__ROLE_RECEIPT;
    answer->forged = false;
}

static void by_director(struct session *session, struct answer *answer)
{
    (void)session;
    answer->role = MUSTER__ROLE__ROLE_DIRECTOR;
    answer->forged = false;
}

/* As musterd signs it for the other device: this device's nonce and streams in it do not help. */
static void for_another(struct session *session, struct answer *answer)
{
    answer->context = answer->device = session->strike.other;
}

static void relabelled(struct session *session, struct answer *answer)
{
    answer->device = session->strike.other;
}

static void on_anothers_topic(struct session *session, struct answer *answer)
{
    answer->topic_device = session->strike.other;
}

/* ---- what a welcome carries ---- */

static void with_manifest_of_another(struct session *session, struct answer *answer)
{
    struct strike theirs = session->strike;
    struct draft draft;
    struct blobs blobs = {0};
    buf_clear(&session->scratch);
    theirs.device = session->strike.other;
    strike_draft(&theirs, VERSION_NEXT, &draft);
    draft.version = session->strike.version + 1;
    fleet_manifest(&theirs.fleet, NULL, &draft, &blobs, &session->scratch);
    answer->manifest = buf_bytes(&session->scratch);
    blobs_done(&blobs);
}

static void with_older_manifest(struct session *session, struct answer *answer)
{
    answer->manifest = buf_bytes(&session->older);
}

static void with_receipt_of_another(struct session *session, struct answer *answer)
{
    struct answer receipt;
    session_receipt(session, &receipt);
    for_another(session, &receipt);
    session_seal_receipt(session, NULL, &receipt, &session->scratch);
    answer->receipt = buf_bytes(&session->scratch);
}

/* ---- receipts ---- */

/* The fleet was restored, and asks for all again. */
static void restore(struct session *session)
{
    struct answer answer;
    struct err err = {0};
    session_later(session, 1000);
    if (!session->agent->hello.outstanding)
        session_ask(session, 3600000);
    session_welcome(session, &answer);
    answer.again = true;
    session_seal_welcome(session, NULL, &answer, &session->welcome);
    must(session_take(session, TOPIC_DOWN_WELCOME, session->strike.device,
                      buf_bytes(&session->welcome), &err),
         "a fleet that was restored", &err);
}

/* And then the power was cut. */
static void restore_and_restart(struct session *session)
{
    restore(session);
    session_restart(session);
    session_join(session);
}

/* What it receipted before. */
static void from_before(struct session *session, struct answer *answer)
{
    answer->time_ms = session->now_ms - 1;
}

static void beyond(struct session *session, struct answer *answer)
{
    (void)session;
    answer->beyond = 1000;
}

static void to_the_end(struct session *session, struct answer *answer)
{
    (void)session;
    answer->beyond = UINT64_C(1) << 62;
}

static void backwards(struct session *session, struct answer *answer)
{
    (void)session;
    answer->backwards = true;
}

static void no_lane(struct session *session, struct answer *answer)
{
    (void)session;
    answer->lane = 77;
}

/* ---- what is held back ---- */

/* The fleet has a newer manifest, and nobody brings it. */
static void plan(struct session *session)
{
    session_plan(session);
}

static void old_instead(struct session *session)
{
    struct answer answer;
    struct err err = {0};
    if (!session->agent->hello.outstanding)
        session_ask(session, 3600000);
    session_welcome(session, &answer);
    session_seal_welcome(session, NULL, &answer, &session->welcome);
    must(session_take(session, TOPIC_DOWN_WELCOME, session->strike.device,
                      buf_bytes(&session->welcome), &err),
         "the fleet's welcome", &err);
    (void)session_take(session, TOPIC_DOWN_MANIFEST, session->strike.device,
                       buf_bytes(&session->older), &err);
}

static void nothing(struct session *session)
{
    session_later(session, 1000);
}

/* A manifest comes, and of its content nothing. */
static void want(struct session *session)
{
    session_plan(session);
    session_send_manifest(session);
}

static void wait_long(struct session *session)
{
    for (int i = 0; i < 10; i++)
        session_later(session, 60000);
}

/* Something comes under its name each time. */
static void lie(struct session *session)
{
    static const uint8_t other[] = "something else";
    uint8_t wanted[4][32];
    char topic[TOPIC_CHARS];
    for (int i = 0; i < 10; i++) {
        size_t count = registrar_lacks(session->agent->registrar, wanted, 4);
        for (size_t n = 0; n < count && n < 4; n++) {
            struct err err = {0};
            topic_blob(wanted[n], topic);
            must(!agent_take_message(session->agent, topic, bytes_of(other, sizeof other), &err),
                 "a lie is taken", NULL);
        }
        session_later(session, 60000);
    }
}

#define WELCOME .telling = TELLING_WELCOME
#define RECEIPT .telling = TELLING_RECEIPT
#define INSIDE .telling = TELLING_INSIDE, .needs = NEED_DIRECTOR, .points = ASKED
#define STALE .telling = TELLING_STALE
#define LATE .telling = TELLING_LATE, WHY(CONTENT_LATE)
#define BY_DIRECTOR .needs = NEED_DIRECTOR
#define BY_RECEIPT .needs = NEED_RECEIPT
#define ASKED (((1U << POINTS) - 1) & ~(1U << POINT_WELCOMED))
#define WHY(reason_name) .reason = MUSTER__REFUSAL__REFUSAL_##reason_name

static const struct session_variant on_welcomes[] = {
    {ATTACK_FREEZE, "welcome replayed", WELCOME, .spoil = replay, WHY(WELCOME_NONCE)},
    {ATTACK_SLOW, "welcome to the hello before", WELCOME, .mutate = to_the_hello_before,
     WHY(WELCOME_NONCE)},
    {ATTACK_FREEZE, "welcome of a thief to the hello before", WELCOME, BY_DIRECTOR,
     .mutate = to_the_hello_before, WHY(WELCOME_NONCE)},
    {ATTACK_FREEZE, "welcome to nobody", WELCOME, BY_DIRECTOR, .mutate = to_nobody,
     WHY(WELCOME_NONCE)},
    {ATTACK_FREEZE, "welcome to nothing", WELCOME, BY_DIRECTOR, .mutate = to_nothing,
     WHY(WELCOME_NONCE)},
    {ATTACK_FREEZE, "welcome to half a nonce", WELCOME, BY_DIRECTOR, .mutate = to_half,
     WHY(WELCOME_NONCE)},
    {ATTACK_FREEZE, "welcome to more than a nonce", WELCOME, BY_DIRECTOR, .mutate = to_more,
     WHY(WELCOME_NONCE)},
    {ATTACK_ARBITRARY, "welcome changed", WELCOME, .spoil = change_body, WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "welcome's signature changed", WELCOME, .spoil = change_signature,
     WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "welcome signed as a manifest", WELCOME, .mutate = as_manifest,
     WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "welcome signed as a receipt", WELCOME, .mutate = as_receipt,
     WHY(SIGNATURE)},
    {ATTACK_KEYS, "welcome by receipt", WELCOME, .mutate = by_receipt, WHY(SIGNATURE)},
    {ATTACK_KEYS, "welcome by a thief", WELCOME, BY_DIRECTOR, .points = ASKED},
    {ATTACK_KEYS, "welcome by a former director", WELCOME, BY_DIRECTOR, .revoked = true},
    {ATTACK_PARTIAL, "welcome cut", WELCOME, .spoil = cut, WHY(MALFORMED)},
    {ATTACK_DROP, "welcome emptied", WELCOME, .spoil = empty, WHY(MALFORMED)},
    {ATTACK_ENDLESS, "welcome", WELCOME, .spoil = swell, WHY(TOO_LARGE)},
    {ATTACK_ROLLBACK, "an older manifest in a welcome", INSIDE, .mutate = with_older_manifest,
     WHY(MANIFEST_OLD)},
};

static const struct session_variant on_receipts[] = {
    {ATTACK_ARBITRARY, "receipt changed", RECEIPT, .spoil = change_body, WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "receipt's signature changed", RECEIPT, .spoil = change_signature,
     WHY(SIGNATURE)},
    {ATTACK_ARBITRARY, "receipt signed as a welcome", RECEIPT, .mutate = as_welcome,
     WHY(SIGNATURE)},
    {ATTACK_KEYS, "receipt by director", RECEIPT, .mutate = by_director, WHY(SIGNATURE)},
    {ATTACK_KEYS, "receipt by a thief", RECEIPT, BY_RECEIPT},
    {ATTACK_KEYS, "receipt by a former key", RECEIPT, BY_RECEIPT, .revoked = true},
    {ATTACK_ROLLBACK, "receipt from before the restore", RECEIPT, .prepare = restore,
     .mutate = from_before, WHY(RECEIPT_OLD)},
    {ATTACK_ROLLBACK, "receipt from before the restore, after a restart", RECEIPT,
     .prepare = restore_and_restart, .mutate = from_before, WHY(RECEIPT_OLD)},
    {ATTACK_FAST_FORWARD, "receipt of what was never made", RECEIPT, BY_RECEIPT, .mutate = beyond,
     WHY(RECEIPT_STREAM)},
    {ATTACK_FAST_FORWARD, "receipt to the end", RECEIPT, BY_RECEIPT, .mutate = to_the_end,
     WHY(RECEIPT_STREAM)},
    {ATTACK_MIX, "receipt of ranges that go back", RECEIPT, BY_RECEIPT, .mutate = backwards,
     WHY(RECEIPT_STREAM)},
    {ATTACK_EXTRANEOUS, "receipt of a lane that is none", RECEIPT, BY_RECEIPT, .mutate = no_lane,
     WHY(RECEIPT_STREAM)},
    {ATTACK_PARTIAL, "receipt cut", RECEIPT, .spoil = cut, WHY(MALFORMED)},
    {ATTACK_DROP, "receipt emptied", RECEIPT, .spoil = empty, WHY(MALFORMED)},
    {ATTACK_ENDLESS, "receipt", RECEIPT, .spoil = swell, WHY(TOO_LARGE)},
};

static const struct session_variant on_silence[] = {
    {ATTACK_DROP, "welcomes held back", STALE, .points = 1U << POINT_RESTARTED, .act = nothing},
    {ATTACK_FREEZE, "a newer manifest held back", STALE, .prepare = plan, .points = ASKED},
    {ATTACK_FREEZE, "an old manifest instead", STALE, .prepare = plan, .act = old_instead},
    {ATTACK_DROP, "content held back", LATE, .prepare = want, .act = wait_long},
    {ATTACK_MIRROR, "content lied about", LATE, .prepare = want, .act = lie},
};

static const struct session_variant on_pairs[] = {
    {ATTACK_WRONG, "another's welcome", WELCOME, .mutate = for_another, WHY(SIGNATURE)},
    {ATTACK_WRONG, "welcome relabelled", WELCOME, BY_DIRECTOR, .mutate = relabelled, WHY(DEVICE)},
    {ATTACK_WRONG, "welcome on another's topic", WELCOME, .mutate = on_anothers_topic, WHY(DEVICE)},
    {ATTACK_MIX, "another's manifest in a welcome", INSIDE, .mutate = with_manifest_of_another,
     WHY(SIGNATURE)},
    {ATTACK_MIX, "another's receipt in a welcome", INSIDE, .mutate = with_receipt_of_another,
     WHY(SIGNATURE)},
    {ATTACK_WRONG, "another's receipt", RECEIPT, .mutate = for_another, WHY(SIGNATURE)},
    {ATTACK_WRONG, "receipt relabelled", RECEIPT, BY_RECEIPT, .mutate = relabelled, WHY(DEVICE)},
    {ATTACK_WRONG, "receipt on another's topic", RECEIPT, .mutate = on_anothers_topic, WHY(DEVICE)},
};

#define VARIANTS(list)                                                                             \
    {                                                                                              \
        list, sizeof list / sizeof list[0]                                                         \
    }
const struct session_variants attacks_on_welcomes = VARIANTS(on_welcomes);
const struct session_variants attacks_on_receipts = VARIANTS(on_receipts);
const struct session_variants attacks_on_silence = VARIANTS(on_silence);
const struct session_variants attacks_on_session_pairs = VARIANTS(on_pairs);
