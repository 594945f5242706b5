/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_port - the driver as a program of its own, for who wants a process
 * between databases and everything else
 */
#include <reclaim/driver.h>

int main(int argc, char **argv)
{
	return reclaim_port_main(argc, argv, RECLAIM_DRIVERS(&reclaim_driver));
}
