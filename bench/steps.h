/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps - count the instructions of a stretch of code by single-stepping it
 *
 * The processor traps after each instruction, and a SIGTRAP handler counts.
 * So it is the code itself that is counted, not what a library does when it
 * finds itself under a tool such as Callgrind; the two agree to an instruction
 * (README.md).  A system call is one.  Takes about 20 us for each, counts the
 * calling thread only, and exists on x86-64 alone.
 */
#ifndef BENCH_STEPS_H
#define BENCH_STEPS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __x86_64__

#define CAN_STEP true

/* Past the red zone, where a caller may keep what is its own. */
#define SET_TRAP_FLAG(change)                         \
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t" \
			 "pushfq\n\t" change "\n\t"   \
			 "popfq\n\t"                  \
			 "lea 128(%%rsp), %%rsp" ::   \
				 : "memory", "cc")
#define steps_on()  SET_TRAP_FLAG("orq $0x100, (%%rsp)")
#define steps_off() SET_TRAP_FLAG("andq $~0x100, (%%rsp)")

#else

#define CAN_STEP    false
#define steps_on()  ((void)0)
#define steps_off() ((void)0)

#endif

/* Before the first. */
void steps_begin(void);
uint64_t steps_counted(void);

#endif
