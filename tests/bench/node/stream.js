// SPDX-License-Identifier: Apache-2.0
'use strict';

// What is held of the results of one incarnation: ranges [first, last], ascending, not touching.
class Stream {
  constructor(text) {
    this.ranges = text ? JSON.parse(text) : [];
  }

  add(first, last) {
    const apart = this.ranges.filter((range) => range[1] < first - 1 || range[0] > last + 1);
    const joined = this.ranges.filter((range) => !apart.includes(range));
    apart.push([Math.min(first, ...joined.map((range) => range[0])),
      Math.max(last, ...joined.map((range) => range[1]))]);
    this.ranges = apart.sort((a, b) => a[0] - b[0]);
  }

  text() {
    return JSON.stringify(this.ranges);
  }

  // Every seq 1..cumulative, and these beyond.
  receipt() {
    const [head, ...rest] = this.ranges;
    const whole = head !== undefined && head[0] === 1;
    const beyond = whole ? rest : this.ranges;
    return {
      cumulative: whole ? head[1] : 0,
      ranges: beyond.map(([first, last]) => ({ first, last })),
    };
  }
}

module.exports = { Stream };
