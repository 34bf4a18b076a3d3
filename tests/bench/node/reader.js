// SPDX-License-Identifier: Apache-2.0
'use strict';

// Bytes that are taken from the front.
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(length) {
    const from = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw new RangeError('the batch ends too soon');
    return from;
  }

  // protobuf's, as a number: up to 2^53.
  varint() {
    const { bytes } = this;
    let value = 0, scale = 1;
    for (;;) {
      const byte = bytes[this.take(1)];
      value += (byte & 127) * scale;
      if (byte < 128) break;
      scale *= 128;
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a varint too long for a number');
    return value;
  }

  end() {
    if (this.at !== this.bytes.length) throw new RangeError('bytes are left over');
  }
}

function unzigzag(value) {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

module.exports = { Reader, unzigzag };
