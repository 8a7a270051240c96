/* The second port: /livez, /readyz, /metrics, / (a page for a person). Loopback by default, GET and HEAD only.
 *
 * A thread of libmicrohttpd of its own: it answers also while the program's loop is stuck, which is what /livez is
 * for. The callbacks run on that thread: they read atomics, or a snapshot under the program's own lock.
 */
#ifndef ROOMCLAIM_ADMIN_H
#define ROOMCLAIM_ADMIN_H

#include "base.h"
#include "error.h"

struct admin;

struct admin_hooks {
    void *arg;
    bool (*alive)(void *arg); /* false: 503 {"error":"stuck"} */
    bool (*ready)(void *arg,
                  const char **ret_reason); /* false: 503 {"error":"<reason>"}, a word such as kafka or database */
    char *(*page)(void *arg);               /* returns owned HTML for "/"; NULL hook: 404 */
};

/* listen: "host:port", "[v6]:port"; port 0 picks one; "" means off: returns NULL with class NONE.
 * Copies hooks. Logs where it listens. Returns owned, or NULL with *ret_err (address in use: names it). */
struct admin *admin_new(const char *listen, const struct admin_hooks *hooks, struct error *ret_err) MUST_CHECK;
void admin_free(struct admin *admin);
unsigned admin_port(const struct admin *admin);

#endif
