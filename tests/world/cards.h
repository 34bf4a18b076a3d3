/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_CARDS_H
#define TESTS_WORLD_CARDS_H

#include "tests/world/rng.h"
#include "tests/world/tables.h"

/*
 * A seeded sequence of cards that come to a till. A card is the issuer range it belongs to, a
 * number that tells it from the others, and a token: there is no card number behind it, and none
 * is ever made. 8 % are one of the last 64 cards again, the others are new (WORLD.md).
 */
struct card {
    const struct range *range; /* of the table that the deck was opened with */
    uint64_t ordinal;          /* from 1 in its deck */
    uint8_t token[8];
    const struct aid *aid;       /* the application on its chip */
    const struct ca_key *ca_key; /* that vouches for its chip; NULL: the chip has no such key */
    bool stranger;               /* of an issuer that no terminal's table knows */
};

struct deck_settings {
    uint64_t world_seed;         /* which BINs are frequent: the same for all tills of a world */
    uint64_t seed;               /* this till's cards */
    const struct ranges *ranges; /* outlives the deck, as do the keys */
    const struct ca_keys *ca_keys;
    double stranger_share;
};

struct deck;
bool deck_open(const struct deck_settings *settings, struct deck **ret_deck,
               struct err *err) MUSTER_CHECK;
void deck_close(struct deck *deck);
/* Valid until 64 cards later. */
const struct card *deck_next(struct deck *deck);
void deck_rewind(struct deck *deck); /* the same sequence again */

/* The BINs in use, most frequent first, and each one's probability: Zipf, exponent 1.05. */
enum { DECK_BINS = 1200, DECK_MEMORY = 64, DECK_CA_KEYS = 6 };
#define DECK_REPEAT_SHARE 0.08
#define DECK_ZIPF_EXPONENT 1.05
const struct range *deck_bin(const struct deck *deck, size_t rank, double *ret_probability);
/* How many CA keys cards of a scheme use, at most DECK_CA_KEYS; Zipf with the same exponent. */
size_t deck_ca_keys(const struct deck *deck, uint32_t scheme);
/* Fills `count` probabilities that fall as 1 / rank^DECK_ZIPF_EXPONENT and add up to 1. */
void deck_zipf(double *ret_probabilities, size_t count);

extern const double deck_scheme_shares[TABLES_MAX_SCHEME];
extern const double deck_route_shares[TABLES_MAX_ROUTE];

#endif
