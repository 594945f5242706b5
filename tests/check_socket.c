/* SPDX-License-Identifier: Apache-2.0 */
/* socket, socketpair, accept, accept4. */
#include "config.h"

#include "tests/stage.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/un.h>

static struct sockaddr_un name;
static socklen_t name_len;

/* A listening socket with a name of the kernel's choice. */
static int listener(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	name = (struct sockaddr_un){.sun_family = AF_UNIX};
	name_len = sizeof(name);
	ck_works(bind(fd, (void *)&name, sizeof(name.sun_family)));
	ck_works(listen(fd, 5));
	ck_works(getsockname(fd, (void *)&name, &name_len));
	return fd;
}

static int connected(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_works(connect(fd, (void *)&name, name_len));
	return fd;
}

/* ---- socket ---- */

static const int sockets[][3] = {
	{AF_UNIX, SOCK_STREAM, 0},
	{AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0},
	{AF_UNIX, SOCK_STREAM, 12345},
	{AF_UNIX, 12345, 0},
	{12345, SOCK_STREAM, 0},
	{AF_UNIX, SOCK_RAW | 1 << 20, 0},
	{AF_INET, SOCK_SEQPACKET, 0},
};

START_TEST(socket_is_as_the_plain_call)
{
	const int *s = sockets[_i];
	int theirs, error, ours;

	errno = 0;
	theirs = socket(s[0], s[1], s[2]);
	error = errno;
	errno = 0;
	ours = save_socket(s[0], s[1], s[2]);
	ck_assert_int_eq(errno, error);
	ck_assert_int_eq(ours < 0, theirs < 0);
	if (ours < 0)
		return;
	ck_assert_int_eq(fcntl(ours, F_GETFL), fcntl(theirs, F_GETFL));
	ck_assert_int_eq(fcntl(ours, F_GETFD), fcntl(theirs, F_GETFD));
	ck_works(save_close(ours));
	ck_works(close(theirs));
}
END_TEST

START_TEST(socketpair_is_connected)
{
	int ends[2];
	char c = 'x';

	ck_fails(save_socketpair(12345, SOCK_STREAM, 0, ends), -1,
		 EAFNOSUPPORT);
	ck_works(save_socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	ck_assert_int_eq(write(ends[0], &c, 1), 1);
	ck_assert_int_eq(read(ends[1], &c, 1), 1);
	ck_assert_uint_eq(held(), 2);
	ck_works(save_close(ends[0]));
	ck_works(save_close(ends[1]));
}
END_TEST

/* ---- accept ---- */

START_TEST(accept_tells_the_peer)
{
	int fd = listener(0), client = connected(), server;
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	server = save_accept(fd, (void *)&peer, &len);
	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(peer.sun_family, AF_UNIX);
	ck_assert_uint_eq(len, sizeof(peer.sun_family));
	ck_assert_int_eq(fcntl(server, F_GETFD), 0);
	ck_works(save_close(server));
	close(client);
	close(fd);
}
END_TEST

START_TEST(accept4_sets_its_flags)
{
	int fd = listener(0), client = connected(), server;

	ck_fails(save_accept4(fd, NULL, NULL, 1 << 30), -1, EINVAL);
	server = save_accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(server, 0);
	ck_assert_int_eq(fcntl(server, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(server, F_GETFL) & O_NONBLOCK);
	ck_works(save_close(server));
	close(client);
	close(fd);
}
END_TEST

static void fail_to_accept(void)
{
	int fd = listener(SOCK_NONBLOCK),
	    other = socket(AF_UNIX, SOCK_DGRAM, 0);
	int idle = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_fails(save_accept(fd, NULL, NULL), -1, EAGAIN);
	ck_fails(save_accept4(fd, NULL, NULL, 0), -1, EAGAIN);
	ck_fails(save_accept(-1, NULL, NULL), -1, EBADF);
	ck_fails(save_accept(other, NULL, NULL), -1, EOPNOTSUPP);
	ck_fails(save_accept(0, NULL, NULL), -1, ENOTSOCK);
	ck_fails(save_accept(idle, NULL, NULL), -1, EINVAL);
	ck_assert_uint_eq(held(), 0);
	close(idle);
	close(other);
	close(fd);
	ck_fails(save_accept(fd, NULL, NULL), -1, EBADF);
}

START_TEST(accept_fails_as_the_plain_call)
{
	int zero = open("/dev/null", O_RDONLY), standard = dup(0);

	dup2(zero, 0);
	fail_to_accept();
	in_thread_of_task(fail_to_accept);
	dup2(standard, 0);
	close(standard);
	close(zero);
}
END_TEST

static int listening, client;

static void accept_two_at_the_limit(void)
{
	int fd;

	fd = save_accept(listening, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_fails(save_accept(listening, NULL, NULL), -1, EMFILE);
	ck_works(save_close(fd));
	fd = save_accept(listening, NULL, NULL);
	ck_assert_int_ge(fd, 0);
}

/* A connection that was refused for the limit is still there. */
START_TEST(accept_at_the_limit_loses_no_connection)
{
	struct reclaim_task_opts opts = {.max_handles = 1};
	int other;

	listening = listener(0);
	client = connected();
	other = connected();
	in_task_with(&opts, accept_two_at_the_limit);
	close(other);
	close(client);
	close(listening);
}
END_TEST

/* ---- waiting for a connection ---- */

static int wait_for_nobody(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	return save_accept(listening, NULL, NULL);
}

START_TEST(waiting_can_be_ended)
{
	reclaim_tid tid;
	int status;

	listening = listener(0);
	tid = reclaim_spawn(NULL, wait_for_nobody, NULL);
	ck_fails(reclaim_wait(tid, &status, 10), -1, ETIMEDOUT);
	ck_works(reclaim_kill(tid));
	ck_works(reclaim_wait(tid, &status, -1));
	ck_assert_int_eq(status, RECLAIM_KILLED);
	close(listening);
}
END_TEST

static void wait_long_enough(void)
{
	int fd = save_accept4(listening, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_works(save_close(fd));
}

static void *connect_later(void *arg)
{
	(void)arg;
	usleep(1000);
	client = connected();
	return NULL;
}

START_TEST(waiting_ends_with_a_connection)
{
	pthread_t thread;

	listening = listener(0);
	ck_works(pthread_create(&thread, NULL, connect_later, NULL));
	in_thread_of_task(wait_long_enough);
	pthread_join(thread, NULL);
	close(client);
	close(listening);
}
END_TEST

/* ---- signals and timeouts while waiting ---- */

static atomic_int signals;
static atomic_bool waited;
static pthread_t waiter;

static void count_signal(int signo)
{
	(void)signo;
	atomic_fetch_add(&signals, 1);
}

static void handle(int flags)
{
	struct sigaction action = {.sa_handler = count_signal,
				   .sa_flags = flags};

	atomic_store(&signals, 0);
	atomic_store(&waited, false);
	waiter = pthread_self();
	ck_works(sigaction(SIGUSR1, &action, NULL));
}

static void *interrupt(void *arg)
{
	(void)arg;
	while (!atomic_load(&waited)) {
		pthread_kill(waiter, SIGUSR1);
		usleep(1000);
	}
	return NULL;
}

START_TEST(a_signal_interrupts_waiting)
{
	pthread_t thread;

	listening = listener(0);
	handle(0);
	ck_works(pthread_create(&thread, NULL, interrupt, NULL));
	ck_fails(save_accept(listening, NULL, NULL), -1, EINTR);
	atomic_store(&waited, true);
	pthread_join(thread, NULL);
	close(listening);
	signal(SIGUSR1, SIG_DFL);
}
END_TEST

static void *interrupt_and_connect(void *arg)
{
	(void)arg;
	while (atomic_load(&signals) < 5) {
		pthread_kill(waiter, SIGUSR1);
		usleep(1000);
	}
	client = connected();
	return NULL;
}

START_TEST(waiting_is_restarted_where_the_handler_asks_for_it)
{
	pthread_t thread;
	int fd;

	listening = listener(0);
	handle(SA_RESTART);
	ck_works(pthread_create(&thread, NULL, interrupt_and_connect, NULL));
	fd = save_accept(listening, NULL, NULL);
	ck_assert_msg(fd >= 0, "%m");
	pthread_join(thread, NULL);
	ck_works(save_close(fd));
	close(client);
	close(listening);
	signal(SIGUSR1, SIG_DFL);
}
END_TEST

static void wait_with_a_timeout(void)
{
	struct timeval soon = {.tv_usec = 2000};

	ck_works(setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &soon,
			    sizeof(soon)));
	ck_fails(save_accept(listening, NULL, NULL), -1, EAGAIN);
}

START_TEST(waiting_ends_at_the_sockets_timeout)
{
	listening = listener(0);
	wait_with_a_timeout();
	in_thread_of_task(wait_with_a_timeout);
	close(listening);
}
END_TEST

/* ---- several who wait ---- */

#define WAITERS 8

static atomic_int accepted;

static void *accept_for_ever(void *arg)
{
	for (;;) {
		int fd = save_accept(listening, NULL, NULL);

		must(fd >= 0 && save_close(fd) == 0);
		atomic_fetch_add(&accepted, 1);
	}
	return arg;
}

static void have_many_wait(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < WAITERS; i++)
		ck_works(save_pthread_create(&thread, NULL, accept_for_ever,
					     NULL));
	for (i = 0; i < 20 * WAITERS; i++) {
		close(connected());
		while (atomic_load(&accepted) < i)
			sched_yield();
	}
}

/* Those who come too late for a connection can be ended all the same. */
START_TEST(many_may_wait_at_one_socket)
{
	listening = listener(0);
	in_thread_of_task(have_many_wait);
	close(listening);
}
END_TEST

static void fill(Suite *suite)
{
	TCase *tcase = stage_case(suite, "socket");
	int n = sizeof(sockets) / sizeof(sockets[0]);

	tcase_add_loop_test(tcase, socket_is_as_the_plain_call, 0, n);
	tcase_add_test(tcase, socketpair_is_connected);
	tcase = stage_case(suite, "accept");
	tcase_add_test(tcase, accept_tells_the_peer);
	tcase_add_test(tcase, accept4_sets_its_flags);
	tcase_add_test(tcase, accept_fails_as_the_plain_call);
	tcase_add_test(tcase, accept_at_the_limit_loses_no_connection);
	tcase = stage_case(suite, "waiting");
	tcase_add_test(tcase, waiting_can_be_ended);
	tcase_add_test(tcase, waiting_ends_with_a_connection);
	tcase_add_test(tcase, a_signal_interrupts_waiting);
	tcase_add_test(tcase,
		       waiting_is_restarted_where_the_handler_asks_for_it);
	tcase_add_test(tcase, waiting_ends_at_the_sockets_timeout);
	tcase_add_test(tcase, many_may_wait_at_one_socket);
}

int main(void)
{
	return stage_run("socket", fill);
}
