/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_RNG_H
#define TESTS_WORLD_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Seeded, repeatable randomness (SplitMix64: Steele, Lea, Flood 2014). For worlds and benches,
 * never for keys. The same seed gives the same values on every machine. */
struct rng {
    uint64_t state;
};

struct rng rng_of(uint64_t seed);
/* A stream of its own for each `name`, so that one more draw here moves nothing there. */
struct rng rng_named(uint64_t seed, const char *name);

uint64_t rng_u64(struct rng *rng);
double rng_unit(struct rng *rng); /* [0, 1) */
uint64_t rng_below(struct rng *rng, uint64_t bound);
double rng_normal(struct rng *rng, double mean, double sigma);
double rng_lognormal(struct rng *rng, double mu, double sigma);
/* Index with probability weights[i] / their sum. */
size_t rng_pick(struct rng *rng, const double *weights, size_t count);
void rng_bytes(struct rng *rng, void *data, size_t length);

#endif
