/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_RESULTS_H
#define TESTS_WORLD_RESULTS_H

#include "proto/record.pb-c.h"
#include "tests/world/cards.h"

/*
 * "Results of one terminal" of the worlds that figures are measured in: a retail lane, seeded.
 * The hours (9-18 flat, 18-21 twice as busy, closed otherwise) stretch the log-normal times
 * between results instead of dropping some: the same rates, and an entropy that can be stated.
 * What the world does not state is held still (sale, 4G, CNY, one attempt).
 */
struct results_settings {
    struct deck_settings deck;
    int64_t start_wall_ms;
};

struct results;

/* One result. `txn` points into the struct, so it is filled in place and never copied. */
struct world_result {
    Muster__TxnResult txn;
    struct card card;
    bool carries_chip;     /* chip or contactless: AID, TVR and CA key are there */
    uint8_t key[8];        /* as libmuster makes them: one up from a random start */
    uint8_t random_key[8]; /* as an application may */
    uint8_t tvr[5], tsi[2], cvm[3], generation[8];
    char rrn[13], auth_code[7], firmware[16];
};

bool results_open(const struct results_settings *settings, struct results **ret_results,
                  struct err *err) MUSTER_CHECK;
void results_close(struct results *results);
void results_next(struct results *results, struct world_result *ret_result);
void results_rewind(struct results *results);
const struct deck *results_deck(const struct results *results);

/* DE 37 as the trade builds it: year digit, day of the year, hour, STAN. Takes 13 bytes. */
void results_rrn(int64_t wall_ms, uint32_t stan, char ret_rrn[13]);
/* CVM results and online PIN that fit the entry mode and amount. */
void results_cvm(Muster__EntryMode entry, uint64_t amount_minor, struct world_result *result);

/* The distributions, for the generator and for the entropy that is computed from them. */
struct world_code {
    const char code[3];
    double percent;
};
extern const struct world_code results_codes[];
enum { RESULTS_CODES = 15, RESULTS_ENTRY_MODES = 5, RESULTS_TVRS = 8, RESULTS_TIMES = 4 };
extern const double
    results_entry_percent[RESULTS_ENTRY_MODES]; /* chip contactless swipe keyed QR */

struct world_lognormal {
    const char *name;
    double mu, sigma; /* of ln(milliseconds) */
};
extern const struct world_lognormal results_gap;
extern const struct world_lognormal results_times[RESULTS_TIMES]; /* connect tls read total */
extern const struct world_lognormal results_host[TABLES_MAX_ROUTE];

#define RESULTS_STRANGER_SHARE 0.015
#define RESULTS_TVR_SHARE 0.07
#define RESULTS_AMOUNT_ABSENT 0.03
#define RESULTS_AMOUNT_MU 7.6
#define RESULTS_AMOUNT_SIGMA 0.9
enum { RESULTS_AMOUNT_FLOOR = 10, RESULTS_ENDINGS = 3, RESULTS_SIGNAL_STEP_DB = 3 };
struct world_ending {
    uint32_t cents;
    double share;
};
extern const struct world_ending results_endings[RESULTS_ENDINGS];
#define RESULTS_GENERATIONS_A_YEAR 18.0
#define RESULTS_FIRMWARES_A_YEAR 4.0
#define RESULTS_YEAR_MS (365.0 * 24 * 3600 * 1000)

/* Share of the results that fall into hours of half speed, and results a day. */
double results_half_speed_share(void);
double results_a_day(void);

#endif
