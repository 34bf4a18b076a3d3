// SPDX-License-Identifier: Apache-2.0
'use strict';
// When a result really was, as fleet/truetime.c works it out.
const PPM = 100, ALL = 1000000, READING_MS = 2, WIDE_MS = 60000, UNKNOWN = -1;
const MOMENT_MAX_MS = 2 ** 45;
const PAST_MS = 400 * 24 * 3600 * 1000, FUTURE_MS = 10 * 60 * 1000;

function guess(wallMs, receivedMs) {
  const plausible = wallMs > receivedMs - PAST_MS && wallMs < receivedMs + FUTURE_MS;
  return plausible ? wallMs : receivedMs;
}

// [at_ms, bound_ms]; `facts` of the boot: {at_least, boot_ms, fleet_ms}, null if it is not known.
function judge(facts, bootMs, wallMs, receivedMs) {
  const guessed = guess(wallMs, receivedMs);
  if (!facts || bootMs <= 0 || bootMs > MOMENT_MAX_MS) return [guessed, UNKNOWN];
  let lower = -Infinity, upper = receivedMs;
  for (const fact of facts) {
    const apart = Math.abs(bootMs - fact.boot_ms);
    const slack = Math.floor((apart * PPM) / (ALL - PPM)) + READING_MS;
    const said = fact.fleet_ms + (bootMs - fact.boot_ms);
    if (fact.at_least) lower = Math.max(lower, said - slack);
    else upper = Math.min(upper, said + slack);
  }
  if (lower > upper) return [guessed, UNKNOWN];
  if (lower === -Infinity) return [Math.min(guessed, upper), UNKNOWN];
  const wide = upper - lower, bound = Math.floor((wide + 1) / 2);
  if (bound > WIDE_MS && wallMs >= lower && wallMs <= upper) {
    return [wallMs, Math.max(wallMs - lower, upper - wallMs)];
  }
  return [lower + Math.floor(wide / 2), bound];
}

module.exports = { judge };
