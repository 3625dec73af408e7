// A plugin of qemu that counts the guest's instructions and system calls in a file mapped into memory, so that
// scripts/board-bench can read the counts at any moment while the guest runs.
//
//     gcc -O2 -shared -fPIC -o counting.so counting.c
//     qemu-arm -plugin ./counting.so,counts=FILE PROGRAM
//
// FILE: little-endian 64-bit numbers: instructions, for each system call's number how often it was made, and for each
// block of instructions its address, its length and how often it ran. A block that is translated again counts anew.
// No package ships qemu's plugin header, so what is used of it stands here: version 1 of the interface, qemu 4.2 to 8.2.

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
} qemu_info_t;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*tb_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_callback)(qemu_plugin_id_t, unsigned vcpu, int64_t number, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);

int qemu_plugin_version = 1;

enum { CALLS = 511, BLOCKS = 65536 };
static struct {
    uint64_t instructions;
    uint64_t calls[CALLS];
    struct {
        uint64_t address;
        uint64_t length;
        uint64_t runs;
    } blocks[BLOCKS];
} *counts;
static unsigned blocks;

// Not atomic: a block of another thread may get lost, which is as rare as two threads running at once.
static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    uint64_t length = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &counts->instructions, length);
    unsigned number = __atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
    if (number < BLOCKS) {
        counts->blocks[number].address = qemu_plugin_tb_vaddr(block);
        counts->blocks[number].length = length;
        qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &counts->blocks[number].runs, 1);
    }
}

static void on_call(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b, uint64_t c,
                    uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    if (number >= 0 && number < CALLS)
        __atomic_add_fetch(&counts->calls[number], 1, __ATOMIC_RELAXED);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    if (argc != 1 || strncmp(argv[0], "counts=", 7)) {
        fprintf(stderr, "counting.so: one argument, counts=FILE\n");
        return -1;
    }
    int file = open(argv[0] + 7, O_RDWR | O_CREAT, 0644);
    if (file < 0 || ftruncate(file, sizeof *counts)) {
        perror(argv[0] + 7);
        return -1;
    }
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counts == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_call);
    return 0;
}
