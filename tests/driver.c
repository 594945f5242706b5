/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that check_drivers loads, and what is none.  Which one is said by a
 * macro of the build's.
 */
#include <reclaim/driver.h>

#if defined(test_no_symbol) || defined(test_borrowed)

extern const int nothing;
const int nothing = 1;

#elif defined(test_function)

__asm__(".text\n.globl reclaim_driver\n"
	".type reclaim_driver, @function\n"
	"reclaim_driver: .skip 4096\n"
	".size reclaim_driver, 4096\n");

#elif defined(test_short_table)

__asm__(".data\n.globl reclaim_driver\n"
	".type reclaim_driver, @object\n"
	"reclaim_driver: .long 1\n"
	".size reclaim_driver, 4\n");

#else

#ifdef test_undefined
extern void nobody_has_this(struct reclaim_outlet *outlet);
#define STOP nobody_has_this
#else
#define STOP NULL
#endif

#ifdef test_other_abi
#define ABI (RECLAIM_DRIVER_ABI + 1)
#else
#define ABI RECLAIM_DRIVER_ABI
#endif

#ifdef test_other_name
#undef NAME
#define NAME "another"
#endif

const struct reclaim_driver reclaim_driver = {
	.abi = ABI,
	.name = NAME,
	.stop = STOP,
};

#endif
