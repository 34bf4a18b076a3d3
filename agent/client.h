/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * libmuster: hands a payment application's results to muster-agent on the same terminal.
 *
 * Time: muster_record and muster_lease_* return within the deadline, whatever state the agent is
 * in, and at once when no agent is there. No other function here waits for anything. A result or a
 * word that could not be handed over is no reason to hold up a sale.
 *
 * Cards: no field takes a PAN, a BIN, track data, a card code or a PIN block, and none of them may
 * be written into a field that takes text. A card is told apart by `card_token` alone.
 *
 * Threads and processes: a client belongs to one thread at a time and is not used after fork in the
 * child; two threads open one each. Nothing here installs a signal handler or raises SIGPIPE.
 *
 * Memory: whatever the caller passes stays the caller's and is not kept after the call.
 */
struct muster_client;

struct muster_client_settings {
    const char *socket_path; /* NULL: /run/muster/client.sock */
    int deadline_ms;         /* for each call; 0: 50 */
};

enum muster_status {
    MUSTER_STORED = 0,
    MUSTER_DUPLICATE,   /* stored by an earlier call with this key; the first answer is repeated */
    MUSTER_INVALID,     /* refused; the same again will be refused again */
    MUSTER_FULL,        /* not stored: the agent has no room; may pass */
    MUSTER_FAILED,      /* not stored: the agent's disk or this process's memory failed */
    MUSTER_UNREACHABLE, /* no agent answers there; hand it over later under the same key */
    MUSTER_TIMEOUT,     /* may be stored or not; hand it over later under the same key */
};

struct muster_bytes {
    const void *data;
    size_t length; /* 0: absent */
};

enum muster_txn_type {
    MUSTER_TXN_UNKNOWN = 0,
    MUSTER_TXN_SALE = 1,
    MUSTER_TXN_VOID = 2,
    MUSTER_TXN_REFUND = 3,
    MUSTER_TXN_PREAUTH = 4,
    MUSTER_TXN_PREAUTH_COMPLETION = 5,
    MUSTER_TXN_BALANCE = 6,
    MUSTER_TXN_REVERSAL = 7,
    MUSTER_TXN_SIGN_ON = 8,
    MUSTER_TXN_SETTLEMENT = 9,
};

enum muster_entry_mode {
    MUSTER_ENTRY_UNKNOWN = 0,
    MUSTER_ENTRY_CHIP = 1,
    MUSTER_ENTRY_CONTACTLESS = 2,
    MUSTER_ENTRY_SWIPE = 3,
    MUSTER_ENTRY_KEYED = 4,
    MUSTER_ENTRY_QR = 5,
};

enum muster_fallback { /* why the chip was not used */
                       MUSTER_FALLBACK_NONE = 0,
                       MUSTER_FALLBACK_NO_ATR = 1,
                       MUSTER_FALLBACK_PROTOCOL = 2,
                       MUSTER_FALLBACK_CARD_REMOVED = 3,
                       MUSTER_FALLBACK_NO_COMMON_AID = 4,
                       MUSTER_FALLBACK_GPO = 5,
                       MUSTER_FALLBACK_READ_RECORD = 6,
};

enum muster_outcome {
    MUSTER_OUTCOME_UNKNOWN = 0, /* refused: a result has an outcome */
    MUSTER_OUTCOME_APPROVED = 1,
    MUSTER_OUTCOME_DECLINED = 2,
    MUSTER_OUTCOME_NO_ANSWER = 3,   /* timeout, line lost */
    MUSTER_OUTCOME_CANCELLED = 4,   /* by the cardholder or the clerk */
    MUSTER_OUTCOME_READ_FAILED = 5, /* the card was never read */
};

enum muster_code_source {
    MUSTER_CODE_NONE = 0,
    MUSTER_CODE_HOST = 1,
    MUSTER_CODE_OFFLINE = 2, /* the terminal's own: Y1, Z1, ... */
    MUSTER_CODE_TIMEOUT = 3,
    MUSTER_CODE_REVERSAL = 4,
};

enum muster_network {
    MUSTER_NETWORK_UNKNOWN = 0,
    MUSTER_NETWORK_ETHERNET = 1,
    MUSTER_NETWORK_WIFI = 2,
    MUSTER_NETWORK_2G = 3,
    MUSTER_NETWORK_3G = 4,
    MUSTER_NETWORK_4G = 5,
    MUSTER_NETWORK_5G = 6,
};

/* One transaction's outcome. Zero-initialise it and set what is known; only `outcome` must be set.
 * Texts are NUL-ended UTF-8, NULL when absent; their greatest lengths are in bytes. */
struct muster_txn {
    /* 1 to 32 bytes that name this result and no other on this terminal; a retry repeats them.
     * Absent, the better choice where it can be kept until the answer is there: the call makes one
     * of 8 bytes and tells it in its answer; keys made here cost next to nothing on the way up. */
    struct muster_bytes idempotency_key;
    /* When the sale was made. The agent tells by it which tables and parameters it was made with,
     * also when it is handed over late. */
    int64_t wall_ms;   /* UTC, since 1970; 0: the agent's clock */
    uint64_t boot_ms;  /* CLOCK_BOOTTIME; 0: the agent's clock */
    uint32_t terminal; /* logical terminal: its index on this device, 0..255 */
    uint32_t acquirer; /* acquirer index of the device's parameters, 0..255 */
    uint32_t code_profile_version;
    uint32_t stan;         /* DE 11, 1..999999 */
    uint32_t batch_number; /* 1..999999 */
    enum muster_txn_type type;
    enum muster_entry_mode entry_mode;
    enum muster_fallback fallback;
    uint32_t scheme; /* 1 UnionPay 2 Visa 3 Mastercard 4 Amex 5 JCB 6 Discover, 7..255 local */
    struct muster_bytes aid;   /* ISO/IEC 7816-4 application identifier, 5..16 bytes */
    const char *issuer_bucket; /* the application's name for the issuer, never a BIN; 24 */
    uint32_t bin_table_version;
    struct muster_bytes card_token; /* 8 bytes: a keyed hash made inside the secure boundary */
    uint32_t token_key_version;
    const char *rrn;       /* DE 37, letters and digits; 12 */
    const char *auth_code; /* DE 38, letters and digits; 6 */
    uint64_t amount_minor; /* in the currency's minor unit, up to 12 digits */
    uint32_t currency;     /* ISO 4217 numeric */
    enum muster_outcome outcome;
    const char *code; /* DE 39 or the terminal's own, letters and digits; 4 */
    enum muster_code_source code_source;
    uint32_t host_hint;             /* UnionPay processing requirement digit, 0..9 */
    struct muster_bytes tvr;        /* 5 bytes, EMV Book 3 annex C5 */
    struct muster_bytes tsi;        /* 2 bytes, EMV Book 3 annex C6 */
    struct muster_bytes cvm_result; /* 3 bytes, EMV tag 9F34 */
    struct muster_bytes capk_rid;   /* 5 bytes */
    uint32_t capk_index;            /* 0..255 */
    bool online_pin;
    uint32_t read_ms, connect_ms, tls_ms, host_ms, total_ms; /* how long each part took */
    uint32_t attempts;                                       /* 0..1000 */
    bool reversal_pending;
    enum muster_network network;
    int32_t signal_dbm;           /* 0: unknown */
    const char *app_version;      /* 24 */
    const char *firmware_version; /* 24 */
    /* The application's own word: evidence that needs no code and no BIN. */
    bool table_miss;    /* card not in my table */
    bool default_route; /* sent where unknown cards go */
    bool issuer_unknown;
    bool no_common_aid;
    bool key_missing; /* no CA key for (capk_rid, capk_index) */
};

/* Filled by every call, also by one that fails. */
struct muster_answer {
    enum muster_status status;
    uint8_t key[32]; /* the idempotency key that was used: repeat it in a retry */
    size_t key_length;
    uint64_t incarnation, seq; /* the record's id; set when stored or a duplicate */
    char text[480];            /* when not stored: what, where, why and the next step; one line */
};

/*
 * What the application is in the middle of. The agent puts nothing in force under it that could
 * harm it: tables and CA keys wait for the end of a transaction; parameters, keys and software for
 * a settled batch without a reversal too. It waits for as long as it takes: after a time that the
 * terminal's owner sets it asks a person, it never forces itself on the application.
 *
 *   muster_lease_set(client, 0, reversal, batch, &lease);   at the start, and when either changes
 *   muster_lease_begin(client, 0, 0, &lease);   before the first byte of registration data is read
 *   ... read the card, look up its range, ask the host ...
 *   muster_lease_end(client, 0, &lease);        when the outcome is known
 *
 * At the start of the application: it says with muster_lease_set, of each logical terminal that it
 * has, how reversal and batch stand. Of one that it never says so of, both may be open: nothing
 * that waits for a settled batch is put in force. They are the terminal's, whichever client says
 * them, and stay until they are said otherwise, over restarts of the application, the agent and the
 * device.
 *
 * Transactions: between begin and end the files below `lease.path` stay whole and as they are (if
 * a person puts more than one change in force in the middle of it, those of the first are gone).
 * A transaction is its client's: it ends with `end` of the same client, with that client's
 * connection (a program that dies in it holds nothing up), or after hold_ms; one that goes on for
 * longer is begun again while it does. Other clients in one of the same terminal change nothing of
 * it. A result that the same client hands over next, of the same terminal, is one that was made
 * with what its begin was answered.
 *
 * What a call could not say is said again by the next call of this client, as is all that holds
 * when the agent was restarted. Whatever the status of begin is, go on with the sale. With no agent
 * there (MUSTER_UNREACHABLE), or one that is late (MUSTER_TIMEOUT), or one that refuses
 * (MUSTER_INVALID, MUSTER_FULL, MUSTER_FAILED), open <registry>/current once, and read everything
 * below that one descriptor: it always leads to a whole generation. MUSTER_FULL and MUSTER_FAILED
 * of muster_lease_set: the agent knows, but its disk does not; it tries again by itself.
 */
enum { MUSTER_HOLD_MAX_MS = 600000, MUSTER_LEASE_TERMINALS = 16 };

/* Filled by every call, also by one that fails. */
struct muster_lease {
    enum muster_status status;     /* MUSTER_STORED: the agent knows */
    uint64_t generation;           /* in force; 0: none, or not known */
    uint8_t generation_digest[32]; /* the same on every terminal that holds the same */
    char path[768];                /* its folder, absolute; "" without one */
    char waiting[160];             /* what waits for the application, ""; for a log or a clerk */
    char text[480];                /* when not said: what, where, why and the next step; one line */
};

/* Opens nothing yet: the first call connects, and so does one after the agent was restarted.
 * NULL: no memory, or a socket path longer than a socket's name may be. `settings` may be NULL. */
struct muster_client *muster_client_open(const struct muster_client_settings *settings);
void muster_client_close(struct muster_client *client); /* NULL is fine */

/* True when the agent has committed the result to disk: MUSTER_STORED or MUSTER_DUPLICATE. */
bool muster_record(struct muster_client *client, const struct muster_txn *txn,
                   struct muster_answer *ret_answer);

/* `terminal` is the logical terminal, as in muster_txn; at most 16 of them for a client. `hold_ms`:
 * 0 stands for two minutes, at most MUSTER_HOLD_MAX_MS. True: the agent knows (MUSTER_STORED). */
bool muster_lease_begin(struct muster_client *client, uint32_t terminal, uint32_t hold_ms,
                        struct muster_lease *ret_lease);
bool muster_lease_end(struct muster_client *client, uint32_t terminal,
                      struct muster_lease *ret_lease);
/* A transaction that is open stays open. MUSTER_STORED: what was said is on the agent's disk. */
bool muster_lease_set(struct muster_client *client, uint32_t terminal, bool reversal, bool batch,
                      struct muster_lease *ret_lease);

#ifdef __cplusplus
}
#endif

#endif
