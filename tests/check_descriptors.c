/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's makers of descriptors, each of which takes flags and fails in few
 * ways: epoll, eventfd, timerfd, signalfd, inotify, memfd.
 */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static int save_signal(int flags)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	return save_signalfd(-1, &mask, flags);
}

static int plain_signal(int flags)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	return signalfd(-1, &mask, flags);
}

static int save_event(int flags)
{
	return save_eventfd(3, flags);
}

static int plain_event(int flags)
{
	return eventfd(3, flags);
}

static int save_timer(int flags)
{
	return save_timerfd_create(CLOCK_MONOTONIC, flags);
}

static int plain_timer(int flags)
{
	return timerfd_create(CLOCK_MONOTONIC, flags);
}

static int save_timer_of_no_clock(int flags)
{
	return save_timerfd_create(12345, flags);
}

static int plain_timer_of_no_clock(int flags)
{
	return timerfd_create(12345, flags);
}

static int save_memory(int flags)
{
	return save_memfd_create("name", (unsigned)flags);
}

static int plain_memory(int flags)
{
	return memfd_create("name", (unsigned)flags);
}

static const struct {
	int (*save)(int flags);
	int (*plain)(int flags);
	int flags[3];
} makers[] = {
	{save_epoll_create1, epoll_create1, {EPOLL_CLOEXEC, 0, 0}},
	{save_event,
	 plain_event,
	 {EFD_CLOEXEC, EFD_NONBLOCK, EFD_CLOEXEC | EFD_SEMAPHORE}},
	{save_timer, plain_timer, {TFD_CLOEXEC, TFD_NONBLOCK, 0}},
	{save_timer_of_no_clock, plain_timer_of_no_clock, {0, 0, 0}},
	{save_signal, plain_signal, {SFD_CLOEXEC, SFD_NONBLOCK, 0}},
	{save_inotify_init1, inotify_init1, {IN_CLOEXEC, IN_NONBLOCK, 0}},
	{save_memory, plain_memory, {MFD_CLOEXEC, MFD_ALLOW_SEALING, 0}},
};

static void compare(int i, int flags)
{
	int theirs, error, ours;

	errno = 0;
	theirs = makers[i].plain(flags);
	error = errno;
	errno = 0;
	ours = makers[i].save(flags);
	ck_assert_int_eq(errno, error);
	ck_assert_int_eq(ours < 0, theirs < 0);
	if (ours < 0)
		return;
	ck_assert_int_eq(fcntl(ours, F_GETFD), fcntl(theirs, F_GETFD));
	ck_assert_int_eq(fcntl(ours, F_GETFL), fcntl(theirs, F_GETFL));
	ck_assert_uint_eq(held(), 1);
	ck_works(save_close(ours));
	ck_works(close(theirs));
}

START_TEST(is_as_the_plain_call)
{
	int i;

	for (i = 0; i < 3; i++)
		compare(_i, makers[_i].flags[i]);
	compare(_i, 1 << 30);
	compare(_i, -1);
}
END_TEST

static int made;

static void make(void)
{
	unsigned i;

	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		made = makers[i].save(0);
		ck_assert(made >= 0 || errno == EINVAL);
	}
}

START_TEST(all_are_closed_with_the_task)
{
	in_task(make);
	ck_assert(!is_open(made));
}
END_TEST

START_TEST(an_eventfd_begins_with_its_value)
{
	int fd = save_eventfd(7, EFD_CLOEXEC);
	eventfd_t value = 0;

	ck_works(eventfd_read(fd, &value));
	ck_assert_uint_eq(value, 7);
	ck_works(save_close(fd));
}
END_TEST

START_TEST(a_timer_expires)
{
	struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
	int fd = save_timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t times = 0;

	ck_works(timerfd_settime(fd, 0, &soon, NULL));
	ck_assert_int_eq(read(fd, &times, sizeof(times)), sizeof(times));
	ck_assert_uint_eq(times, 1);
	ck_works(save_close(fd));
}
END_TEST

/* With a descriptor it changes that one, which is held already. */
START_TEST(a_signalfd_is_changed_in_place)
{
	int fd = save_signal(SFD_NONBLOCK);
	struct signalfd_siginfo info;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	ck_works(sigprocmask(SIG_BLOCK, &mask, NULL));
	ck_assert_int_eq(save_signalfd(fd, &mask, 0), fd);
	ck_assert_uint_eq(held(), 1);
	raise(SIGUSR1);
	ck_assert_int_eq(read(fd, &info, sizeof(info)), sizeof(info));
	ck_assert_uint_eq(info.ssi_signo, SIGUSR1);
	ck_works(sigprocmask(SIG_UNBLOCK, &mask, NULL));
	ck_fails(save_signalfd(0, &mask, 0), -1, EINVAL);
	ck_works(save_close(fd));
	ck_fails(save_signalfd(fd, &mask, 0), -1, EBADF);
	ck_fails(save_signalfd(-2, &mask, 0), -1, EBADF);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(a_memfd_wants_a_short_name)
{
	char name[300];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_fails(save_memfd_create(name, 0), -1, EINVAL);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "each");

	tcase_add_loop_test(tcase, is_as_the_plain_call, 0,
			    sizeof(makers) / sizeof(makers[0]));
	tcase_add_test(tcase, all_are_closed_with_the_task);
	tcase_add_test(tcase, an_eventfd_begins_with_its_value);
	tcase_add_test(tcase, a_timer_expires);
	tcase_add_test(tcase, a_signalfd_is_changed_in_place);
	tcase_add_test(tcase, a_memfd_wants_a_short_name);
}

int main(void)
{
	return stage_run("descriptors", fill);
}
