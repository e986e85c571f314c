// new_kernel.h - kernel constants newer than Debian 12's headers (6.1), from the kernel's uapi headers
#pragma once

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13, include/uapi/asm-generic/mman-common.h
#define MADV_GUARD_REMOVE 103
#endif
#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000  // Linux 6.14, include/uapi/linux/fcntl.h
#endif
#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif

// Linux 6.5 to 6.7, include/uapi/linux/io_uring.h
#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14)
#define IORING_SETUP_REGISTERED_FD_ONLY (1U << 15)
#define IORING_REGISTER_USE_REGISTERED_RING (1U << 31)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif
// Opcodes are an enum there: no #ifdef can tell, so they have names of their own.
#define OC_IORING_OP_WAITID 50
#define OC_IORING_OP_FUTEX_WAIT 51
#define OC_IORING_OP_FUTEX_WAITV 53
#ifndef FUTEX2_SIZE_U32
#define FUTEX2_SIZE_U32 0x02  // Linux 6.7, include/uapi/linux/futex.h
#endif
#ifndef __NR_futex_wake
#define __NR_futex_wake 454
#define __NR_futex_wait 455
#define __NR_futex_requeue 456
#endif
