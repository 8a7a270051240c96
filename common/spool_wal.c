/* The format: https://www.sqlite.org/fileformat2.html#walformat. Big-endian, but for the words that are summed up. */
#include "spool_wal.h"

#include "alloc.h"

#include <stdio.h>

enum {
    HEADER_SIZE = 32,
    FRAME_HEADER_SIZE = 24,
    MAGIC = 0x377f0682, /* its lowest bit: the summed words are big-endian */
    PAGE_MIN = 512,
    PAGE_MAX = 65536,
};

struct wal {
    bool big_endian;
    uint32_t page_size, salt[2];
    uint32_t sum[2]; /* of all up to here */
};

static uint32_t number_at(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t word_at(const struct wal *wal, const unsigned char *at)
{
    if (wal->big_endian)
        return number_at(at);
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static void add(struct wal *wal, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        wal->sum[0] += word_at(wal, bytes + i) + wal->sum[1];
        wal->sum[1] += word_at(wal, bytes + i + 4) + wal->sum[0];
    }
}

static bool sum_is_at(const struct wal *wal, const unsigned char *at)
{
    return number_at(at) == wal->sum[0] && number_at(at + 4) == wal->sum[1];
}

static bool read_header(struct wal *wal, const unsigned char header[HEADER_SIZE])
{
    const uint32_t magic = number_at(header);
    *wal = (struct wal){
        .big_endian = magic & 1U,
        .page_size = number_at(header + 8),
        .salt = {number_at(header + 16), number_at(header + 20)},
    };
    add(wal, header, 24);
    return (magic & ~1U) == MAGIC && wal->page_size >= PAGE_MIN && wal->page_size <= PAGE_MAX &&
           (wal->page_size & (wal->page_size - 1)) == 0 && sum_is_at(wal, header + 24);
}

/* Goes over the frames. Those of an earlier use of the file lie behind the end, with both salts different. */
static bool has_commit_behind_damage(struct wal *wal, FILE *file)
{
    const size_t size = FRAME_HEADER_SIZE + wal->page_size;
    AUTO(free_ptr) unsigned char *frame = xmalloc(size);
    bool sound = true, found = false;
    while (!found && fread(frame, 1, size, file) == size) {
        const bool first = number_at(frame + 8) == wal->salt[0], second = number_at(frame + 12) == wal->salt[1];
        add(wal, frame, 8);
        add(wal, frame + FRAME_HEADER_SIZE, wal->page_size);
        sound = sound && first && second && sum_is_at(wal, frame + 16);
        found = !sound && (first || second) && number_at(frame + 4) != 0;
    }
    return found;
}

bool spool_wal_is_broken(const char *path)
{
    struct wal wal;
    unsigned char header[HEADER_SIZE];
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    bool broken = false;
    if (fread(header, 1, sizeof header, file) == sizeof header)
        broken = read_header(&wal, header) ? has_commit_behind_damage(&wal, file) : fgetc(file) != EOF;
    (void)fclose(file);
    return broken;
}
