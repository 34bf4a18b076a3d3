/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INJECT_FAULT_HEAP_H
#define TESTS_INJECT_FAULT_HEAP_H

/* Never without memory; aborts instead. */
void *fault_heap_take(int size);
void *fault_heap_resize(void *old, int size);
void fault_heap_give(void *memory);
int fault_heap_size(void *memory);

#endif
