/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - what a program of drivers is, from its options to its status
 */
#include "config.h"

#include <reclaim/driver.h>

#include <stdio.h>

#include "ports/host_private.h"

static struct drivers *
find_drivers(const struct host_options *options,
	     const struct reclaim_driver *const *built_in)
{
	struct drivers *drivers = drivers_new(built_in);
	const char **directory;

	for (directory = options->directories;
	     drivers && directory && *directory; directory++)
		if (drivers_add_directory(drivers, *directory) < 0) {
			drivers_end(drivers);
			return NULL;
		}
	return drivers;
}

int reclaim_port_main(int argc, char **argv,
		      const struct reclaim_driver *const *built_in)
{
	struct host_options options;
	int result = options_read(&options, argc, argv);
	struct drivers *drivers;

	if (result >= 0)
		goto done;
	result = 2;
	drivers = find_drivers(&options, built_in);
	if (!drivers)
		goto done;
	if (options.list)
		result = drivers_list(drivers, stdout);
	else
		result = host_run(&options, drivers);
	/* Jobs that do not end may still use what was loaded. */
	if (!host.outlets)
		drivers_end(drivers);
done:
	options_end(&options);
	return result;
}
