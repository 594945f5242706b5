/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_corpus - conversations with each of the drivers, as programs of host.c
 */
#ifndef HOST_CORPUS_H
#define HOST_CORPUS_H

#define LONGEST 1000

/* Frames: what the address sanitizer sees of them in a minute or two. */
#ifdef __SANITIZE_ADDRESS__
#define FUZZ_INPUTS 10000000
#endif

/* clang-format off */
/* Each as `step` in host.c reads it; outlets are counted back from the last. */
#define GREETED		"\0"
#define HELLO(size)	"\360" size
#define OPEN(driver)	"\0\0\0\0" driver "\0\24"
#define DATA(outlet)	"\4" outlet "\4"
#define MUCH(outlet)	"\4" outlet "\12"
#define CALL(outlet)	"\10" outlet "\0\1"
#define DEEP(outlet)	"\34" outlet "\0"
#define CONTROL(outlet) "\14" outlet "\0\1\3"
#define CREDIT(outlet)	"\17" outlet "\4"
#define CLOSE(outlet)	"\21" outlet
#define CANCEL(call)	"\22" call
#define GIVE(outlet)	"\23" outlet "\1\2me"
#define DOWN		"\24\0"
#define PROCESS_DOWN	"\25\0"
#define NAME(outlet)	"\26" outlet "\0\0\4"
#define STATISTICS	"\27\0\1\0\27\0\2\0\27\0\3\0\27\0\4\0"
#define RAW		"\30\4\31\377\0\1"
#define WRONG_WAY	"\31\3\0\1\1"
#define SPOIL(how)	"\32" how
#define TURN		"\35\0"
#define FULL		"\35\301" TURN "\35\300" TURN

#define ASK(outlet) CALL(outlet) CONTROL(outlet) TURN CALL(outlet)
#define TALK(outlet)                                                           \
	DATA(outlet)                                                           \
	ASK(outlet) DATA(outlet) DATA(outlet) TURN MUCH(outlet) CREDIT(outlet) \
		ASK(outlet) TURN CANCEL("\1") PROCESS_DOWN FULL                \
		DATA(outlet) CALL(outlet) SPOIL("\0\31\6") CALL(outlet)        \
			SPOIL("\1\3\0") DATA(outlet) RAW SPOIL("\2\0\0")       \
				OPEN("\0") WRONG_WAY
#define WITH(driver)                                                         \
	THIS(GREETED OPEN(driver) TALK("\0") OPEN(driver) TALK("\1")         \
		     TALK("\0") GIVE("\0") NAME("\1") STATISTICS CLOSE("\0") \
			     TURN TALK("\1") CLOSE("\1") TURN DATA("\1")     \
				     CALL("\1"))
/* clang-format on */

static const struct {
	const char *bytes;
	size_t len;
} corpus[] = {
#define THIS(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}
	WITH("\0"),
	WITH("\1"),
	WITH("\2"),
	WITH("\3"),
	WITH("\4"),
	WITH("\5"),
	WITH("\6"),
	WITH("\7"),
	WITH("\10"),
	WITH("\11"),
	WITH("\12"),
	WITH("\13"),
	WITH("\14"),
	THIS(GREETED OPEN("\0") OPEN("\1") OPEN("\2") OPEN("\3") OPEN("\4")
		     OPEN("\10") OPEN("\11") TALK("\0") TALK("\1") TALK("\2")
			     TALK("\3") TALK("\4") DOWN OPEN("\12") TALK("\0")),
	THIS(GREETED OPEN("\0") SPOIL("\0\5\6") CALL("\0") SPOIL("\1\3\0")
		     CALL("\0") SPOIL("\2\0\0") CLOSE("\0") SPOIL("\3\0\1")
			     CALL("\0") RAW WRONG_WAY TURN),
	THIS(GREETED OPEN("\0") DEEP("\0") OPEN("\1") DEEP("\0")),
	THIS(HELLO("\3") OPEN("\0") TALK("\0") STATISTICS),
	THIS(HELLO("\5") OPEN("\3") TALK("\0") STATISTICS),
	THIS(HELLO("\1") OPEN("\0") TALK("\0")),
};

#define CORPUS (sizeof(corpus) / sizeof(corpus[0]))

#endif
