/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/strike.h"

#include "base/file.h"
#include "proto/sealed.h"

#include <stdio.h>
#include <string.h>

struct verdict {
    bool accepted;
    Muster__Refusal reason;
    char text[160];
};

/* ---- bringing a terminal to a stage ---- */

static void first_root(const struct fleet *fleet, struct buf *out)
{
    struct fleet before = *fleet;
    struct root_draft root;
    before.changed = false;
    fleet_root_draft(&before, 1, 1, &root);
    fleet_root(&before, &root, out);
}

static void open_terminal(struct strike *strike, const char *state)
{
    struct buf root = {0};
    first_root(&strike->fleet, &root);
    terminal_open(&strike->terminal, state, fleet_device(&strike->fleet, strike->device),
                  buf_bytes(&root));
    buf_done(&root);
}

void strike_put_back_roots(struct strike *strike)
{
    char state[TERMINAL_PATH], roots[TERMINAL_PATH + 32];
    struct err err = {0};
    memcpy(state, strike->terminal.state, sizeof state);
    must(path_join(roots, sizeof roots, strike->terminal.registry, "roots", &err), "path", &err);
    terminal_close(&strike->terminal);
    must(file_exists(roots) && file_remove_tree(roots, &err), roots, &err);
    open_terminal(strike, state);
    terminal_settle(&strike->terminal);
}

static void push(struct strike *strike, uint64_t version)
{
    struct draft draft;
    struct buf envelope = {0};
    struct err err = {0};
    strike_draft(strike, version, &draft);
    fleet_manifest(&strike->fleet, NULL, &draft, &strike->blobs, &envelope);
    must(terminal_manifest(&strike->terminal, buf_bytes(&envelope), &err), "the fleet's manifest",
         &err);
    buf_done(&envelope);
    terminal_settle(&strike->terminal);
}

static void apply(struct strike *strike, uint64_t version)
{
    push(strike, version);
    terminal_fetch(&strike->terminal, &strike->blobs, SIZE_MAX);
    must(terminal_converged(&strike->terminal), "the fleet's manifest is not applied", NULL);
}

/* The last blob comes to lie in the store, and the terminal goes down before it builds. */
static void store_last(const struct strike *strike, const uint8_t sha256[32])
{
    const struct buf *blob = blobs_find(&strike->blobs, sha256);
    char name[65], path[TERMINAL_PATH + 96], folder[TERMINAL_PATH + 32];
    struct err err = {0};
    hex_encode(sha256, 32, name);
    must(blob != NULL, "no such blob", NULL);
    must(path_join(folder, sizeof folder, strike->terminal.registry, "blobs", &err) &&
             path_join(path, sizeof path, folder, name, &err) &&
             file_write(path, buf_bytes(blob), 0600, &err),
         "a blob in the store", &err);
}

static void make_template(struct strike *strike, const char *state)
{
    uint8_t lacks[8][32];
    size_t count = 0;
    open_terminal(strike, state);
    apply(strike, VERSION_OLD);
    apply(strike, VERSION_HELD);
    if (strike->stage >= STAGE_MANIFEST)
        push(strike, VERSION_WANTED);
    if (strike->stage == STAGE_BETWEEN || strike->stage == STAGE_BUILD)
        terminal_fetch(&strike->terminal, &strike->blobs, 1);
    if (strike->stage == STAGE_SWITCHED)
        terminal_fetch(&strike->terminal, &strike->blobs, SIZE_MAX);
    count = registrar_lacks(strike->terminal.registrar, lacks, 8);
    terminal_close(&strike->terminal);
    for (size_t i = 0; strike->stage == STAGE_BUILD && i < count; i++)
        store_last(strike, lacks[i]);
}

/* All content that the fleet ever published. */
static void publish_all(struct strike *strike)
{
    const struct fleet_device *device = fleet_device(&strike->fleet, strike->device);
    struct buf packed = {0};
    for (size_t i = 0; i < FLEET_SECRETS; i++)
        for (size_t version = 0; version < FLEET_SECRET_VERSIONS; version++)
            (void)blobs_add(&strike->blobs, buf_bytes(&device->secrets[i][version].sealed));
    for (size_t i = 0; i < DOCUMENTS_PUBLIC; i++) {
        for (uint64_t version = 1; document_content(i, version).length > 0; version++) {
            buf_clear(&packed);
            fleet_pack(&strike->fleet, document_content(i, version), &packed);
            (void)blobs_add(&strike->blobs, buf_bytes(&packed));
        }
    }
    buf_done(&packed);
}

/* STAGE_RUNNING begins as STAGE_IDLE. */
static void reach(struct strike *strike, const char *templates)
{
    char from[TERMINAL_PATH], to[TERMINAL_PATH];
    enum stage stage = strike->stage;
    (void)snprintf(from, sizeof from, "%s/%s-%d", templates, strike->device,
                   stage == STAGE_RUNNING ? (int)STAGE_IDLE : (int)stage);
    (void)snprintf(to, sizeof to, "%s/terminal", templates);
    strike->stage = stage == STAGE_RUNNING ? STAGE_IDLE : stage;
    if (!file_exists(from))
        make_template(strike, from);
    strike->stage = stage;
    must(file_remove_tree(to, NULL), to, NULL);
    folder_copy(from, to);
    publish_all(strike);
    open_terminal(strike, to);
    if (stage == STAGE_RUNNING) {
        push(strike, VERSION_WANTED);
        terminal_fetch(&strike->terminal, &strike->blobs, 1);
    }
    if (stage != STAGE_BUILD)
        terminal_settle(&strike->terminal);
}

/* ---- the attack ---- */

/* What it is refused for. */
static Muster__Refusal expected(const struct variant *variant, const struct thief *thief)
{
    unsigned has = variant->revoked ? 0 : thief->roles & ~(unsigned)NEED_ROOT;
    unsigned lacks;
    if (!variant->revoked && thief->every_root)
        has |= NEED_ROOT;
    lacks = variant->needs & ~has;
    if ((lacks & NEED_ROOT) != 0)
        return variant->lacking;
    if ((lacks & NEED_DIRECTOR) != 0)
        return MUSTER__REFUSAL__REFUSAL_SIGNATURE;
    if (lacks != 0)
        return MUSTER__REFUSAL__REFUSAL_DOCUMENT_SIGNATURE;
    return variant->reason;
}

static void take_error(struct verdict *verdict, const struct err *err)
{
    verdict->accepted = false;
    verdict->reason = refusal_of(err);
    (void)snprintf(verdict->text, sizeof verdict->text, "%.150s", err->text);
}

static void strike_manifest(struct strike *strike, const struct variant *variant,
                            struct verdict *verdict)
{
    struct buf envelope = {0};
    struct err err = {0};
    strike_draft(strike, strike->version, &strike->draft);
    if (variant->mutate != NULL)
        variant->mutate(strike);
    fleet_manifest(&strike->fleet, strike->thief, &strike->draft, &strike->blobs, &envelope);
    if (variant->spoil != NULL)
        variant->spoil(strike, &envelope);
    strike->terminal.failed = false;
    if (!terminal_manifest(&strike->terminal, buf_bytes(&envelope), &err)) {
        take_error(verdict, &err);
    } else {
        if (strike->draft.version >= strike->version)
            strike->version = strike->draft.version + 1;
        terminal_fetch(&strike->terminal, &strike->blobs, SIZE_MAX);
        verdict->accepted = !strike->terminal.failed;
        verdict->reason = strike->terminal.told;
    }
    buf_done(&envelope);
}

static void strike_blob(struct strike *strike, const struct variant *variant,
                        struct verdict *verdict)
{
    uint8_t wanted[8][32];
    struct buf blob = {0};
    struct err err = {0};
    must(registrar_lacks(strike->terminal.registrar, wanted, 8) > 0, "nothing is wanted", NULL);
    const struct buf *right = blobs_find(&strike->blobs, wanted[0]);
    must(right != NULL && buf_append(&blob, right->data, right->length, &err), "a blob", &err);
    variant->spoil(strike, &blob);
    verdict->accepted = registrar_blob(
        strike->terminal.registrar, strike->scratch.length == 32 ? strike->scratch.data : wanted[0],
        buf_bytes(&blob), &err);
    if (!verdict->accepted)
        take_error(verdict, &err);
    buf_done(&blob);
}

static void strike_root(struct strike *strike, const struct variant *variant,
                        struct verdict *verdict)
{
    struct buf envelope = {0};
    struct err err = {0};
    fleet_root_draft(&strike->fleet, strike->root_version + 1, strike->epoch, &strike->root);
    if (variant->mutate != NULL)
        variant->mutate(strike);
    fleet_root(&strike->fleet, &strike->root, &envelope);
    if (variant->spoil != NULL)
        variant->spoil(strike, &envelope);
    verdict->accepted = terminal_root(&strike->terminal, buf_bytes(&envelope), &err);
    if (verdict->accepted)
        strike->root_version++;
    else
        take_error(verdict, &err);
    buf_done(&envelope);
}

/* While it is off he writes to its disk; `spoil` is given an old manifest as the fleet signed it.
 */
static void strike_disk(struct strike *strike, const struct variant *variant,
                        struct verdict *verdict)
{
    struct buf old = {0};
    char state[TERMINAL_PATH];
    strike_draft(strike, VERSION_OLD, &strike->draft);
    fleet_manifest(&strike->fleet, NULL, &strike->draft, &strike->blobs, &old);
    memcpy(state, strike->terminal.state, sizeof state);
    terminal_close(&strike->terminal);
    variant->spoil(strike, &old);
    open_terminal(strike, state);
    terminal_settle(&strike->terminal);
    verdict->accepted = !strike->terminal.failed;
    verdict->reason = strike->terminal.told;
    buf_done(&old);
}

static bool is_in(struct bytes needle, struct bytes hay)
{
    return memmem(hay.data, hay.length, needle.data, needle.length) != NULL;
}

/* He has all that was ever sent to the device, and another device's key. */
static void strike_read(struct strike *strike, struct verdict *verdict)
{
    const struct fleet_device *device = fleet_device(&strike->fleet, strike->device);
    const struct fleet_device *other = fleet_device(&strike->fleet, strike->other);
    struct sealing_key *key = NULL;
    struct err err = {0};
    must(sealing_key_read(other->sealing_key, &key, &err), "a sealing key", &err);
    for (size_t i = 0; i < FLEET_SECRETS * FLEET_SECRET_VERSIONS; i++) {
        const struct secret *secret = &device->secrets[i % FLEET_SECRETS][i / FLEET_SECRETS];
        struct buf content = {0};
        verdict->accepted =
            sealed_open(key, buf_bytes(&secret->sealed), &content, &err) || verdict->accepted;
        secret_done(&content);
        for (size_t blob = 0; blob < strike->blobs.count; blob++)
            verdict->accepted =
                is_in(buf_bytes(&secret->plain), buf_bytes(&strike->blobs.list[blob].bytes)) ||
                verdict->accepted;
    }
    sealing_key_free(key);
    if (!verdict->accepted)
        take_error(verdict, &err);
}

/* What the fleet itself does before. */
static void make_ready(struct strike *strike, const struct variant *variant)
{
    struct draft draft;
    strike->settled = variant->prepare != NULL || strike->stage != STAGE_BUILD;
    if (variant->prepare != NULL)
        variant->prepare(strike);
    if (variant->message == MESSAGE_BLOB) {
        terminal_settle(&strike->terminal);
        strike->settled = true;
        if (registrar_lacks(strike->terminal.registrar, NULL, 0) == 0)
            push(strike, VERSION_NEXT);
    }
    strike_draft(strike, VERSION_WANTED, &draft);
    strike->built = terminal_holds(&strike->terminal, &draft);
}

/* ---- the control ---- */

/* The message as it should have been is taken, and what it wants is in force. What a thief got
 * `taken` is undone by new keys and the next epoch. */
static const char *control(struct strike *strike, const struct variant *variant, bool taken)
{
    struct draft draft;
    struct err err = {0};
    uint64_t wanted = registrar_manifest_version(strike->terminal.registrar);
    if (variant->mend != NULL)
        variant->mend(strike);
    if (variant->message == MESSAGE_ROOT) {
        struct root_draft root;
        struct buf envelope = {0};
        fleet_root_draft(&strike->fleet, ++strike->root_version, strike->epoch, &root);
        fleet_root(&strike->fleet, &root, &envelope);
        must(terminal_root(&strike->terminal, buf_bytes(&envelope), &err), "the control root",
             &err);
        buf_done(&envelope);
    }
    if (taken && variant->message == MESSAGE_MANIFEST) {
        strike_rotate(strike, true);
        strike->version = VERSION_NEXT; /* of the new epoch, however far the thief went */
    }
    if (variant->message == MESSAGE_BLOB) {
        terminal_fetch(&strike->terminal, &strike->blobs, SIZE_MAX);
    } else {
        wanted = strike->version;
        apply(strike, wanted);
    }
    strike_draft(strike, wanted, &draft);
    if (variant->message == MESSAGE_BLOB && strike->draft.count > 0)
        draft = strike->draft; /* as the fleet itself had it */
    if (!terminal_converged(&strike->terminal))
        return "the control is not applied";
    return terminal_holds(&strike->terminal, &draft) ? NULL : "the control is not what is held";
}

/* What the thief sent led nowhere, and the documents, which release signed, came all the same. */
static const char *healed(const struct strike *strike)
{
    if (!terminal_converged(&strike->terminal))
        return "no other way was taken";
    return terminal_holds(&strike->terminal, &strike->draft) ? NULL
                                                             : "it holds what nobody released";
}

/* After an attack that nobody took. */
static const char *nothing_changed(struct strike *strike, const uint8_t before[32], bool late)
{
    struct draft draft;
    uint8_t after[32];
    uint64_t held = VERSION_HELD;
    terminal_settle(&strike->terminal);
    terminal_held(&strike->terminal, after);
    if (!late && strike->settled && memcmp(before, after, sizeof after) != 0)
        return "what it keeps has changed";
    /* What was wanted before is built as soon as it is left to itself. */
    if (strike->built || (strike->stage == STAGE_BUILD && !late && !strike->settled))
        held = VERSION_WANTED;
    strike_draft(strike, held, &draft);
    return terminal_holds(&strike->terminal, &draft) ? NULL : "what is in force has changed";
}

static const char *judge(struct strike *strike, const struct variant *variant,
                         const struct verdict *verdict, const uint8_t before[32],
                         struct tally *tally)
{
    Muster__Refusal reason = expected(variant, strike->thief);
    const char *wrong = NULL;
    if (reason == MUSTER__REFUSAL__REFUSAL_NONE) {
        tally->limits++;
        if (verdict->accepted && variant->over)
            return NULL;
        if (!verdict->accepted)
            wrong = "a stated limit that is refused";
    } else {
        tally->cases++;
        tally->attacks[variant->attack]++;
        tally->accepted += verdict->accepted ? 1 : 0;
        tally->reasons[verdict->reason]++;
        if (verdict->accepted)
            wrong = "ACCEPTED";
        else if (verdict->reason != reason)
            wrong = "refused for another reason";
        else if (variant->heals && reason == variant->reason)
            wrong = healed(strike);
        else
            wrong = nothing_changed(strike, before, variant->late && reason == variant->reason);
    }
    return wrong != NULL ? wrong : control(strike, variant, verdict->accepted);
}

void strike_run(const struct fleet *fleet, const char *templates, const struct variant *variant,
                const struct thief *thief, enum stage stage, const char *device, const char *other,
                struct tally *tally)
{
    struct strike strike = {.fleet = *fleet,
                            .thief = thief,
                            .stage = stage,
                            .device = device,
                            .other = other,
                            .epoch = 1,
                            .root_version = 1,
                            .version = VERSION_NEXT};
    struct verdict verdict = {0};
    uint8_t before[32];
    reach(&strike, templates);
    make_ready(&strike, variant);
    terminal_held(&strike.terminal, before);
    switch (variant->message) {
    case MESSAGE_BLOB:
        strike_blob(&strike, variant, &verdict);
        break;
    case MESSAGE_ROOT:
        strike_root(&strike, variant, &verdict);
        break;
    case MESSAGE_READ:
        strike_read(&strike, &verdict);
        break;
    case MESSAGE_DISK:
        strike_disk(&strike, variant, &verdict);
        break;
    case MESSAGE_MANIFEST:
    default:
        strike_manifest(&strike, variant, &verdict);
        break;
    }
    const char *wrong = judge(&strike, variant, &verdict, before, tally);
    if (wrong != NULL) {
        char want[REFUSAL_NAME_CHARS], got[REFUSAL_NAME_CHARS];
        refusal_name(expected(variant, thief), want);
        refusal_name(verdict.reason, got);
        (void)fprintf(stderr, "%s/%s, stolen: %s, %s, %s and %s: %s (%s; it should be %s) %s\n",
                      attack_name(variant->attack), variant->name, thief->name, stage_name(stage),
                      device, other, wrong, got, want, verdict.text);
        tally->failures++;
    }
    terminal_close(&strike.terminal);
    blobs_done(&strike.blobs);
    buf_done(&strike.scratch);
}
