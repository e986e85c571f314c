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
