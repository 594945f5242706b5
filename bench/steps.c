/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "bench/steps.h"

static volatile uint64_t counted;

static void count(int signal)
{
	(void)signal;
	counted++;
}

void steps_begin(void)
{
	struct sigaction action = {.sa_handler = count};

	sigaction(SIGTRAP, &action, NULL);
}

uint64_t steps_counted(void)
{
	return counted;
}
