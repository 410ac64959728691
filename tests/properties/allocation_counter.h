// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counts what this program asks of the heap and of mmap, in all threads. The functions of the C
// library are replaced for the whole program (allocation_counter.cc).
namespace batchwise::properties {

// From now on calls are counted, from 0.
void start_counting_allocations();
// Stops, and returns how many there were.
long stop_counting_allocations();

}  // namespace batchwise::properties
