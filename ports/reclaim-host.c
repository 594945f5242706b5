/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim-host - the program that serves drivers: see reclaim-host(1)
 */
#include "ports/echo_private.h"

int main(int argc, char **argv)
{
	return reclaim_port_main(argc, argv, RECLAIM_DRIVERS(&echo_driver));
}
