/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECLAIM_ECHO_PRIVATE_H
#define RECLAIM_ECHO_PRIVATE_H

#include <reclaim/driver.h>

extern const struct reclaim_driver echo_driver;

#endif
