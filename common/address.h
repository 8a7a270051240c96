/* Addresses to listen on, as the configuration writes them: host:port, [v6]:port; port 0 picks a free one. */
#ifndef ROOMCLAIM_ADDRESS_H
#define ROOMCLAIM_ADDRESS_H

#include "base.h"
#include "error.h"

enum { ADDRESS_HOST_SIZE = 256, ADDRESS_SIZE = ADDRESS_HOST_SIZE + sizeof "[]:65535" };

/* Splits text without looking anything up; the host comes without brackets. False with class OPERATOR. */
bool address_split(const char *text, char ret_host[ADDRESS_HOST_SIZE], unsigned *ret_port,
                   struct error *ret_err) MUST_CHECK;

/* Returns an owned socket that listens (non-blocking, close-on-exec), or -1: class RETRY, "address in use: host:port"
 * and the like, or OPERATOR for an address that this host cannot have. */
int address_listen(const char *text, struct error *ret_err) MUST_CHECK;

/* Writes text with the port that was picked. */
void address_with_port(const char *text, unsigned port, char ret_text[ADDRESS_SIZE]);

/* The port that a listening socket has got, 0 when it has none. */
unsigned address_port(int fd);

/* Whether a host's name or number is this host's own loopback; no look-up: localhost, 127.0.0.0/8, ::1. */
bool address_is_loopback(const char *host);

#endif
