// SPDX-License-Identifier: Apache-2.0
'use strict';
// The last net under free text, as base/mask.c has it: what reads like a card number becomes stars,
// what is no printable character a question mark.
const SHORTEST = 13, LONGEST = 19, USUAL = 16;
const CONTROL = /[\u0000-\u001f\u007f]/, CONTROLS = new RegExp(CONTROL, 'g');
const KNOWN_MAX = 65536;

const isDigit = (char) => char >= '0' && char <= '9';
const doubled = (digit) => (digit < 5 ? 2 * digit : 2 * digit - 9);

function groupEnd(text, at) {
  while (at < text.length && isDigit(text[at])) at++;
  return at;
}

// Where the longest card number that begins at `at` ends; `at` when none does.
function numberEnd(text, at, inLongGroup) {
  if (!/[2-69]/.test(text[at])) return at;
  const sum = [0, 0]; // Luhn's, for an even and an odd number of digits
  let found = at, digits = 0;
  for (let i = at; digits < LONGEST && i < text.length; i++) {
    if (!isDigit(text[i])) {
      if (!/[ -]/.test(text[i]) || i + 1 >= text.length || !isDigit(text[i + 1])) break;
      inLongGroup = groupEnd(text, i + 1) - (i + 1) > USUAL;
      continue;
    }
    const digit = Number(text[i]);
    sum[digits % 2] += doubled(digit);
    sum[1 - (digits % 2)] += digit;
    digits++;
    const mayEnd = inLongGroup || !isDigit(text[i + 1] ?? '');
    if (mayEnd && digits >= SHORTEST && sum[digits % 2] % 10 === 0) found = i + 1;
  }
  return found;
}

function mask(text) {
  let masked = '', inLongGroup = false, thisGroupEnd = 0, maskEnd = 0;
  for (let i = 0; i < text.length; i++) {
    if (isDigit(text[i])) {
      const begins = i >= thisGroupEnd;
      if (begins) {
        thisGroupEnd = groupEnd(text, i);
        inLongGroup = thisGroupEnd - i > USUAL;
      }
      if (begins || inLongGroup) maskEnd = Math.max(maskEnd, numberEnd(text, i, inLongGroup));
    }
    masked += isDigit(text[i]) && i < maskEnd ? '*' : text[i];
  }
  return masked;
}

// A text as it may be stored: [printable, printable and masked], undefined: as it is. Hardly any is
// long enough for a card number; those that are repeat, and each is looked at once.
const known = new Map();

function guard(text) {
  if (text.length < SHORTEST && !CONTROL.test(text)) return undefined;
  let found = known.get(text);
  if (found === undefined) {
    const printable = text.replace(CONTROLS, '?');
    found = [printable, mask(printable)];
    if (known.size < KNOWN_MAX) known.set(text, found);
  }
  return found;
}

module.exports = { guard };
