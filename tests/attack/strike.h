/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ATTACK_STRIKE_H
#define TESTS_ATTACK_STRIKE_H

#include "proto/refusal.h"
#include "tests/attack/terminal.h"

/*
 * One attack in progress. A terminal is brought to a point of its sync, restarted there, given a
 * message that the fleet could have sent but for one thing, and then the same message as it should
 * be. The first must be refused for the right reason and change nothing, the second be taken.
 */
enum stage {
    STAGE_RUNNING,  /* not restarted: a manifest accepted, one of its blobs here */
    STAGE_IDLE,     /* converged, nothing new */
    STAGE_MANIFEST, /* a manifest accepted, none of its blobs here */
    STAGE_BETWEEN,  /* one of its blobs here */
    STAGE_BUILD,    /* all of its blobs here, not built: struck before anything else is done */
    STAGE_SWITCHED, /* its generation is in force */
    STAGES
};

/* The fleet's manifests so far. All are of the same documents. */
enum {
    VERSION_OLD = 9,
    VERSION_HELD = 10,   /* in force before STAGE_SWITCHED */
    VERSION_WANTED = 11, /* accepted from STAGE_MANIFEST on */
    VERSION_NEXT = 12,   /* the control of most attacks */
    DOCUMENT_AID = 0,    /* their places in a draft */
    DOCUMENT_BIN,        /* its minimum rose with VERSION_HELD */
    DOCUMENT_EXTRA,      /* a file */
    DOCUMENT_LIMITS,     /* irreversible from VERSION_HELD on */
    DOCUMENTS_PUBLIC,
    DOCUMENT_PIN = DOCUMENTS_PUBLIC, /* sealed: custodian signs it */
    DOCUMENT_WIFI,                   /* sealed: release signs it */
    DOCUMENTS,
};

enum {
    NEED_ROOT =
        1 << MUSTER__ROLE__ROLE_ROOT, /* a thief's root key is one of three, two are needed */
    NEED_RELEASE = 1 << MUSTER__ROLE__ROLE_RELEASE,
    NEED_CUSTODIAN = 1 << MUSTER__ROLE__ROLE_CUSTODIAN,
    NEED_DIRECTOR = 1 << MUSTER__ROLE__ROLE_DIRECTOR,
    NEED_RECEIPT = 1 << MUSTER__ROLE__ROLE_RECEIPT,
};

struct strike {
    struct fleet fleet;
    const struct thief *thief;
    enum stage stage;
    const char *device, *other; /* whose terminal it is, and another device */
    struct terminal terminal;
    struct blobs blobs; /* what is to be had from the broker */
    bool settled;       /* nothing was left to do when it was struck */
    bool built;         /* VERSION_WANTED was in force then */
    uint64_t epoch, root_version;
    uint64_t version; /* of the fleet's next manifest */
    struct draft draft;
    struct root_draft root;
    Muster__Encoding encoding; /* one that a thief made */
    struct buf scratch;
};

enum message { MESSAGE_MANIFEST, MESSAGE_BLOB, MESSAGE_ROOT, MESSAGE_READ, MESSAGE_DISK };

enum attack {
    ATTACK_ARBITRARY,     /* installation of what nobody released */
    ATTACK_ROLLBACK,      /* to what was good once */
    ATTACK_FAST_FORWARD,  /* so that nothing newer can follow */
    ATTACK_FREEZE,        /* old state shown as the newest */
    ATTACK_ENDLESS,       /* data without an end */
    ATTACK_SLOW,          /* retrieval so slow that it never ends */
    ATTACK_MIX,           /* and match: parts that never belonged together */
    ATTACK_MIXED_BUNDLES, /* different states under one name */
    ATTACK_PARTIAL,       /* bundle: a part of what belongs together */
    ATTACK_EXTRANEOUS,    /* dependencies: more than is asked for */
    ATTACK_WRONG,         /* device, kind or scope */
    ATTACK_EAVESDROP,     /* on what is for one device */
    ATTACK_DROP,          /* of requests and answers */
    ATTACK_MIRROR,        /* that lies about content */
    ATTACK_KEYS,          /* compromised, revoked, used for another role */
    ATTACKS
};

struct variant {
    enum attack attack;
    const char *name;
    enum message message;
    unsigned needs; /* keys that must be stolen, or it fails at their signatures */
    bool revoked;   /* those keys count no more when he strikes */
    /* Why it is refused though all those keys are stolen; REFUSAL_NONE: it is not, and that is a
     * stated limit. */
    Muster__Refusal reason;
    Muster__Refusal lacking; /* a root: why it is refused without the keys */
    bool late;               /* found when the content is looked at */
    bool heals;              /* and then the content is had in another way */
    bool over;       /* a limit after which the fleet can say nothing to this terminal any more */
    unsigned stages; /* 1 << stage; 0: all */
    void (*prepare)(struct strike *strike); /* what the fleet itself does before */
    void (*mutate)(struct strike *strike);  /* before it is signed */
    void (*spoil)(struct strike *strike, struct buf *message); /* the bytes */
    void (*mend)(struct strike *strike); /* what the fleet does before the control */
};

const char *attack_name(enum attack attack);
const char *stage_name(enum stage stage);

/* The fleet's manifest of a version: VERSION_OLD and on. */
void strike_draft(const struct strike *strike, uint64_t version, struct draft *ret_draft);
/* A document of it as release signed it once. */
void public_document(size_t document, uint64_t version, struct document *ret_document);
struct bytes document_content(size_t document, uint64_t version); /* empty: there is none */
/* A thief's manifest says that the file can be had in this way; the caller fills it in. */
Muster__Encoding *strike_encoding(struct strike *strike, Muster__ContentCoding coding);
/* A blob can be had from now on, under this name. */
ProtobufCBinaryData strike_publish(struct strike *strike, struct bytes blob);
/* A root that changes all keys, and raises the epoch or not, is signed and taken. */
void strike_rotate(struct strike *strike, bool epoch);
/* The newest root comes (again). */
void strike_send_root(struct strike *strike);
/* The chain of roots is gone from the disk, and the terminal restarts: the first is in force. */
void strike_put_back_roots(struct strike *strike);

struct tally {
    unsigned cases, accepted, limits, failures;
    unsigned stale; /* cases in which nothing is refused, and it is said that all is stale */
    unsigned reasons[128];
    unsigned attacks[ATTACKS];
};

/* `templates` is a folder for terminals that were brought to a stage before. */
void strike_run(const struct fleet *fleet, const char *templates, const struct variant *variant,
                const struct thief *thief, enum stage stage, const char *device, const char *other,
                struct tally *tally);

struct variants {
    const struct variant *list;
    size_t count;
};
extern const struct variants attacks_on_manifests, attacks_on_documents, attacks_on_content,
    attacks_on_deltas, attacks_on_pieces, attacks_on_roots, attacks_on_secrets, attacks_on_pairs,
    attacks_on_disks;

#endif
