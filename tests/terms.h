/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms - a term that is read and written anew
 */
#ifndef TERMS_H
#define TERMS_H

#include <reclaim/term.h>

/*
 * The next term of the reader goes to the writer, piece by piece; only what
 * there is no reclaim_put_ for goes as it is (pids, ports, references, funs,
 * atoms with a NUL).  0, or -1 with errno.
 */
int copy_term(struct reclaim_reader *reader, struct reclaim_writer *writer);

#endif
