/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REGISTRY_H
#define STORAGE_REGISTRY_H

#include "base/buf.h"

/*
 * What the terminal holds, as files:
 *
 *   <dir>/current -> generations/NNNNNNNN     what the payment application reads
 *   <dir>/generations/NNNNNNNN/<document>     unchanged files are hard links between generations
 *   <dir>/generations/NNNNNNNN/.items         what the generation is made of (written last)
 *   <dir>/generations/NNNNNNNN/.manifest      the signed manifest it was built from, or
 *                                             a newer one that wants the same
 *   <dir>/generations/NNNNNNNN.tmp            one being built
 *   <dir>/blobs/<sha256>                      content as it was fetched
 *   <dir>/desired                             the newest accepted manifest, signed
 *   <dir>/floors, and a second place          versions below which nothing is accepted
 *   <dir>/failure                             the manifest that did not pass, and why
 *   <dir>/probation, returned                 storage/registry_probation.h
 *
 * Plain blocking calls for a worker thread; the caller never runs two at a time. The registry
 * knows no hash function of its own: the one it is given protects its own small files, so that a
 * damaged one is noticed. Everything is on the medium when a call returns true.
 */
struct registry;

enum {
    REGISTRY_ITEMS = 128,
    REGISTRY_NAME_CHARS = 48,
    REGISTRY_FLOORS = 1024,
    REGISTRY_PATH_BYTES = 768,
};

/* One document as a generation holds it. */
struct registry_item {
    char name[REGISTRY_NAME_CHARS + 1];
    int kind;
    uint64_t epoch; /* 0: from a list that did not keep it */
    uint64_t version;
    uint64_t length;    /* bytes of what the header names: the content; sealed: what is sent */
    uint8_t sha256[32]; /* of the same */
    bool sealed;        /* to this device: only owner and group may read the opened file */
    uint8_t opened[32]; /* sealed: hash of the content, zeros until it was opened; this one never
                           leaves the terminal, for what is secret could be guessed from it */
    uint8_t blob[32];   /* from which the content can be made again */
    uint64_t blob_size;
};

/* The hash that the document's file has in a generation. */
const uint8_t *registry_item_content(const struct registry_item *item);

struct registry_items {
    size_t count;
    struct registry_item items[REGISTRY_ITEMS]; /* ascending by name */
};

struct registry_generation {
    uint64_t number; /* 0: none */
    uint8_t digest[32];
    struct registry_items list;
};

/* `floors` is the path of the second place of the floors, outside `dir`. */
bool registry_open(const char *dir, const char *floors,
                   void (*digest)(struct bytes data, uint8_t ret_digest[32]),
                   struct registry **ret_registry, struct err *err) MUSTER_CHECK;
void registry_close(struct registry *registry);

struct registry_held {
    struct registry_generation current;
    struct registry_generation previous; /* the newest whole one before it */
    uint64_t highest;                    /* number in use, whole or not */
    bool recovered; /* `current` was unusable and now points at another, or at nothing whole */
};

/* Clears what a crash left half-built, finds the generation in force, and points `current` at the
 * newest whole one if it was unusable. Once, after opening. */
bool registry_load(const struct registry *registry, struct registry_held *ret_held,
                   struct err *err) MUSTER_CHECK;

/* Building one generation: begin, then carry and write each document, finish, switch. */
bool registry_build_begin(const struct registry *registry, uint64_t number,
                          struct err *err) MUSTER_CHECK;
/* The same file as in generation `from`, by hard link. */
bool registry_build_carry(const struct registry *registry, uint64_t number, uint64_t from,
                          const char *name, struct err *err) MUSTER_CHECK;
bool registry_build_write(const struct registry *registry, uint64_t number, const char *name,
                          bool sealed, struct bytes content, struct err *err) MUSTER_CHECK;
/* What is too long for memory, public; the caller keeps or drops the writer. */
struct file_writer;
bool registry_build_stream(const struct registry *registry, uint64_t number, const char *name,
                           struct file_writer **ret_writer, struct err *err) MUSTER_CHECK;
bool registry_build_finish(const struct registry *registry,
                           const struct registry_generation *generation, struct bytes manifest,
                           struct err *err) MUSTER_CHECK;
/* Removes what is no part of a finished one: a hook may have left it. */
bool registry_build_sweep(const struct registry *registry,
                          const struct registry_generation *generation,
                          struct err *err) MUSTER_CHECK;
bool registry_build_drop(const struct registry *registry, uint64_t number,
                         struct err *err) MUSTER_CHECK;
/* Puts a finished one in force. */
bool registry_switch(const struct registry *registry, uint64_t number,
                     struct err *err) MUSTER_CHECK;

/* Puts back what the documents of the generation in force need around them: its folder, its list,
 * the link `current`, the folder of blobs. The documents themselves: registry_replace. */
bool registry_mend(const struct registry *registry, const struct registry_generation *generation,
                   bool *ret_mended, struct err *err) MUSTER_CHECK;

/* Replaces one document of a generation by writing it beside and renaming, so that other
 * generations that share the old file keep it. */
bool registry_replace(const struct registry *registry, uint64_t number, const char *name,
                      bool sealed, struct bytes content, struct err *err) MUSTER_CHECK;
/* The list again, after what an item can be made again from has changed. */
bool registry_relist(const struct registry *registry, const struct registry_generation *generation,
                     struct err *err) MUSTER_CHECK;
/* As registry_replace for what is too long for memory, public. */
bool registry_replace_stream(const struct registry *registry, uint64_t number, const char *name,
                             struct file_writer **ret_writer, struct err *err) MUSTER_CHECK;
/* The same, by hard link to the file of generation `from`. */
bool registry_share(const struct registry *registry, uint64_t number, uint64_t from,
                    const char *name, struct err *err) MUSTER_CHECK;

/* What stands in a document's place, itself and not what a link leads to. */
struct registry_look {
    bool folder;
    bool regular;  /* a file; nothing below counts else */
    unsigned mode; /* as in open(2) */
    uint64_t length;
};
/* ERR_NOT_FOUND: nothing does. */
bool registry_look_at(const char *path, struct registry_look *ret_look,
                      struct err *err) MUSTER_CHECK;
bool registry_look(const struct registry *registry, uint64_t number, const char *name,
                   struct registry_look *ret_look, struct err *err) MUSTER_CHECK;
/* Who may do what with the document's file, as in open(2). */
unsigned registry_item_mode(const struct registry_item *item);
/* Gives the file, which is regular, that mode where it stands. */
bool registry_set_mode(const struct registry *registry, uint64_t number,
                       const struct registry_item *item, struct err *err) MUSTER_CHECK;

/* Where things are; `path` takes REGISTRY_PATH_BYTES. */
bool registry_building_path(const struct registry *registry, uint64_t number, char *path,
                            struct err *err) MUSTER_CHECK;
bool registry_generation_path(const struct registry *registry, uint64_t number, char *path,
                              struct err *err) MUSTER_CHECK;
bool registry_document_path(const struct registry *registry, uint64_t number, const char *name,
                            char *path, struct err *err) MUSTER_CHECK;

/* Calls `stray` for every entry of a generation that is neither in its list nor the registry's
 * own; true from it removes the file. Left-overs of interrupted writes go without a question. */
bool registry_strays(const struct registry *registry, const struct registry_generation *generation,
                     bool (*stray)(void *ctx, const char *name), void *ctx,
                     struct err *err) MUSTER_CHECK;

bool registry_blob_write(const struct registry *registry, const uint8_t sha256[32],
                         struct bytes blob, struct err *err) MUSTER_CHECK;
/* As it is on the medium: the caller hashes it. */
bool registry_blob_read(const struct registry *registry, const uint8_t sha256[32], size_t limit,
                        struct buf *ret_blob, struct err *err) MUSTER_CHECK;
bool registry_blob_remove(const struct registry *registry, const uint8_t sha256[32],
                          struct err *err) MUSTER_CHECK;
bool registry_blobs(const struct registry *registry,
                    void (*each)(void *ctx, const uint8_t sha256[32]), void *ctx,
                    struct err *err) MUSTER_CHECK;

/* Removes every generation but those numbered, whole or being built (none numbered: it leaves them
 * all), and every blob that `needed` denies. */
bool registry_prune(const struct registry *registry, const uint64_t *keep, size_t keep_count,
                    bool (*needed)(void *ctx, const uint8_t sha256[32]), void *ctx,
                    struct err *err) MUSTER_CHECK;

/* ERR_NOT_FOUND: there is none. */
bool registry_desired_read(const struct registry *registry, size_t limit, struct buf *ret_envelope,
                           struct err *err) MUSTER_CHECK;
bool registry_desired_write(const struct registry *registry, struct bytes envelope,
                            struct err *err) MUSTER_CHECK;

/* The second copy, which each generation keeps: of the manifest that it was built from, or of a
 * newer one that wants the same. */
bool registry_manifest_read(const struct registry *registry, uint64_t number, size_t limit,
                            struct buf *ret_envelope, struct err *err) MUSTER_CHECK;
bool registry_manifest_write(const struct registry *registry, uint64_t number,
                             struct bytes envelope, struct err *err) MUSTER_CHECK;

/* Of one name, in one epoch: what is of a lower epoch does not count beside it. */
struct registry_floor {
    char name[REGISTRY_NAME_CHARS + 1];
    uint64_t epoch;
    uint64_t minimum;   /* the highest that a header stated; nothing below it is accepted */
    uint64_t final;     /* the highest accepted that cannot go back; 0: none */
    uint64_t version;   /* the highest accepted */
    uint8_t sha256[32]; /* of its content, as its header says */
};

struct registry_floors {
    uint64_t root_version; /* the highest seen */
    uint64_t epoch;        /* of the newest manifest accepted, as are the next two; 0: none yet */
    uint64_t manifest_version;
    uint8_t manifest_digest[32];
    size_t count;
    struct registry_floor rows[REGISTRY_FLOORS];
};

enum { REGISTRY_LOST_CHARS = 320 };
/* The floors lie in two places, so that damage to one does not lower them: read as the higher of
 * each row. None yet: all zero. `ret_lost` says what is gone or damaged of what should be there, or
 * was put back, "": nothing; registry_floors_write puts it right. */
bool registry_floors_read(const struct registry *registry, struct registry_floors *ret_floors,
                          char ret_lost[REGISTRY_LOST_CHARS], struct err *err) MUSTER_CHECK;
/* Whether both places hold these floors, to the byte: `ret_lost` says what does not, "": they do.
 */
bool registry_floors_look(const struct registry *registry, const struct registry_floors *floors,
                          char ret_lost[REGISTRY_LOST_CHARS], struct err *err) MUSTER_CHECK;
/* One place after the other: a power cut leaves at least one of them whole. */
bool registry_floors_write(const struct registry *registry, const struct registry_floors *floors,
                           struct err *err) MUSTER_CHECK;
/* NULL: the name has none. */
const struct registry_floor *registry_floor_of(const struct registry_floors *floors,
                                               const char *name);
/* The row of this name, made if there is none; NULL: no more fit. */
struct registry_floor *registry_floor_row(struct registry_floors *floors, const char *name);
/* Every row at least as high as in `other`. ERR_FULL: no more fit. */
bool registry_floors_merge(struct registry_floors *floors, const struct registry_floors *other,
                           struct err *err) MUSTER_CHECK;

struct registry_failure {
    bool present;
    bool content;              /* an item's content was refused; else the generation */
    int refusal;               /* which check it was, by the caller's numbers; 0: unknown */
    uint8_t digest[32];        /* the caller's, of what is not to be tried again */
    uint64_t manifest_version; /* of the manifest that it failed with */
    uint8_t key[32];           /* that did not open what is sealed, zeros: none was tried */
    char item[REGISTRY_NAME_CHARS + 1]; /* "": no one item */
    char reason[400];
};

bool registry_failure_read(const struct registry *registry, struct registry_failure *ret_failure,
                           struct err *err) MUSTER_CHECK;
bool registry_failure_remove(const struct registry *registry, struct err *err) MUSTER_CHECK;
bool registry_failure_write(const struct registry *registry, const struct registry_failure *failure,
                            struct err *err) MUSTER_CHECK;

#endif
