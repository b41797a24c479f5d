/* CRC-32 as zlib has it, of sixteen bytes at a time (Kounavis and Berry 2008, "Novel table lookup-
 * based algorithms for high-performance CRC generation", doi:10.1109/TC.2008.85).
 */
#ifndef TILLWATCH_CRC32_H
#define TILLWATCH_CRC32_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32_POLYNOMIAL 0xEDB88320u
#define CRC32_STRIDE 16

/* What a byte makes of the sum, so many bytes before the end of a stride. */
static uint32_t crc32_table[CRC32_STRIDE][256];

static void
crc32_setup(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++) {
            sum = sum & 1 ? sum >> 1 ^ CRC32_POLYNOMIAL : sum >> 1;
        }
        crc32_table[0][byte] = sum;
    }
    for (int before = 1; before < CRC32_STRIDE; before++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t sum = crc32_table[before - 1][byte];
            crc32_table[before][byte] = sum >> 8 ^ crc32_table[0][sum & 0xFF];
        }
    }
}

/* Four bytes of a little-endian machine, of which the last lies `before` the end of a stride. */
static inline uint32_t
crc32_word(const unsigned char *bytes, uint32_t sum, int before)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    word ^= sum;
    return crc32_table[before + 3][word & 0xFF] ^ crc32_table[before + 2][word >> 8 & 0xFF] ^
           crc32_table[before + 1][word >> 16 & 0xFF] ^ crc32_table[before][word >> 24];
}

/* zlib.crc32 of `size` bytes. */
static uint32_t
crc32_of(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t sum = 0xFFFFFFFFu;
    for (; size >= CRC32_STRIDE; size -= CRC32_STRIDE, bytes += CRC32_STRIDE) {
        sum = crc32_word(bytes, sum, 12) ^ crc32_word(bytes + 4, 0, 8) ^
              crc32_word(bytes + 8, 0, 4) ^ crc32_word(bytes + 12, 0, 0);
    }
    for (; size > 0; size--, bytes++) {
        sum = sum >> 8 ^ crc32_table[0][(sum ^ *bytes) & 0xFF];
    }
    return ~sum;
}

#endif
