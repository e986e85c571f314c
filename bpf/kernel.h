/* kernel.h - the few kernel types the programs look at; CO-RE moves the offsets to those of the running kernel */
#ifndef OCRUN_KERNEL_H
#define OCRUN_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 oc_u8;
typedef __u16 oc_u16;
typedef __u32 oc_u32;
typedef __u64 oc_u64;
typedef __s32 oc_s32;
typedef __s64 oc_s64;
typedef _Bool bool;
#define __VMLINUX_TYPES__
#define __VMLINUX_H__ /* libbpf: registers have their kernel names */

enum pid_type { PIDTYPE_PID, PIDTYPE_TGID };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct {
    int pid;
    int tgid;
};
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct seq_file;
struct bpf_iter_meta {
    struct seq_file *seq;
    __u64 session_id, seq_num;
};
struct bpf_map;
struct bpf_iter__bpf_map_elem {
    struct bpf_iter_meta *meta;
    struct bpf_map *map;
    void *key, *value;
};
#pragma clang attribute pop

#endif
