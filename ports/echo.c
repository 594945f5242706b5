/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo - the driver that gives back what it gets
 *
 * For tests, for measurements, and to be copied from.  Data, calls and controls
 * come back as they are; while its owner does not read, it takes no more.
 */
#include "config.h"

#include "ports/echo_private.h"

static void output(struct reclaim_outlet *outlet, const void *data, size_t len)
{
	if (reclaim_outlet_output(outlet, data, len) == 1)
		reclaim_outlet_busy(outlet, 1);
}

static void drained(struct reclaim_outlet *outlet)
{
	reclaim_outlet_busy(outlet, 0);
}

static void call(struct reclaim_outlet *outlet, uint64_t call,
		 struct reclaim_reader *request)
{
	struct reclaim_writer term;
	const void *raw;
	size_t len;

	(void)outlet;
	reclaim_get_raw(request, &raw, &len);
	reclaim_writer_init(&term, NULL, 0);
	reclaim_put_raw(&term, raw, len);
	reclaim_call_reply(call, &term);
}

static void control(struct reclaim_outlet *outlet, uint64_t call,
		    uint32_t operation, const void *data, size_t len)
{
	(void)outlet;
	(void)operation;
	reclaim_call_data(call, data, len);
}

const struct reclaim_driver echo_driver = {
	.abi = RECLAIM_DRIVER_ABI,
	.name = "echo",
	.output = output,
	.call = call,
	.control = control,
	.drained = drained,
};
