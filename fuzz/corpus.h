/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corpus - what the driver begins with: a term of each tag, and some together;
 * as programs for the writer they are as good as any
 */
#ifndef CORPUS_H
#define CORPUS_H

#define N    "w\3n@h"
#define OLD  "w\1ma\1b\0\0\0\2g" N "\0\0\0\1\0\0\0\2\3"
#define UNIQ "0123456789abcdef"

static const struct {
	const char *bytes;
	size_t len;
} corpus[] = {
#define THIS(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}
	THIS("\203d\0\2ok"),
	THIS("\203s\2\344h"),
	THIS("\203v\0\3\342\202\254"),
	THIS("\203w\4\364\217\277\277"),
	THIS("\203a\1"),
	THIS("\203b\377\377\377\376"),
	THIS("\203n\10\1\0\0\0\0\0\0\0\200"),
	THIS("\203n\11\0\1\2\3\4\5\6\7\10\11"),
	THIS("\203o\0\0\0\12\1\1\2\3\4\5\6\7\10\11\0"),
	THIS("\203F\77\370\0\0\0\0\0\0"),
	THIS("\203c1.50000000000000000000e+00\0\0\0\0\0"),
	THIS("\203c-1.50000000000000000000000e+000"),
	THIS("\203m\0\0\0\3abc"),
	THIS("\203M\0\0\0\2\7a\376"),
	THIS("\203h\3a\1h\0j"),
	THIS("\203i\0\0\0\2a\1a\2"),
	THIS("\203l\0\0\0\2k\0\3abcm\0\0\0\2dej"),
	THIS("\203l\0\0\0\1a\1l\0\0\0\1a\2w\2ok"),
	THIS("\203t\0\0\0\2a\1h\1jk\0\1xt\0\0\0\0"),
	THIS("\203h\5g" N "\0\0\0\1\0\0\0\2\3X" N "\0\0\0\1\0\0\0\2\0\0\0\3f" N
	     "\0\0\0\1\2Y" N "\0\0\0\1\0\0\0\2x" N "\0\0\0\0\0\0\0\1\0\0\0\2"),
	THIS("\203h\3e" N "\0\0\0\1\2r\0\1" N "\1\0\0\0\1Z\0\3" N
	     "\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\3"),
	THIS("\203qw\1mw\1fa\2"),
	THIS("\203p\0\0\0\71\1" UNIQ "\0\0\0\1\0\0\0\1" OLD "h\1j"),
	THIS("\203y1234opaque"),
};

#define CORPUS (sizeof(corpus) / sizeof(corpus[0]))

#endif
