/* Telling the service manager (systemd's sd_notify protocol): datagrams to the socket that NOTIFY_SOCKET names.
 *
 * Without that variable every call does nothing. A message that cannot be sent is lost: the manager then acts on its
 * own time-outs, which is what they are for. No call blocks.
 */
#ifndef ROOMCLAIM_NOTIFY_H
#define ROOMCLAIM_NOTIFY_H

#include "base.h"

void notify_ready(void);
void notify_stopping(void);
void notify_watchdog(void);                    /* from the main loop only: it says that the loop turns */
void notify_extend_timeout(int64_t within_ms); /* while draining: the next message comes within this */
void notify_status(const char *words);         /* borrows one line for `systemctl status` */

/* How often the manager wants notify_watchdog at least, in ms (WATCHDOG_USEC, halved); 0 when it does not. */
int64_t notify_watchdog_interval_ms(void);

#endif
