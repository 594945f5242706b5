/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ports/client_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "ports/outlet_private.h"

struct client *client_find(uint64_t id)
{
	struct client *client;

	HASH_FIND(hh, host.clients, &id, sizeof(id), client);
	return client;
}

struct client *client_get(uint64_t id, const char *label)
{
	const struct reclaim_task_opts opts = {
		.name = label,
		.max_bytes = host.options->client.bytes,
		.max_handles = host.options->client.handles,
	};
	struct client *client = client_find(id);

	if (client)
		return client;
	client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->id = id;
	client->task = reclaim_task_new(&opts);
	if (client->task && HASH_TRY(hh, host.clients, id, client))
		return client;
	if (client->task)
		reclaim_kill(client->task);
	free(client);
	return NULL;
}

void client_put(struct client *client)
{
	if (client->count)
		return;
	HASH_DEL(host.clients, client);
	reclaim_kill(client->task);
	free(client);
}

void client_end(struct client *client, const char *reason)
{
	struct reclaim_outlet *outlet, *next;

	for (outlet = LIST_FIRST(&client->outlets); outlet; outlet = next) {
		next = LIST_NEXT(outlet, of_client);
		outlet_end(outlet, reason);
	}
}

void client_end_all(const char *reason)
{
	struct client *client, *next;

	HASH_ITER (hh, host.clients, client, next)
		client_end(client, reason);
}

void client_give(struct reclaim_outlet *outlet, const struct wire_frame *frame)
{
	struct client *from = outlet->client, *to;
	char label[RECLAIM_NAME_MAX];

	snprintf(label, sizeof(label), "%.*s", (int)frame->len, frame->rest);
	to = client_get(frame->field[1], label);
	if (to == from)
		return;
	if (!to) {
		outlet_end(outlet, "enomem");
		return;
	}
	if (to->count >= host.options->max_outlets)
		outlet_end(outlet, "system_limit");
	else if (reclaim_give_task(outlet->task, to->task) < 0)
		outlet_end(outlet, "killed");
	if (!outlet_is_live(outlet)) {
		client_put(to);
		return;
	}
	LIST_REMOVE(outlet, of_client);
	LIST_INSERT_HEAD(&to->outlets, outlet, of_client);
	outlet->client = to;
	to->count++;
	from->count--;
	client_put(from);
}
