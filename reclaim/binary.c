/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "reclaim/binary_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "reclaim/mail_private.h"
#include "reclaim/message_private.h"
#include "reclaim/place_private.h"
#include "reclaim/task_private.h"
#include "reclaim/thread_private.h"

/* The first reference lies in the body's own memory. */
struct bin_body {
	_Atomic size_t references;
	_Alignas(16) struct reclaim_bin first;
	_Alignas(16) unsigned char data[];
};

/* Any other, but a message's: no pointer to a block of memory is one. */
struct loose {
	_Alignas(16) struct message *none;
	_Alignas(16) struct reclaim_bin bin;
};

static void begin(struct reclaim_bin *bin, struct bin_body *body,
		  unsigned char *data, size_t size, void *memory)
{
	*bin = (struct reclaim_bin){
		.magic = BIN_MAGIC,
		.body = body,
		.data = data,
		.size = size,
		.memory = memory,
	};
}

void bin_end(struct reclaim_bin *bin)
{
	struct bin_body *body = bin->body;
	size_t its = 1 + bin->spare;

	bin->magic = 0;
	if (atomic_fetch_sub_explicit(&body->references, its,
				      memory_order_acq_rel) == its)
		mail_free(body);
}

static void end_with_memory(struct reclaim_bin *bin)
{
	void *memory = bin->memory;

	bin_end(bin);
	mail_free(memory);
}

static void refer(struct bin_body *body, size_t references)
{
	atomic_fetch_add_explicit(&body->references, references,
				  memory_order_relaxed);
}

/*
 * What is sent is often sent to many.  So the first thread to send a reference
 * counts several at once, and hands them out by itself; what is left goes with
 * the reference.
 */
#define AT_ONCE 256

static bool is_sender(struct reclaim_bin *bin, struct thread *self)
{
	struct thread *sender =
		atomic_load_explicit(&bin->sender, memory_order_relaxed);

	return sender == self ||
	       (!sender &&
		atomic_compare_exchange_strong(&bin->sender, &sender, self));
}

static void refer_to_send(struct reclaim_bin *bin)
{
	if (!is_sender(bin, thread_self())) {
		refer(bin->body, 1);
		return;
	}
	if (!bin->spare) {
		refer(bin->body, AT_ONCE);
		bin->spare = AT_ONCE;
	}
	bin->spare--;
}

void bin_refer(struct reclaim_bin *bin, struct reclaim_bin *to, void *memory)
{
	begin(to, bin->body, bin->data, bin->size, memory);
	refer_to_send(bin);
}

/* ---- in a ledger ---- */

static void release(const struct entry *held)
{
	end_with_memory(held->id);
}

static int describe(const void *id, char *buf, size_t len)
{
	const struct reclaim_bin *bin = id;

	return snprintf(buf, len, "of %zu bytes", bin->size);
}

static const struct kind bin_kind = {
	.kind = {.name = "binary",
		 .describe = describe,
		 .fork = RECLAIM_FORK_KEEP | KIND_BUILTIN},
	.release = release,
};

/* A reference becomes the current task's.  With the tables locked. */
static int record(struct reclaim_bin *bin, void *place)
{
	struct entry *entry =
		ledger_reserve(task_self(), &bin_kind.kind, place);

	if (!entry)
		return -1;
	ledger_commit(entry, bin);
	bin->token = ledger_token(entry);
	bin->count = 1;
	return 0;
}

/* Whose a reference is, or NULL: with the tables locked. */
static struct entry *entry_of(const struct reclaim_bin *bin)
{
	struct entry *entry = bin->token ? ledger_find_token(bin->token) : NULL;

	return entry && entry->id == bin ? entry : NULL;
}

/* A new one, not yet anybody's, becomes the current task's or goes. */
static struct reclaim_bin *record_new(struct reclaim_bin *bin, void *place)
{
	int failed, saved;

	lock_take(&tables);
	failed = record(bin, place);
	lock_drop(&tables);
	if (!failed)
		return bin;
	saved = errno;
	end_with_memory(bin);
	errno = saved;
	return NULL;
}

static struct reclaim_bin *new_reference(const struct reclaim_bin *bin,
					 size_t offset, size_t len, void *place)
{
	struct loose *loose = mail_alloc(sizeof(*loose));

	if (!loose)
		return NULL;
	begin(&loose->bin, bin->body, bin->data + offset, len, loose);
	refer(bin->body, 1);
	return record_new(&loose->bin, place);
}

/* ---- the public side ---- */

struct reclaim_bin *reclaim_bin_new(const void *data, size_t len)
{
	struct bin_body *body = NULL;

	if (len <= PTRDIFF_MAX - sizeof(*body))
		body = mail_alloc(sizeof(*body) + len);
	if (!body) {
		errno = ENOMEM;
		return NULL;
	}
	atomic_init(&body->references, 1);
	begin(&body->first, body, body->data, len, NULL);
	if (data && len)
		memcpy(body->data, data, len);
	return record_new(&body->first, PLACE);
}

/*
 * The current task's, or that which it has just received, is counted once more
 * where it is.  -1: it is to have another.
 */
static int retain_here(struct reclaim_bin *bin, void *place)
{
	struct entry *entry = entry_of(bin);

	if (entry && entry->task == task_self()) {
		bin->count++;
		return 0;
	}
	if (entry || !message_has(bin))
		return -1;
	if (record(bin, place) < 0)
		return errno;
	message_yield();
	return 0;
}

struct reclaim_bin *reclaim_bin_retain(struct reclaim_bin *bin)
{
	int error;

	if (!bin_is_one(bin))
		return NULL;
	lock_take(&tables);
	error = retain_here(bin, PLACE);
	lock_drop(&tables);
	if (!error)
		return bin;
	if (error < 0)
		return new_reference(bin, 0, bin->size, PLACE);
	errno = error;
	return NULL;
}

/* With the tables locked: 0, and *last, or an error. */
static int uncount(struct reclaim_bin *bin, bool *last)
{
	struct entry *entry = entry_of(bin);

	if (!entry)
		return EINVAL;
	if (!task_is_kin(task_self(), entry->task))
		return EPERM;
	*last = --bin->count == 0;
	if (*last)
		ledger_remove(entry);
	return 0;
}

int reclaim_bin_release(struct reclaim_bin *bin)
{
	bool last = false;
	int error;

	if (!bin_is_one(bin))
		return -1;
	lock_take(&tables);
	error = uncount(bin, &last);
	lock_drop(&tables);
	if (last)
		end_with_memory(bin);
	return errno_result(error);
}

void *reclaim_bin_data(const struct reclaim_bin *bin)
{
	return bin_is_one(bin) ? bin->data : NULL;
}

size_t reclaim_bin_size(const struct reclaim_bin *bin)
{
	return bin_is_one(bin) ? bin->size : 0;
}

struct reclaim_bin *reclaim_bin_slice(struct reclaim_bin *bin, size_t offset,
				      size_t len)
{
	if (!bin_is_one(bin))
		return NULL;
	if (offset > bin->size || len > bin->size - offset) {
		errno = ERANGE;
		return NULL;
	}
	return new_reference(bin, offset, len, PLACE);
}
