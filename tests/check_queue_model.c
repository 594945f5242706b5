/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random use of queues against a model: an array of what each holds.
 *
 * Alone, one thread sends, receives, walks, drops and marks in a few tasks,
 * which end and are made anew; after each step the queue is as long as the
 * array, and its current message is the one that the model says.
 *
 * In a crowd, 2 to 8 threads send while one receives by choice from tasks that
 * come and go in the same slots: nothing that was sent is lost or comes twice,
 * each sender's come in their order, and none comes to another task than the
 * one that it was sent to.
 *
 * RECLAIM_TEST_SEED repeats the choices of a run, if not its timing, and
 * RECLAIM_TEST_OPS says how many steps there are in all.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "reclaim/message.h"

/* Where each step is slow there are fewer. */
#define OPS		300000
#define OPS_SANITIZED	60000
#define OPS_IN_VALGRIND 20000

#define TASKS	4
#define WAITING 600 /* messages in a queue, at most */
#define MARKS	8   /* of a queue, at once */
#define KINDS	5   /* of messages, to choose by */

/* Every assertion of Check's costs more than a step. */
#define holds(condition, ...)                      \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

static unsigned long ops(void)
{
	const char *given = getenv("RECLAIM_TEST_OPS");

	if (given)
		return strtoul(given, NULL, 0);
	if (under_valgrind())
		return OPS_IN_VALGRIND;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
	return OPS_SANITIZED;
#else
	return OPS;
#endif
}

/* ---- what is sent ---- */

struct word {
	uint64_t number; /* of all that were sent, from 1 */
	uint32_t kind;
	uint32_t len; /* of what follows: the number's low byte, repeated */
};

struct letter {
	struct word word;
	unsigned char rest[2000];
};

static size_t fill_letter(struct letter *letter, uint64_t number, uint32_t kind,
			  uint32_t len)
{
	letter->word = (struct word){number, kind, len};
	memset(letter->rest, (int)(number & 0xff), len);
	return sizeof(struct word) + len;
}

static const struct word *read_letter(const struct reclaim_msg *msg)
{
	const struct letter *letter = msg->data;
	uint32_t i;

	holds(msg->len == sizeof(struct word) + letter->word.len,
	      "%zu bytes, not %u and its head", msg->len, letter->word.len);
	for (i = 0; i < letter->word.len; i++)
		holds(letter->rest[i] == (letter->word.number & 0xff),
		      "byte %u of %llu is changed", i,
		      (unsigned long long)letter->word.number);
	return &letter->word;
}

/* ---- the model of one queue ---- */

struct item {
	uint64_t number;
	uint32_t kind;
};

struct mark {
	uint64_t mark;
	uint64_t number; /* the first one after it is higher */
};

static struct model {
	reclaim_tid tid;
	uint32_t most; /* 0: no limit */
	struct item items[WAITING];
	size_t count, current;
	struct mark marks[MARKS];
	size_t mark_count;
	/* What was received or dropped last, and is still there. */
	struct reclaim_msg latest;
	uint64_t latest_number; /* 0: nothing */
} models[TASKS];

static uint64_t state, sent;
static struct model *model; /* of the task that the step is about */

static size_t roll(size_t sides)
{
	return fixture_random(&state) % sides;
}

static void lose(size_t i)
{
	model->count--;
	memmove(&model->items[i], &model->items[i + 1],
		(model->count - i) * sizeof(model->items[0]));
	if (model->current > i)
		model->current--;
}

static void begin_task(void)
{
	struct reclaim_task_opts opts = {
		.max_messages = roll(3) ? 0 : 1 + (uint32_t)roll(50)};

	*model = (struct model){.tid = reclaim_task_new(&opts),
				.most = opts.max_messages};
	ck_assert_uint_ne(model->tid, 0);
}

/* ---- what has to hold ---- */

static void expect_item(const struct reclaim_msg *msg, const struct item *item)
{
	const struct word *word = read_letter(msg);

	holds(word->number == item->number && word->kind == item->kind,
	      "message %llu in place of %llu", (unsigned long long)word->number,
	      (unsigned long long)item->number);
}

static void compare(void)
{
	struct reclaim_msg msg;
	int found;

	holds(reclaim_msgq_len() == model->count, "%zu messages, not %zu",
	      reclaim_msgq_len(), model->count);
	found = reclaim_msgq_current(&msg);
	holds(found == (model->current < model->count),
	      "a current one: %d, at %zu of %zu", found, model->current,
	      model->count);
	if (found)
		expect_item(&msg, &model->items[model->current]);
	if (model->latest_number)
		holds(read_letter(&model->latest)->number ==
			      model->latest_number,
		      "what was received is no longer there");
}

/* All of it, from the oldest on, and back. */
static void survey(void)
{
	struct reclaim_msg msg;
	size_t i;

	ck_works(reclaim_msgq_reset());
	for (i = 0; i < model->count; i++) {
		holds(reclaim_msgq_current(&msg) == 1, "%zu of %zu", i,
		      model->count);
		expect_item(&msg, &model->items[i]);
		holds(reclaim_msgq_next() == (i + 1 < model->count),
		      "next at %zu of %zu", i, model->count);
	}
	ck_works(reclaim_msgq_reset());
	model->current = 0;
}

/* ---- steps, in the task of the model ---- */

static void send_one(void)
{
	struct letter letter;
	uint32_t kind = (uint32_t)roll(KINDS);
	size_t size = fill_letter(&letter, sent + 1, kind,
				  (uint32_t)roll(roll(10) ? 40 : 2000));
	bool fits = !model->most || model->count < model->most;

	if (model->count == WAITING)
		return;
	errno = 0;
	holds(reclaim_send(model->tid, &letter, size) == (fits ? 0 : -1) &&
		      errno == (fits ? 0 : EAGAIN),
	      "sending to a queue of %zu, at most %u: %d", model->count,
	      model->most, errno);
	if (!fits)
		return;
	model->items[model->count++] = (struct item){++sent, kind};
}

static void send_some(void)
{
	size_t n = roll(6);

	while (n--)
		send_one();
}

static void took(int found, struct reclaim_msg *msg, size_t i)
{
	holds(found == (i < model->count), "received: %d, at %zu of %zu", found,
	      i, model->count);
	model->latest_number = 0;
	if (found) {
		expect_item(msg, &model->items[i]);
		model->latest = *msg;
		model->latest_number = model->items[i].number;
		lose(i);
	}
	model->current = 0;
}

static void receive_one(void)
{
	struct reclaim_msg msg;

	took(reclaim_receive(&msg, 0), &msg, 0);
}

static size_t looks;

static int is_of_kind(const struct reclaim_msg *msg, void *kind)
{
	looks++;
	return read_letter(msg)->kind == *(uint32_t *)kind;
}

/* From the current one on, each looked at once. */
static void receive_by_kind(void)
{
	uint32_t kind = (uint32_t)roll(KINDS + 1);
	struct reclaim_msg msg;
	size_t i = model->current;
	int found;

	while (i < model->count && model->items[i].kind != kind)
		i++;
	looks = 0;
	found = reclaim_receive_match(is_of_kind, &kind, &msg, 0);
	holds(looks == i - model->current + (i < model->count),
	      "looked %zu times, from %zu to %zu", looks, model->current, i);
	took(found, &msg, i);
}

static void walk(void)
{
	if (model->current < model->count)
		model->current++;
	holds(reclaim_msgq_next() == (model->current < model->count),
	      "next: at %zu of %zu", model->current, model->count);
}

static void reset(void)
{
	ck_works(reclaim_msgq_reset());
	model->current = 0;
}

static void drop(void)
{
	struct reclaim_msg msg;
	bool there = model->current < model->count;
	size_t i = model->current;

	if (there)
		holds(reclaim_msgq_current(&msg) == 1, "no current one");
	holds(reclaim_msgq_drop() == (there ? 0 : -1), "drop at %zu of %zu", i,
	      model->count);
	if (!there)
		return;
	model->latest = msg;
	model->latest_number = model->items[i].number;
	lose(i);
	model->current = i;
}

static void set_mark(void)
{
	size_t i =
		model->mark_count < MARKS ? model->mark_count++ : roll(MARKS);

	model->marks[i] = (struct mark){reclaim_msgq_mark(), sent};
	ck_assert_uint_ne(model->marks[i].mark, 0);
}

static void restore(void)
{
	const struct mark *mark = &model->marks[roll(MARKS)];
	size_t i = 0;

	if (mark >= model->marks + model->mark_count)
		return;
	while (i < model->count && model->items[i].number <= mark->number)
		i++;
	ck_works(reclaim_msgq_restore(mark->mark));
	model->current = i;
}

static void keep(void)
{
	const void *before = model->latest.data;
	struct reclaim_msg *msg = &model->latest;
	bool there = model->latest_number;
	void *kept = reclaim_msg_keep(msg);

	holds(!kept == !there, "keep, of %d: %p", there, kept);
	if (!kept)
		return;
	holds(kept == msg->data && kept != before, "kept where it was");
	holds(read_letter(msg)->number == model->latest_number,
	      "another was kept");
	save_free(kept);
	msg->data = before;
}

static void end_the_task(void)
{
	ck_works(reclaim_leave());
	ck_works(reclaim_end(model->tid, 0));
	ck_fails(reclaim_send(model->tid, "", 1), -1, ESRCH);
	begin_task();
	ck_works(reclaim_enter(model->tid));
}

static const struct {
	unsigned weight;
	void (*act)(void);
} acts[] = {
	{200, send_one},    {100, send_some},
	{180, receive_one}, {180, receive_by_kind},
	{120, walk},	    {15, reset},
	{60, drop},	    {30, set_mark},
	{60, restore},	    {20, keep},
	{5, survey},	    {2, end_the_task},
};
#define ACTS (sizeof(acts) / sizeof(acts[0]))

static void step(void)
{
	size_t i, at, all = 0;

	for (i = 0; i < ACTS; i++)
		all += acts[i].weight;
	at = roll(all);
	for (i = 0; at >= acts[i].weight; i++)
		at -= acts[i].weight;
	acts[i].act();
}

START_TEST(one_thread_finds_what_the_model_says)
{
	unsigned long i, n = ops() * 4 / 5;
	int t;

	state = fixture_seed();
	sent = 0;
	for (t = 0; t < TASKS; t++) {
		model = &models[t];
		begin_task();
	}
	for (i = 0; i < n; i++) {
		model = &models[roll(TASKS)];
		ck_works(reclaim_enter(model->tid));
		step();
		compare();
		ck_works(reclaim_leave());
	}
	for (t = 0; t < TASKS; t++)
		ck_works(reclaim_end(models[t].tid, 0));
}
END_TEST

/* ---- in a crowd ---- */

#define SENDERS 8
#define SLOTS	3
#define BATCH	200 /* messages of each sender to each task */

/* To which task, from whom, which: from 0 to BATCH - 1. */
struct note {
	reclaim_tid to;
	uint32_t from, which;
};

static struct {
	_Atomic reclaim_tid tids[SLOTS]; /* who is to be sent to */
	atomic_bool over;
	/* How many of each sender's arrived, said by itself. */
	_Atomic uint32_t sent[SLOTS][SENDERS];
} crowd;

/* Each that it can: the task may end at any time. */
static void send_to(uint32_t from, int slot, reclaim_tid tid, uint64_t *dice)
{
	struct note note = {tid, from, 0};
	uint32_t most = (uint32_t)(fixture_random(dice) % BATCH) + 1;

	for (; note.which < most; note.which++) {
		if (reclaim_send(tid, &note, sizeof(note)) < 0) {
			must(errno == ESRCH);
			break;
		}
		if (fixture_random(dice) % 64 == 0)
			sched_yield();
	}
	/* As one more than there were: zero is for not yet. */
	atomic_store(&crowd.sent[slot][from], note.which + 1);
}

static void *send_to_all(void *number)
{
	uint32_t from = (uint32_t)(uintptr_t)number;
	uint64_t dice = fixture_seed() + from;
	reclaim_tid last[SLOTS] = {0}, tid;
	int slot = 0;

	for (; !atomic_load(&crowd.over); slot = (slot + 1) % SLOTS) {
		tid = atomic_load(&crowd.tids[slot]);
		if (tid == last[slot]) {
			sched_yield();
			continue;
		}
		send_to(from, slot, tid, &dice);
		last[slot] = tid;
	}
	return NULL;
}

static void begin_in_slot(int slot)
{
	int i;

	for (i = 0; i < SENDERS; i++)
		atomic_store(&crowd.sent[slot][i], 0);
	atomic_store(&crowd.tids[slot], task_called("slot"));
}

static int is_from(const struct reclaim_msg *msg, void *from)
{
	const struct note *note = msg->data;

	return note->from == *(uint32_t *)from;
}

static void check_note(const struct reclaim_msg *msg, uint32_t next[SENDERS])
{
	const struct note *note = msg->data;

	holds(msg->len == sizeof(*note) && note->to == reclaim_self(),
	      "a message for another task");
	holds(note->which == next[note->from],
	      "of sender %u came %u in place of %u", note->from, note->which,
	      next[note->from]);
	next[note->from]++;
}

/* Whether all have sent what they were to. */
static bool all_sent(int slot, uint32_t senders)
{
	uint32_t i;

	for (i = 0; i < senders; i++)
		if (!atomic_load(&crowd.sent[slot][i]))
			return false;
	return true;
}

static int receive_any_way(struct reclaim_msg *msg, uint32_t senders)
{
	uint32_t from = (uint32_t)roll(senders);

	switch (roll(4)) {
	case 0:
		return reclaim_receive_match(is_from, &from, msg, 0);
	case 1:
		return reclaim_receive_match(is_from, &from, msg, 1);
	case 2:
		if (roll(20) == 0)
			reclaim_msgq_restore(reclaim_msgq_mark());
		return reclaim_receive_match(NULL, NULL, msg, 0);
	default:
		return reclaim_receive(msg, 0);
	}
}

/* Until all that was sent is there; how much may be left out. */
static void receive_all(int slot, uint32_t senders)
{
	uint32_t next[SENDERS] = {0}, i;
	struct reclaim_msg msg;
	bool sent_all;

	do {
		sent_all = all_sent(slot, senders);
		for (i = 0; i < 50; i++)
			if (receive_any_way(&msg, senders) == 1)
				check_note(&msg, next);
		if (!sent_all)
			sched_yield();
	} while (!sent_all);
	while (reclaim_receive(&msg, 0) == 1)
		check_note(&msg, next);
	for (i = 0; i < senders; i++)
		holds(next[i] + 1 == atomic_load(&crowd.sent[slot][i]),
		      "of sender %u came %u, not %u", i, next[i],
		      atomic_load(&crowd.sent[slot][i]) - 1);
}

/* It ends while they send; what comes until then is in order. */
static void receive_some(uint32_t senders)
{
	uint32_t next[SENDERS] = {0}, n = (uint32_t)roll(100);
	struct reclaim_msg msg;

	while (n--)
		if (receive_any_way(&msg, senders) == 1)
			check_note(&msg, next);
}

/* The task of one slot has had its day, and the next one has the slot. */
static void play_slot(int slot, uint32_t senders)
{
	reclaim_tid tid = atomic_load(&crowd.tids[slot]);

	ck_works(reclaim_enter(tid));
	if (roll(3))
		receive_all(slot, senders);
	else
		receive_some(senders);
	ck_works(reclaim_leave());
	ck_works(reclaim_end(tid, 0));
	ck_fails(reclaim_send(tid, "late", 5), -1, ESRCH);
	while (!all_sent(slot, senders))
		sched_yield();
	begin_in_slot(slot);
}

START_TEST(a_crowd_of_senders_loses_nothing)
{
	uint32_t senders = (uint32_t)_i, i;
	unsigned long n = ops() / 5 / (BATCH * senders / 8) + 3;
	pthread_t threads[SENDERS];
	int slot;

	state = fixture_seed() + senders;
	atomic_store(&crowd.over, false);
	for (slot = 0; slot < SLOTS; slot++)
		begin_in_slot(slot);
	for (i = 0; i < senders; i++)
		ck_works(pthread_create(&threads[i], NULL, send_to_all,
					(void *)(uintptr_t)i));
	for (; n; n--)
		play_slot((int)roll(SLOTS), senders);
	atomic_store(&crowd.over, true);
	for (i = 0; i < senders; i++)
		ck_works(pthread_join(threads[i], NULL));
	for (slot = 0; slot < SLOTS; slot++)
		ck_works(reclaim_end(atomic_load(&crowd.tids[slot]), 0));
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "model");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, one_thread_finds_what_the_model_says);
	tcase_add_loop_test(tcase, a_crowd_of_senders_loses_nothing, 2,
			    SENDERS + 1);
}

int main(void)
{
	return stage_run("queue_model", fill);
}
