/* The part of libuv that the consumer uses, on virtual time. A handle's start_id is 0 while it is not active. */
#include "process.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct process *process_of(const uv_loop_t *loop)
{
    return CONTAINER_OF(loop, struct process, loop);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    *timer = (uv_timer_t){.data = timer->data};
    timer->loop = loop;
    timer->type = UV_TIMER;
    struct process *p = process_of(loop);
    if (p->timer_count == PROCESS_TIMERS_MAX)
        abort();
    p->timers[p->timer_count++] = timer;
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    timer->timer_cb = cb;
    timer->timeout = (uint64_t)world.now_ms + timeout;
    timer->repeat = repeat;
    timer->start_id = 1;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    timer->start_id = 0;
    return 0;
}

int uv_prepare_init(uv_loop_t *loop, uv_prepare_t *prepare)
{
    *prepare = (uv_prepare_t){.data = prepare->data};
    prepare->loop = loop;
    prepare->type = UV_PREPARE;
    return 0;
}

int uv_prepare_start(uv_prepare_t *prepare, uv_prepare_cb cb)
{
    prepare->prepare_cb = cb;
    process_of(prepare->loop)->prepare = prepare;
    return 0;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd)
{
    *poll = (uv_poll_t){.data = poll->data};
    poll->loop = loop;
    poll->type = UV_POLL;
    poll->io_watcher.fd = fd;
    struct process *p = process_of(loop);
    if (p->poll_count == PROCESS_POLLS_MAX)
        abort();
    p->polls[p->poll_count++] = poll;
    return 0;
}

int uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb cb)
{
    (void)events;
    poll->poll_cb = cb;
    return 0;
}

static void forget_timer(struct process *p, const uv_handle_t *handle)
{
    for (size_t i = 0; i < p->timer_count; i++) {
        if ((const uv_handle_t *)p->timers[i] == handle)
            p->timers[i--] = p->timers[--p->timer_count];
    }
}

static void forget_poll(struct process *p, const uv_handle_t *handle)
{
    for (size_t i = 0; i < p->poll_count; i++) {
        if ((const uv_handle_t *)p->polls[i] == handle)
            p->polls[i--] = p->polls[--p->poll_count];
    }
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
    struct process *p = process_of(handle->loop);
    handle->close_cb = cb;
    forget_timer(p, handle);
    forget_poll(p, handle);
    if ((uv_handle_t *)p->prepare == handle)
        p->prepare = NULL;
    if (p->closing_count == ARRAY_LEN(p->closing))
        abort();
    p->closing[p->closing_count++] = handle;
}

/* The first call is service_run's: the process runs from now on by what process_enter brings. The last is
 * service_free's, and only lets go of what was closed. */
int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)mode;
    struct process *p = process_of(loop);
    if (p->booting) {
        p->booting = false;
        longjmp(p->running, 1);
    }
    for (size_t i = 0; i < p->closing_count; i++) {
        if (p->closing[i]->close_cb != NULL)
            p->closing[i]->close_cb(p->closing[i]);
    }
    p->closing_count = 0;
    return 0;
}

void uv_stop(uv_loop_t *loop)
{
    process_of(loop)->left = true;
}

/* time */

static uv_timer_t *first_timer(const struct process *p)
{
    uv_timer_t *first = NULL;
    for (size_t i = 0; i < p->timer_count; i++) {
        uv_timer_t *timer = p->timers[i];
        if (timer->start_id != 0 && (first == NULL || timer->timeout < first->timeout))
            first = timer;
    }
    return first;
}

/* A process that stood still has its timers run when it goes on; one that was suspended has slept on them. */
struct process *process_next_timer(int64_t *ret_at_ms)
{
    struct process *next = NULL;
    for (unsigned i = 0; i < process_count; i++) {
        struct process *p = &processes[i];
        const uv_timer_t *timer = p->alive && p->depth == 0 ? first_timer(p) : NULL;
        if (timer == NULL)
            continue;
        const int64_t at_ms = MAX((int64_t)timer->timeout, p->asleep_until_ms);
        if (at_ms < *ret_at_ms) {
            *ret_at_ms = at_ms;
            next = p;
        }
    }
    return next;
}

static void run_timer(void *arg, int64_t number)
{
    (void)number;
    uv_timer_t *timer = arg;
    timer->start_id = timer->repeat != 0;
    timer->timeout = (uint64_t)world.now_ms + timer->repeat;
    timer->timer_cb(timer);
}

void process_run_timer(struct process *p)
{
    process_enter(p, run_timer, first_timer(p), 0);
}

/* descriptors */

static void run_poll(void *arg, int64_t fd)
{
    struct process *p = arg;
    for (size_t i = 0; i < p->poll_count; i++) {
        if (p->polls[i]->io_watcher.fd == (int)fd) {
            p->polls[i]->poll_cb(p->polls[i], 0, UV_READABLE);
            return;
        }
    }
}

void process_wake_fd(struct process *p, int fd)
{
    world_after(0, p, run_poll, p, fd);
}

/* The consumer's own eventfd is a name: writing to it wakes it, reading tells that it was woken. */
enum { EVENT_FD = 1000 };

int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
    (void)value, (void)flags;
    return EVENT_FD;
}

ssize_t __wrap_read(int fd, void *bytes, size_t len);
ssize_t __wrap_read(int fd, void *bytes, size_t len)
{
    (void)fd, (void)bytes;
    return (ssize_t)len;
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fd == STDERR_FILENO)
        return __real_write(fd, bytes, len); /* the simulator's own last words */
    process_wake_fd(process_current, fd);
    return (ssize_t)len;
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
    (void)fd;
    return 0;
}
