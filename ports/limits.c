/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/limits_private.h"

#include "ports/client_private.h"
#include "ports/log_private.h"
#include "ports/tree_private.h"

/* With 10,000 outlets a look takes about a hundredth of it. */
#define EVERY_MS 250

static uv_timer_t timer;
static bool is_made;

static bool is_over(const struct tree_sums *sums)
{
	const struct host_limits *most = &host.options->client;

	return (most->bytes && sums->bytes > most->bytes) ||
	       (most->handles && sums->handles > most->handles);
}

static void look(uv_timer_t *unused)
{
	struct client *client, *next;

	(void)unused;
	HASH_ITER (hh, host.clients, client, next) {
		struct tree_sums sums = tree_sum_up(client->task);

		if (!is_over(&sums))
			continue;
		log_say(RECLAIM_LOG_ERROR, NULL,
			"a client holds %llu bytes and %llu handles, more than "
			"--client-bytes or --client-handles allow: its %u "
			"outlets are closed",
			(unsigned long long)sums.bytes,
			(unsigned long long)sums.handles, client->count);
		client_end(client, "limit");
	}
	host_settle();
}

void limits_look_soon(void)
{
	if (!host.options->client.bytes && !host.options->client.handles)
		return;
	if (!is_made)
		uv_timer_init(&host.loop, &timer);
	else if (uv_is_active((uv_handle_t *)&timer))
		return;
	is_made = true;
	uv_timer_start(&timer, look, EVERY_MS, 0);
}
