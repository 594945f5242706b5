/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speaker - the emulator's side of the wire, for tests of a host
 *
 *	START_TEST(an_outlet_is_opened)
 *	{
 *		meet_host(RECLAIM_DRIVERS(&echo), "--window 2K");
 *		say_open(1, 7, "echo");
 *		expect("opened 1 2048");
 *		leave_host();
 *	}
 *
 * The host is a child process, which calls reclaim_port_main with the test's
 * own drivers.  The test speaks with it over two pipes and waits for what is to
 * come, for as long as a machine that is busy may take, never for a length of
 * time that ought to be enough.  When the host has ended it has looked at
 *itself as the fixture does: a descriptor, a thread, a child process or
 *anything of the root task's that is left makes its status HOST_CHANGED.
 *
 * Frames are expected as text: the type, the numbers, and what follows, a term
 * as Erlang writes it.  Log frames are kept apart, for expect_log.
 *
 * What a driver does is seen by what it jots down, in memory that both share,
 * and it is held up at gates there.
 */
#ifndef SPEAKER_H
#define SPEAKER_H

#include <reclaim/driver.h>

#include "ports/wire_private.h"
#include "tests/stage.h"

#define HOST_CHANGED 77
#define WINDOW	     65536u /* that say_open gives */

/* A TCase of stage_case, with a host for each test to start. */
TCase *speaker_case(Suite *suite, const char *name);

/* ---- the host ---- */

/* Options are one string, with spaces between them; or NULL. */
void start_host(const struct reclaim_driver *const *drivers,
		const char *options);
/* The same, and hello. */
void meet_host(const struct reclaim_driver *const *drivers,
	       const char *options);

/* Close the port: both pipes, or what goes to the host alone. */
void hang_up(void);
void end_input(void);

/* Wait until the host has ended; with that status, or 256 and a signal. */
void expect_status(int status);
/* end_input, drop what still comes, and expect 0. */
void leave_host(void);

/* Its process; what it has written to stderr so far. */
pid_t host_process(void);
const char *host_said(void);
void expect_said(const char *words);

/* ---- frames ---- */

/* A body; or bytes as they are. */
void say_bytes(const void *body, size_t len);
void say_raw(const void *bytes, size_t len);
/*
 * Where the host does not take all of it, for a tenth of a second: false, and
 * say_rest says the rest.
 */
bool say_patiently(const void *body, size_t len);
void say_rest(void);
void say(enum wire_type type, uint64_t first, uint64_t second, uint64_t third,
	 const void *rest, size_t len);
void say_hello(unsigned version, size_t max_frame);
/* With the arguments [], and the label <0.CLIENT.0>. */
void say_open(uint64_t outlet, uint64_t client, const char *driver);
void say_open_with(uint64_t outlet, uint64_t client, const char *driver,
		   uint32_t window);
/* Where one of these numbers is of no use it is 0. */
void say_data(uint64_t outlet, const char *text);
void say_call(uint64_t outlet, uint64_t call, const char *atom);
void say_control(uint64_t outlet, uint64_t call, uint32_t operation,
		 const char *text);
void say_one(enum wire_type type, uint64_t id);

/* The next one, but logs; lent until the next of these calls. */
const struct wire_frame *next_frame(void);
void expect_body(const void *body, size_t len);
void expect(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Nothing has come of all that was said so far, but what was expected. */
void expect_silence(void);
/* The end of the host's output, with nothing before it. */
void expect_no_more(void);

/* The next log frame; lent as next_frame's. */
void next_log(struct wire_frame *frame);
/* The same, of that level and outlet, with these words in it. */
void expect_log(int level, uint64_t outlet, const char *words);

/* ---- what both see ---- */

void jot(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Wait until that is all that was jotted down; or some of it. */
void expect_jotted(const char *text);
void await_jot(const char *words);
const char *jotted(void);

#define GATES 4
void pass_gate(unsigned nth); /* waits until it was opened once more */
void open_gate(unsigned nth);

#endif
