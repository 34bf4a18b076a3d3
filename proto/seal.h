/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SEAL_H
#define PROTO_SEAL_H

#include "base/buf.h"

/*
 * Signing and verifying envelopes (envelope.proto). Ed25519 (RFC 8032) through OpenSSL, unless a
 * key is told otherwise.
 * Domains: "batch" "hello" "receipt" "welcome" "manifest" "document" "root", and the agent's own
 * "guard", which is never sent.
 */
#define SEAL_DOCUMENT "document"
/* Of a header that only asks what would become of the document: it shows who has the keys, and is
 * good for nothing else. */
#define SEAL_DOCUMENT_DRY_RUN "document-dry-run"

enum { KEY_ID_BYTES = 8 };

struct sign_key;   /* a private key and its id */
struct verify_key; /* a public key and its id */

/* Private keys are PEM (PKCS #8) files; a file that others may read is refused. */
bool sign_key_read(const char *path, struct sign_key **ret_key, struct err *err) MUSTER_CHECK;
/* Makes a new key and writes it to `path`, mode 0600; an existing file is ERR_CONFLICT. */
bool sign_key_make(const char *path, struct sign_key **ret_key, struct err *err) MUSTER_CHECK;
void sign_key_free(struct sign_key *key);

/* Signs with a private half that is kept elsewhere, in a token for one. */
struct signer {
    bool (*sign)(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err);
    void (*close)(void *ctx); /* by sign_key_free */
    void *ctx;
};
/* Takes `signer` over when it succeeds. Each signature is checked against `spki` before it counts.
 */
bool sign_key_of_signer(struct bytes spki, struct signer signer, struct sign_key **ret_key,
                        struct err *err) MUSTER_CHECK;
/* Signs through another library than OpenSSL from now on: `make` makes a signer of the private half
 * (RFC 8032's 32 bytes), which is wiped behind it. */
bool sign_key_through(struct sign_key *key,
                      bool (*make)(const uint8_t private[32], struct signer *ret_signer,
                                   struct err *err),
                      struct err *err) MUSTER_CHECK;
/* The public half as DER SubjectPublicKeyInfo (RFC 8410); valid as long as the key. */
struct bytes sign_key_spki(const struct sign_key *key);

bool verify_key_of_spki(struct bytes spki, struct verify_key **ret_key,
                        struct err *err) MUSTER_CHECK;
/* The same, but another library than OpenSSL verifies. */
typedef bool (*ed25519_verifier)(const uint8_t public[32], struct bytes text,
                                 const uint8_t signature[64]);
bool verify_key_through(struct bytes spki, ed25519_verifier verifier, struct verify_key **ret_key,
                        struct err *err) MUSTER_CHECK;
/* PEM "PUBLIC KEY" or the private key's file. */
bool verify_key_read(const char *path, struct verify_key **ret_key, struct err *err) MUSTER_CHECK;
void verify_key_free(struct verify_key *key);
const uint8_t *verify_key_id(const struct verify_key *key); /* KEY_ID_BYTES */
struct bytes verify_key_spki(const struct verify_key *key);
/* Appends it as PEM "PUBLIC KEY". */
bool verify_key_pem(const struct verify_key *key, struct buf *out, struct err *err) MUSTER_CHECK;

struct key_set {
    struct verify_key **keys; /* `count` of them */
    size_t count;
    size_t threshold; /* this many different keys must have signed; 0 is never satisfied */
};

/* Appends the Envelope of `body`, signed by every key. `name_keys` writes key ids; without it the
 * receiver must know the one key from the context. `context` may be "". */
bool seal(const char *domain, const char *context, struct bytes body,
          const struct sign_key *const *keys, size_t key_count, bool name_keys, struct buf *out,
          struct err *err) MUSTER_CHECK;

/* Appends `envelope`, which may have no signature yet, with one more by each key; a key that has
 * signed before does it anew. */
bool seal_add(const char *domain, const char *context, struct bytes envelope,
              const struct sign_key *const *keys, size_t key_count, struct buf *out,
              struct err *err) MUSTER_CHECK;
/* Whether the envelope has a good signature by this key, which it names. */
bool sealed_by(const char *domain, const char *context, struct bytes envelope,
               const struct verify_key *key);

/* Checks the signatures and gives the body, which points into `envelope`. ERR_INVALID: not an
 * envelope; ERR_REFUSED: too few good signatures by different keys of `keys`. */
bool unseal(const char *domain, const char *context, struct bytes envelope,
            const struct key_set *keys, struct bytes *ret_body, struct err *err) MUSTER_CHECK;

void sha256(struct bytes data, uint8_t ret_digest[32]);
struct sha256_state;                     /* for content that is not in memory at once */
struct sha256_state *sha256_begin(void); /* NULL: no memory */
void sha256_add(struct sha256_state *state, struct bytes data);
/* Ends one digest and begins the next: OpenSSL takes longer to begin than to hash a record. */
void sha256_next(struct sha256_state *state, uint8_t ret_digest[32]);
void sha256_end(struct sha256_state *state, uint8_t ret_digest[32]); /* frees it */

#endif
