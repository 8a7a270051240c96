/* Preloaded into one of our programs, makes chosen allocations and system calls fail.
 *
 * The file that TORTURE names is a page shared with the test (page.py): the test writes there what is to fail and sets
 * armed; this library counts what it sees and says what it hit. Each call belongs to the object that made it: the
 * program, or one of the libraries. What the C library does for somebody (strdup, pthread_create) belongs to that
 * somebody, by a walk up the stack.
 *
 * A fault is a failed allocation, a failed or shortened call, or a stream that is cut: after `word` was sent on a
 * descriptor, nth bytes more are received there, and then the connection is reset.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS(X)     \
    X(malloc)        \
    X(calloc)        \
    X(realloc)       \
    X(memalign)      \
    X(read)          \
    X(write)         \
    X(pread64)       \
    X(pwrite64)      \
    X(readv)         \
    X(writev)        \
    X(recv)          \
    X(recvfrom)      \
    X(recvmsg)       \
    X(send)          \
    X(sendto)        \
    X(sendmsg)       \
    X(connect)       \
    X(socket)        \
    X(socketpair)    \
    X(accept4)       \
    X(open)          \
    X(open64)        \
    X(fsync)         \
    X(fdatasync)     \
    X(ftruncate64)   \
    X(epoll_create1) \
    X(epoll_ctl)     \
    X(epoll_wait)    \
    X(epoll_pwait)   \
    X(eventfd)       \
    X(signalfd)      \
    X(pipe)          \
    X(pipe2)         \
    X(poll)          \
    X(mmap64)        \
    X(setsockopt)    \
    X(bind)          \
    X(listen)        \
    X(getsockname)   \
    X(fcntl64)       \
    X(ioctl)         \
    X(fstat64)       \
    X(stat64)        \
    X(unlink)        \
    X(getrandom)     \
    X(pthread_create)

/* Parts of the names of objects. The first is the program itself, the last stands for all that is not listed. */
#define ORIGINS(X)   \
    X(program)       \
    X(libpq)         \
    X(libcurl)       \
    X(libjson_c)     \
    X(libsqlite3)    \
    X(libmicrohttpd) \
    X(librdkafka)    \
    X(libcrypto)     \
    X(libssl)        \
    X(libuv)         \
    X(libconfig)     \
    X(other)

enum call {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
        CALL_COUNT,
    CALL_ANY = -1
};

enum origin {
#define X(name) ORIGIN_##name,
    ORIGINS(X)
#undef X
        ORIGIN_COUNT,
    NOBODYS = -1, /* the C library's, the loader's or our own frame */
};

enum { OBJECTS_MAX = 256, FRAMES = 24, CUT = 2, FAIL = 1, ALLOCATIONS = CALL_memalign + 1, STREAMS = 4096 };

/* page.py has the same. */
struct page {
    _Atomic int64_t armed;                   /* 0, FAIL or CUT */
    int64_t call, origin, nth, times, error; /* error: errno; 0: half of the bytes; call -1: any allocation */
    _Atomic int64_t seen, hits, passed, cut; /* matching calls; failed ones; bytes behind the word; one once reset */
    _Atomic int64_t crashed, crashed_in;     /* the signal, and the origin whose code raised it, plus 1 */
    char word[32], where[128];               /* where: object and offset of the first hit */
    char calls[640], origins[160];           /* their names, by blanks */
    _Atomic int64_t counts[CALL_COUNT][ORIGIN_COUNT];
};

static struct object {
    uintptr_t from, to;
    int origin;
} objects[OBJECTS_MAX];
static int object_count;
static struct page *page;
static __thread int inside __attribute__((tls_model("initial-exec")));
static _Atomic signed char marked[STREAMS]; /* 1: the word was sent on this descriptor */

static const char *const origin_names[] = {
#define X(name) #name,
    ORIGINS(X)
#undef X
};

/* --- whose call it is */

static int origin_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (base[0] == '\0')
        return ORIGIN_program;
    if (strncmp(base, "libc.so", 7) == 0 || strncmp(base, "ld-linux", 8) == 0 || strstr(base, "torture") ||
        strncmp(base, "libgcc_s", 8) == 0)
        return NOBODYS;
    for (int i = ORIGIN_program + 1; i < ORIGIN_other; i++) {
        const size_t len = strlen(origin_names[i]);
        bool same = true;
        for (size_t at = 0; at < len; at++)
            same = same && (base[at] == origin_names[i][at] || (base[at] == '-' && origin_names[i][at] == '_'));
        if (same && (base[len] == '.' || base[len] == '-'))
            return i;
    }
    return ORIGIN_other;
}

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    const int origin = origin_of_path(info->dlpi_name);
    for (int i = 0; i < info->dlpi_phnum && object_count < OBJECTS_MAX; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        const uintptr_t from = info->dlpi_addr + part->p_vaddr;
        objects[object_count++] = (struct object){.from = from, .to = from + part->p_memsz, .origin = origin};
    }
    return 0;
}

static int origin_at(const void *address)
{
    for (int i = 0; i < object_count; i++)
        if ((uintptr_t)address >= objects[i].from && (uintptr_t)address < objects[i].to)
            return objects[i].origin;
    return ORIGIN_other;
}

/* The first caller that is somebody, from `caller` upwards. *ret_frame is an address in it. */
static int find_origin(const void *caller, const void **ret_frame)
{
    *ret_frame = caller;
    int origin = origin_at(caller);
    if (origin != NOBODYS)
        return origin;
    void *frames[FRAMES];
    const int count = backtrace(frames, FRAMES);
    for (int i = 0; i < count; i++) {
        origin = origin_at(frames[i]);
        *ret_frame = frames[i];
        if (origin != NOBODYS)
            return origin;
    }
    return ORIGIN_other;
}

static void note_where(const void *frame)
{
    Dl_info info;
    const char *object = dladdr(frame, &info) && info.dli_fname ? info.dli_fname : "?";
    const char *slash = strrchr(object, '/');
    const char *symbol = info.dli_sname ? info.dli_sname : "";
    snprintf(page->where, sizeof page->where, "%s+0x%lx %s", slash ? slash + 1 : object,
             (unsigned long)((uintptr_t)frame - (uintptr_t)info.dli_fbase), symbol);
}

/* --- whether it fails */

static bool is_wanted(int call, int origin)
{
    const bool same = page->call == CALL_ANY ? call < ALLOCATIONS : page->call == call;
    return same && (page->origin < 0 || page->origin == origin);
}

/* Counts the call; true if it is to fail, by page->error. */
static bool fails(int call, const void *caller)
{
    if (!page || inside)
        return false;
    inside = 1;
    const void *frame;
    const int origin = find_origin(caller, &frame);
    atomic_fetch_add_explicit(&page->counts[call][origin], 1, memory_order_relaxed);
    bool hit = false;
    if (atomic_load(&page->armed) == FAIL && is_wanted(call, origin)) {
        const int64_t n = atomic_fetch_add(&page->seen, 1) + 1;
        hit = n >= page->nth && n < page->nth + page->times;
        if (hit && n == page->nth)
            note_where(frame);
        if (hit)
            atomic_fetch_add(&page->hits, 1);
    }
    inside = 0;
    return hit;
}

/* --- the end by a signal: whose code was it */

static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    const void *frame;
    inside = 1;
    page->crashed_in = find_origin((const void *)(uintptr_t)fails, &frame) + 1;
    page->crashed = number;
    (void)signal(number, SIG_DFL);
    raise(number);
}

static void share_page(void)
{
    const char *path = getenv("TORTURE");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        page = memory;
}

__attribute__((constructor)) static void start(void)
{
    void *frames[2];
    inside = 1;
    backtrace(frames, 2); /* loads what it needs now */
    dl_iterate_phdr(add_object, NULL);
    share_page();
    inside = 0;
    if (!page)
        return;
    const struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO};
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
#define X(name) #name " "
    snprintf(page->calls, sizeof page->calls, "%s", CALLS(X));
    snprintf(page->origins, sizeof page->origins, "%s", ORIGINS(X));
#undef X
}

/* --- allocations */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

#define CALLER __builtin_return_address(0)

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return fails(CALL_malloc, CALLER) ? no_memory() : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(CALL_calloc, CALLER) ? no_memory() : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails(CALL_realloc, CALLER) ? no_memory() : __libc_realloc(ptr, size);
}

void *reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || fails(CALL_realloc, CALLER))
        return no_memory();
    return __libc_realloc(ptr, bytes);
}

void *memalign(size_t boundary, size_t size)
{
    return fails(CALL_memalign, CALLER) ? no_memory() : __libc_memalign(boundary, size);
}

void *aligned_alloc(size_t boundary, size_t size)
{
    return fails(CALL_memalign, CALLER) ? no_memory() : __libc_memalign(boundary, size);
}

int posix_memalign(void **ret, size_t boundary, size_t size)
{
    if (fails(CALL_memalign, CALLER))
        return ENOMEM;
    *ret = __libc_memalign(boundary, size);
    return *ret ? 0 : ENOMEM;
}

/* --- calls */

static void *next_of(const char *name, void *_Atomic *kept)
{
    if (!*kept) {
        const int before = inside;
        inside = 1;
        *kept = dlsym(RTLD_NEXT, name);
        inside = before;
    }
    return *kept;
}

static int failed(void)
{
    errno = (int)page->error;
    return -1;
}

/* A call that fails as a whole. error 0 has no meaning for it. */
#define WHOLE(type, name, params, args)                                           \
    type name params                                                              \
    {                                                                             \
        static void *_Atomic kept;                                                \
        type(*real) params = (type(*) params)next_of(#name, &kept);               \
        return fails(CALL_##name, CALLER) ? (type)(intptr_t)failed() : real args; \
    }

/* The same for a descriptor: a connection that is reset is so for both sides. */
static int failed_at(int fd)
{
    if (page->error == ECONNRESET)
        shutdown(fd, SHUT_RDWR);
    return failed();
}

/* A call that may also do half of its work: len is one of its parameters. */
#define PARTIAL(name, params, args)                                       \
    ssize_t name params                                                   \
    {                                                                     \
        static void *_Atomic kept;                                        \
        ssize_t(*real) params = (ssize_t(*) params)next_of(#name, &kept); \
        if (!fails(CALL_##name, CALLER))                                  \
            return real args;                                             \
        if (page->error)                                                  \
            return failed_at(fd);                                         \
        len = (len + 1) / 2;                                              \
        return real args;                                                 \
    }

PARTIAL(read, (int fd, void *bytes, size_t len), (fd, bytes, len))
PARTIAL(write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
PARTIAL(pread64, (int fd, void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
PARTIAL(pwrite64, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) __attribute__((alias("pwrite64")));
ssize_t pread(int fd, void *bytes, size_t len, off_t at) __attribute__((alias("pread64")));

/* Vectors: half of the first part. */
#define VECTOR(name, params, args)                                                               \
    ssize_t name params                                                                          \
    {                                                                                            \
        static void *_Atomic kept;                                                               \
        ssize_t(*real) params = (ssize_t(*) params)next_of(#name, &kept);                        \
        struct iovec half;                                                                       \
        if (!fails(CALL_##name, CALLER))                                                         \
            return real args;                                                                    \
        if (page->error)                                                                         \
            return failed_at(fd);                                                                \
        half = (struct iovec){.iov_base = parts->iov_base, .iov_len = (parts->iov_len + 1) / 2}; \
        parts = &half;                                                                           \
        count = 1;                                                                               \
        return real args;                                                                        \
    }

VECTOR(readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
VECTOR(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

static ssize_t message(int call, const char *name, void *_Atomic *kept, const void *caller, int fd,
                       const struct msghdr *msg, int flags)
{
    ssize_t (*real)(int, const struct msghdr *, int) = (ssize_t(*)(int, const struct msghdr *, int))next_of(name, kept);
    if (!fails(call, caller))
        return real(fd, msg, flags);
    if (page->error || msg->msg_iovlen == 0)
        return page->error ? failed_at(fd) : real(fd, msg, flags);
    struct iovec half = {.iov_base = msg->msg_iov->iov_base, .iov_len = (msg->msg_iov->iov_len + 1) / 2};
    const struct msghdr less = {.msg_iov = &half, .msg_iovlen = 1};
    return real(fd, &less, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    static void *_Atomic kept;
    return message(CALL_sendmsg, "sendmsg", &kept, CALLER, fd, msg, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    static void *_Atomic kept;
    return message(CALL_recvmsg, "recvmsg", &kept, CALLER, fd, msg, flags);
}

WHOLE(ssize_t, recvfrom, (int fd, void *bytes, size_t len, int flags, __SOCKADDR_ARG from, socklen_t *size),
      (fd, bytes, len, flags, from, size))
WHOLE(ssize_t, sendto, (int fd, const void *bytes, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t size),
      (fd, bytes, len, flags, to, size))
WHOLE(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len), (fd, address, len))
WHOLE(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WHOLE(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
WHOLE(int, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *len, int flags), (fd, address, len, flags))
WHOLE(int, fsync, (int fd), (fd))
WHOLE(int, fdatasync, (int fd), (fd))
WHOLE(int, ftruncate64, (int fd, off64_t len), (fd, len))
WHOLE(int, epoll_create1, (int flags), (flags))
WHOLE(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event), (epfd, op, fd, event))
WHOLE(int, epoll_wait, (int epfd, struct epoll_event *events, int max, int timeout), (epfd, events, max, timeout))
WHOLE(int, epoll_pwait, (int epfd, struct epoll_event *events, int max, int timeout, const sigset_t *set),
      (epfd, events, max, timeout, set))
WHOLE(int, eventfd, (unsigned value, int flags), (value, flags))
WHOLE(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WHOLE(int, pipe, (int fds[2]), (fds))
WHOLE(int, pipe2, (int fds[2], int flags), (fds, flags))
WHOLE(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WHOLE(void *, mmap64, (void *at, size_t len, int protection, int flags, int fd, off64_t offset),
      (at, len, protection, flags, fd, offset))
WHOLE(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len))
WHOLE(int, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len), (fd, address, len))
WHOLE(int, listen, (int fd, int backlog), (fd, backlog))
WHOLE(int, getsockname, (int fd, __SOCKADDR_ARG address, socklen_t *len), (fd, address, len))
WHOLE(int, fstat64, (int fd, struct stat64 *ret), (fd, ret))
WHOLE(int, stat64, (const char *path, struct stat64 *ret), (path, ret))
WHOLE(int, unlink, (const char *path), (path))
WHOLE(ssize_t, getrandom, (void *bytes, size_t len, unsigned flags), (bytes, len, flags))

/* As poll is called when its caller was compiled with _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    static void *_Atomic kept;
    int (*real)(struct pollfd *, nfds_t, int) = (int (*)(struct pollfd *, nfds_t, int))next_of("poll", &kept);
    (void)size;
    return fails(CALL_poll, CALLER) ? failed() : real(fds, count, timeout);
}

int fstat(int fd, struct stat *ret) __attribute__((alias("fstat64")));
int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));
void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset) __attribute__((alias("mmap64")));

int pthread_create(pthread_t *ret, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    static void *_Atomic kept;
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))next_of("pthread_create", &kept);
    return fails(CALL_pthread_create, CALLER) ? EAGAIN : real(ret, how, run, arg);
}

/* With one more argument, which may be missing. */
#define OPENS(name)                                                                                   \
    int name(const char *path, int flags, ...)                                                        \
    {                                                                                                 \
        static void *_Atomic kept;                                                                    \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))next_of(#name, &kept); \
        va_list rest;                                                                                 \
        va_start(rest, flags);                                                                        \
        const mode_t mode = va_arg(rest, mode_t);                                                     \
        va_end(rest);                                                                                 \
        return fails(CALL_##name, CALLER) ? failed() : real(path, flags, mode);                       \
    }
#define CONTROLS(name, type)                                                          \
    int name(int fd, type what, ...)                                                  \
    {                                                                                 \
        static void *_Atomic kept;                                                    \
        int (*real)(int, type, ...) = (int (*)(int, type, ...))next_of(#name, &kept); \
        va_list rest;                                                                 \
        va_start(rest, what);                                                         \
        void *arg = va_arg(rest, void *);                                             \
        va_end(rest);                                                                 \
        return fails(CALL_##name, CALLER) ? failed() : real(fd, what, arg);           \
    }
OPENS(open)
OPENS(open64)
CONTROLS(fcntl64, int)
CONTROLS(ioctl, unsigned long)
int fcntl(int fd, int what, ...) __attribute__((alias("fcntl64")));

/* --- streams that are cut */

static bool is_cutting(int fd, const void *caller)
{
    return page && atomic_load(&page->armed) == CUT && fd >= 0 && fd < STREAMS && !inside &&
           (page->origin < 0 || page->origin == origin_at(caller));
}

/* From the word on, all that comes on this descriptor is counted; the next thing said there ends it. */
static void note_sent(int fd, const void *bytes, size_t len)
{
    const bool has_word = memmem(bytes, len, page->word, strlen(page->word)) != NULL;
    if (has_word && !page->cut) {
        page->passed = 0;
        marked[fd] = 1;
    } else if (!has_word) {
        marked[fd] = 0;
    }
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    static void *_Atomic kept;
    ssize_t (*real)(int, const void *, size_t, int) =
        (ssize_t(*)(int, const void *, size_t, int))next_of("send", &kept);
    if (is_cutting(fd, CALLER))
        note_sent(fd, bytes, len);
    if (!fails(CALL_send, CALLER))
        return real(fd, bytes, len, flags);
    return page->error ? failed_at(fd) : real(fd, bytes, (len + 1) / 2, flags);
}

static ssize_t cut_off(int fd)
{
    if (!page->cut)
        note_where(__builtin_return_address(0));
    page->cut = 1;
    marked[fd] = 0;
    shutdown(fd, SHUT_RDWR);
    errno = ECONNRESET;
    return -1;
}

/* What comes behind the word: up to nth bytes of it. */
static ssize_t receive_cut(ssize_t (*real)(int, void *, size_t, int), int fd, void *bytes, size_t len, int flags)
{
    const int64_t left = page->nth - page->passed;
    if (left <= 0) { /* only what really comes is cut off */
        const ssize_t got = real(fd, bytes, 1, flags | MSG_PEEK);
        return got > 0 ? cut_off(fd) : got;
    }
    const ssize_t got = real(fd, bytes, (int64_t)len < left ? len : (size_t)left, flags);
    if (got > 0)
        page->passed += got;
    return got;
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    static void *_Atomic kept;
    ssize_t (*real)(int, void *, size_t, int) = (ssize_t(*)(int, void *, size_t, int))next_of("recv", &kept);
    if (is_cutting(fd, CALLER) && marked[fd])
        return receive_cut(real, fd, bytes, len, flags);
    if (!fails(CALL_recv, CALLER))
        return real(fd, bytes, len, flags);
    return page->error ? failed_at(fd) : real(fd, bytes, (len + 1) / 2, flags);
}
