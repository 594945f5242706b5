/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <reclaim/driver.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *reclaim_errno_name(int error)
{
	static __thread char text[24];
	const char *name = strerrorname_np(error);
	size_t i;

	if (!name || error == 0) {
		snprintf(text, sizeof(text), "errno_%d", error);
		return text;
	}
	for (i = 0; name[i] && i < sizeof(text) - 1; i++)
		text[i] = (char)tolower((unsigned char)name[i]);
	text[i] = '\0';
	return text;
}
